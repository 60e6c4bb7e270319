"""What a sample says."""

import pytest

from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.recognise import survey as module
from terrazzo.data.recognise.survey import sample_pairs, survey
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.sources.source import Listing, Pair
from terrazzo.errors import DataError

CLASSES = Classes(items=["a", "b", "c"])


@pytest.fixture
def listing(tmp_path, write, photo):
    for number, (height, width) in enumerate([(10, 20), (30, 8), (10, 20)]):
        label = photo(bands=1, height=height, width=width) % 3
        label[0, :4] = 9
        write(f"images/{number}.png", photo(height=height, width=width))
        write(f"masks/{number}.png", label)
    return FolderSource(folder=tmp_path).pairs(), photo


def test_sizes_shares_and_what_is_ignored(listing):
    pairs, photo = listing
    found = survey(pairs, CLASSES, georeferenced=False)
    kept = []
    for height, width in [(10, 20), (30, 8), (10, 20)]:
        label = photo(bands=1, height=height, width=width) % 3
        label[0, :4] = 9
        kept += label[label < 3].tolist()
    assert found.shares == {name: kept.count(number) / len(kept) for number, name in enumerate("abc")}
    assert found.ignored == pytest.approx(12 / (200 + 240 + 200))
    assert found.sizes == [(10, 20), (30, 8)]
    assert (found.side, found.pixels, found.every_pixel) == (10, 640.0, True)
    assert (found.roles, found.regions, found.resolution_m) == ({None: 3}, {}, None)


def test_the_sample_is_bounded_and_evenly_spaced(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 4)
    label = RasterLabel(rasters=(tmp_path,))
    pairs = tuple(Pair(f"{number}", tmp_path, label=label) for number in range(10))
    assert [pair.image_id for pair in sample_pairs(Listing(pairs))] == ["0", "2", "5", "7"]
    assert len(sample_pairs(Listing(pairs[:3]))) == 3


def test_a_class_that_was_not_seen_does_not_make_the_imbalance_endless(listing):
    found = survey(listing[0], Classes(items=["a", "b", "c", "never"]), georeferenced=False)
    assert found.shares["never"] == 0
    assert 1 <= found.imbalance < 3


def test_without_labels(tmp_path):
    with pytest.raises(DataError, match="no image has a label"):
        survey(Listing((Pair("a", tmp_path),)), CLASSES, georeferenced=False)
