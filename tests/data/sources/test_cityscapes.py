"""Cityscapes' folders: frames, annotations, splits and cities."""

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.cityscapes import CityscapesSource
from terrazzo.errors import DataError
from terrazzo.testing import check_source


@pytest.fixture
def tree(tmp_path):
    """Make empty files of frames: `split/city/frame` with endings of its annotation."""

    def make(frames, kind="gtFine"):
        for frame, endings in frames.items():
            names = [f"leftImg8bit/{frame}_leftImg8bit.png"]
            names += [f"{kind}/{frame}_{kind}_{ending}" for ending in endings]
            for name in names:
                path = tmp_path / "Städte" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return tmp_path / "Städte"

    return make


def test_splits_and_cities(tree):
    folder = tree(
        {
            "train/köln/a": ["labelIds.png", "instanceIds.png", "color.png"],
            "val/ulm/b": ["polygons.json", "labelTrainIds.png"],
            "test/bonn/c": ["polygons.json"],
        }
    )
    pairs = CityscapesSource(folder=folder).pairs().pairs
    assert [(pair.image_id, pair.split, pair.region, pair.label.form) for pair in pairs] == [
        ("test/bonn/c", "test", "bonn", "polygons"),
        ("train/köln/a", "train", "köln", "labelIds"),
        ("val/ulm/b", "val", "ulm", "labelTrainIds"),
    ]
    assert pairs[1].label.annotation == folder / "gtFine/train/köln/a_gtFine_labelIds.png"
    assert [pair.label.outline for pair in CityscapesSource(folder=folder, outline=True).pairs().pairs] == [
        True,
        False,
        False,
    ]


def test_linked_cities_and_suffixes_in_capitals(tree, tmp_path):
    folder = tree({"train/ulm/a b": ["labelIds.PNG"]})
    (folder / "leftImg8bit/train/ulm/a b_leftImg8bit.png").rename(folder / "leftImg8bit/train/ulm/a b_leftImg8bit.PNG")
    for top in ("leftImg8bit", "gtFine"):
        (folder / top / "val").mkdir()
        (folder / top / "val" / "link").symlink_to(folder / top / "train" / "ulm")
    pairs = CityscapesSource(folder=folder).pairs().pairs
    assert [pair.image_id for pair in pairs] == ["train/ulm/a b", "val/link/a b"]


def test_coarse_annotations(tree):
    folder = tree({"train_extra/ulm/a": ["labelIds.png"], "val/ulm/b": ["labelIds.png"]}, kind="gtCoarse")
    pairs = CityscapesSource(folder=folder, annotations="coarse").pairs().pairs
    assert [(pair.image_id, pair.split) for pair in pairs] == [("train_extra/ulm/a", "train"), ("val/ulm/b", "val")]
    with pytest.raises(DataError, match="holds no folder gtFine"):
        CityscapesSource(folder=folder).pairs()


def test_files_that_do_not_match(tree):
    folder = tree({"train/ulm/a": ["labelIds.png"], "train/ulm/b": [], "test/ulm/c": []})
    (folder / "gtFine/train/ulm/z_gtFine_labelIds.png").touch()
    message = (
        r"frames without gtFine labelIds, labelTrainIds or polygons: 1 in test, 1 in train, such as test/ulm/c; "
        r"1 annotations without frame, such as train/ulm/z"
    )
    with pytest.raises(DataError, match=message):
        CityscapesSource(folder=folder).pairs()
    listing = CityscapesSource(folder=folder, unmatched="skip").pairs()
    assert [pair.image_id for pair in listing.pairs] == ["train/ulm/a"]
    assert len(listing.notes) == 2
    with pytest.raises(DataError, match="no frame has an annotation: frames without gtFine polygons"):
        CityscapesSource(folder=folder, labels="polygons", unmatched="skip").pairs()


def test_no_frames(tree, tmp_path):
    folder = tree({"train/ulm/a": ["labelIds.png"]})
    (folder / "leftImg8bit/train/ulm/a_leftImg8bit.png").unlink()
    with pytest.raises(DataError, match=r"leftImg8bit/<split>/<city>/ holds no \*_leftImg8bit.png"):
        CityscapesSource(folder=folder).pairs()
    with pytest.raises(DataError, match="holds no folder leftImg8bit"):
        CityscapesSource(folder=tmp_path / "gone").pairs()


@pytest.mark.parametrize("name", ["cityscapes_frame", "cityscapes_layout_camvid"])
def test_real_folders_conform(real_data, name):
    check_source(CityscapesSource(folder=real_data / name))


@pytest.mark.parametrize("labels", ["labelIds", "polygons"])
def test_prepared_without_a_list_of_classes(real_data, tmp_path, labels):
    folder = real_data / "cityscapes_layout_camvid"
    settings = DataSettings.model_validate(
        {"source": {"name": "cityscapes", "folder": folder, "labels": labels}, "patch": {"size": 200}}
    )
    prepared = prepare_data(settings, PrepareSettings(folder=tmp_path / "prepared"))
    assert prepared.classes.names[13] == "car"
    again = open_prepared(tmp_path / "prepared").catalog.entries()
    assert [entry.label for entry in again] == [pair.label for pair in settings.source.pairs().pairs]
    for split, frame in (
        ("train", "cambridge/cambridge_000010_000019"),
        ("val", "cambridgeval/cambridgeval_000005_000019"),
    ):
        raw = np.asarray(Image.open(folder / "gtFine" / split / f"{frame}_gtFine_labelTrainIds.png"))
        assert prepared.pixel_counts[split] == tuple(int((raw == number).sum()) for number in range(19))
        assert prepared.ignored_counts[split] == (raw == 255).sum()
