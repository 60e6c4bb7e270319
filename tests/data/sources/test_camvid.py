"""CamVid by folders and by lists."""

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.camvid import CAMVID, CamvidSource
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid

FRAME = Grid(crs=None, transform=Affine.identity(), height=360, width=480)


@pytest.fixture
def tree(tmp_path):
    for role, name in (("train", "a"), ("train", "b"), ("val", "c ö")):
        for folder in (role, f"{role}annot"):
            path = tmp_path / "Сам vid" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "Сам vid"


def write(tree, role, *lines):
    (tree / f"{role}.txt").write_text("\n".join(lines))


def listed(tree, **settings):
    return {pair.image_id: pair.split for pair in CamvidSource(folder=tree, **settings).pairs().pairs}


@pytest.mark.parametrize("split", ["folders", "lists"])
def test_real_frames(real_data, split):
    source = CamvidSource(folder=real_data / "camvid", split=split)
    pairs = source.pairs().pairs
    assert [sum(pair.split == role for pair in pairs) for role in ("train", "val")] == [367, 101]
    assert all(pair.label.file.stem == pair.image.stem for pair in pairs)
    assert all(pair.label.file.parent.name == f"{pair.split}annot" for pair in pairs)


def test_classes_count_as_the_label_files_say(real_data):
    data = DataSettings.model_validate({"source": {"name": "camvid", "folder": real_data / "camvid"}})
    assert data.classes == CAMVID
    found, expected = np.zeros(256, dtype=int), np.zeros(256, dtype=int)
    for pair in data.source.pairs().pairs[::40]:
        with Image.open(pair.label.file) as picture:
            raw = np.asarray(picture)
        expected += np.bincount(raw.ravel(), minlength=256)
        with pair.label.open(FRAME) as reader:
            found += np.bincount(reader.decode(FRAME.whole, data.classes).target.ravel(), minlength=256)
    assert found[:11].tolist() == expected[:11].tolist()
    assert found[255] == expected[11] > 0
    assert found.sum() == expected[:12].sum()


def test_lists_decide_and_what_they_leave_out_is_out(tree):
    write(tree, "train", "/SegNet/CamVid/train/b.png /SegNet/CamVid/trainannot/b.png", "")
    write(tree, "val", "/x/val/c ö.png\t/x/valannot/c ö.png")
    write(tree, "test", "/x/train/a.png /x/trainannot/a.png")
    assert listed(tree, split="lists") == {"train/a": "test", "train/b": "train", "val/c ö": "val"}
    (tree / "test.txt").unlink()
    assert listed(tree, split="lists") == {"train/b": "train", "val/c ö": "val"}
    assert listed(tree) == {"train/a": "train", "train/b": "train", "val/c ö": "val"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/x/train/z.png /x/trainannot/z.png", r"train.txt, line 2: .*train/z.png does not exist"),
        ("/x/train/a.png", 'line 2: expected an image and its label, got "/x/train/a.png"'),
        ("/x/../a.png /x/trainannot/a.png", "leads out of the folder"),
        ("/x/train/b.png /x/trainannot/b.png", "train/b stands in a list already"),
    ],
)
def test_lists_that_cannot_be_followed(tree, line, message):
    write(tree, "train", "/x/train/b.png /x/trainannot/b.png", line)
    with pytest.raises(DataError, match=message):
        CamvidSource(folder=tree, split="lists").pairs()


def test_no_list_and_no_folder(tree, tmp_path):
    with pytest.raises(DataError, match=r"holds none of train.txt, val.txt, test.txt"):
        CamvidSource(folder=tree, split="lists").pairs()
    with pytest.raises(DataError, match="is not a folder"):
        CamvidSource(folder=tmp_path / "gone").pairs()
