"""Each class is shown where it is most frequent, and drawn again only where the data has changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.pictures.gallery import GALLERY_FILE, draw_gallery
from terrazzo.data.prepare import prepare_data
from terrazzo.data.prepared import Prepared
from terrazzo.data.settings import DataSettings, PrepareSettings

SIDE = 64


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Three images of four patches; class 2 fills a patch of image b, and half a patch of image a."""
    generator = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        target = np.zeros((SIDE, SIDE), dtype=np.uint8)
        target[:8] = 1
        if name == "a":
            target[32:, 32:48] = 2
        if name == "b":
            target[32:, :32] = 2
        for part, content in (("images", generator.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)), ("gt", target)):
            path = tmp_path / "data" / part / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    source = {"name": "folder", "folder": str(tmp_path / "data")}
    classes = {"items": ["land", "road", "rare", "absent"]}
    split = {"fractions": {"train": 1.0}}
    data = DataSettings.model_validate({"source": source, "classes": classes, "patch": {"size": 32}, "split": split})
    return prepare_data(data, PrepareSettings(folder=tmp_path / "prepared"))


def test_the_most_frequent_patches_of_different_images(prepared: Prepared, tmp_path: Path) -> None:
    files = draw_gallery(prepared, tmp_path / "out", samples=2)
    samples = json.loads((tmp_path / "out" / GALLERY_FILE).read_text())["samples"]
    assert [path.name for path in files] == [sample["file"] for sample in samples]
    captions = [sample["caption"] for sample in samples if sample["class"] == "rare"]
    assert captions == ["b, from y 32, x 0: 100% rare", "a, from y 32, x 32: 50% rare"]
    assert {sample["class"] for sample in samples} == {"land", "road", "rare"}
    picture = np.asarray(Image.open(tmp_path / "out" / "class-02-0.png"))
    assert picture.shape == (32, 2 * 32 + 4, 3)
    assert (picture[:, 36:] == prepared.classes.colours[2]).all()


def test_large_patches_are_reduced(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.data.pictures.gallery.SIDE", 16)
    file = draw_gallery(prepared, tmp_path / "out", samples=1)[0]
    assert np.asarray(Image.open(file)).shape == (16, 36, 3)


def test_the_same_data_is_drawn_once(prepared: Prepared, tmp_path: Path) -> None:
    files = draw_gallery(prepared, tmp_path / "out")
    before = [path.stat().st_mtime_ns for path in files]
    assert draw_gallery(prepared, tmp_path / "out") == files
    assert [path.stat().st_mtime_ns for path in files] == before
    files[0].unlink()
    draw_gallery(prepared, tmp_path / "out")
    assert files[0].is_file()
    (tmp_path / "out" / GALLERY_FILE).write_text("{")
    assert draw_gallery(prepared, tmp_path / "out") == files
