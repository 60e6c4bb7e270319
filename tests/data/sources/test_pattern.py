"""Patterns of paths and the files below a folder."""

import pytest

from terrazzo.data.sources.pattern import Pattern, raster_files
from terrazzo.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("images/*.png", "images/a b.png", {"1": "a b"}),
        ("images/*.png", "images/a.PNG", {"1": "a"}),
        ("images/*.png", "images/x/a.png", None),
        ("images/*.png", "other/images/a.png", None),
        ("**/*.tif", "x/y/a.tif", {"1": "x/y", "2": "a"}),
        ("**/*.tif", "a.tif", {"1": "", "2": "a"}),
        ("*_sat.jpg", "104_sat.jpg", {"1": "104"}),
        ("*_sat.jpg", "104_mask.jpg", None),
        ("images/*", "images/a.jpeg", {"1": "a"}),
        ("images/*.*", "images/a.v2.tif", {"1": "a.v2"}),
        ("{split}/*.png", "train/a.png", {"split": "train", "1": "a"}),
        ("{split}/*.png", "trainannot/a.png", None),
        ("{split}annot/*.png", "trainannot/a.png", {"split": "train", "1": "a"}),
        ("{split}/*.png", "Validation/a.png", {"split": "Validation", "1": "a"}),
        ("{region}/images/*.jpg", "Tile 1/images/p.jpg", {"region": "Tile 1", "1": "p"}),
        ("{region}/{region}_*.jpg", "a/a_1.jpg", {"region": "a", "1": "1"}),
        ("{region}/{region}_*.jpg", "a/b_1.jpg", None),
        ("a+(b)[c]/*.png", "a+(b)[c]/d.png", {"1": "d"}),
        ("/images/*.png", "images/a.png", {"1": "a"}),
    ],
)
def test_match(pattern, path, expected):
    found = Pattern(pattern).match(path)
    assert (None if found is None else dict(found)) == expected


def test_unknown_word():
    with pytest.raises(ConfigError, match=r"{fold}"):
        Pattern("{fold}/*.png").match("x/a.png")


def test_stars_and_names():
    pattern = Pattern("{split}/**/{region}/*.png")
    assert pattern.stars == 2
    assert pattern.names == {"split", "region"}


def test_only_images_are_listed(tmp_path):
    for name in ("b.png", "A.TIF", "c.aux.xml", "b.png.aux.xml", "Thumbs.db", ".hidden.png", "notes.txt", "ö/d e.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.png").touch()
    assert raster_files(tmp_path) == ["A.TIF", "b.png", "ö/d e.jpg"]


def test_linked_folders_are_followed_once(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.png").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "there")
    (tmp_path / "here" / "circle").symlink_to(tmp_path / "here")
    assert raster_files(tmp_path / "here") == ["link/a.png"]


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        raster_files(tmp_path / "nowhere")
