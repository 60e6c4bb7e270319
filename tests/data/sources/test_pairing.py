"""Images and labels that pair by their paths."""

import pytest
from pydantic import ValidationError

from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import DataError


@pytest.fixture
def tree(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / "Daten ö" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "Daten ö"

    return make


def found(folder, **settings):
    listing = FolderSource(folder=folder, **settings).pairs()
    return {
        pair.image_id: (
            pair.image.relative_to(folder).as_posix(),
            pair.label.file.relative_to(folder).as_posix(),
            pair.split,
            pair.region,
        )
        for pair in listing.pairs
    }


@pytest.mark.parametrize("labels", ["gt", "masks", "annotations", "labels", "Masks"])
def test_common_folder_names(tree, labels):
    folder = tree("images/a.jpg", f"{labels}/a.png", "images/b.JPG", f"{labels}/b.PNG")
    assert found(folder) == {
        "a": ("images/a.jpg", f"{labels}/a.png", None, None),
        "b": ("images/b.JPG", f"{labels}/b.PNG", None, None),
    }


def test_roles_above_or_below_the_images_folder(tree):
    folder = tree("train/images/a.png", "train/gt/a.png", "valid/images/b.png", "valid/gt/b.png")
    assert {name: entry[2] for name, entry in found(folder).items()} == {"train/a": "train", "valid/b": "val"}
    folder = tree("second/images/test/a.png", "second/gt/test/a.png")
    assert found(folder / "second") == {"test/a": ("images/test/a.png", "gt/test/a.png", "test", None)}


def test_folders_above_that_are_no_role_are_regions(tree):
    folder = tree("Tile 1/images/a.jpg", "Tile 1/masks/a.png", "Tile 2/images/a.jpg", "Tile 2/masks/a.png")
    assert {name: entry[3] for name, entry in found(folder).items()} == {"Tile 1/a": "Tile 1", "Tile 2/a": "Tile 2"}


def test_patterns_with_roles(tree):
    folder = tree("train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png")
    assert found(folder, images="{split}/*.png", labels="{split}annot/*.png") == {
        "train/a": ("train/a.png", "trainannot/a.png", "train", None),
        "val/b": ("val/b.png", "valannot/b.png", "val", None),
    }


def test_one_stem_in_two_roles_does_not_mix(tree):
    folder = tree("train/a.png", "trainannot/a.png", "val/a.png", "valannot/a.png")
    pairs = found(folder, images="{split}/*.png", labels="{split}annot/*.png")
    assert pairs["val/a"][1] == "valannot/a.png"
    assert len(pairs) == 2


def test_labels_beside_images_by_suffix_of_the_name(tree):
    folder = tree("train/104_sat.jpg", "train/104_mask.png")
    assert found(folder, images="{split}/*_sat.jpg", labels="{split}/*_mask.png") == {
        "train/104": ("train/104_sat.jpg", "train/104_mask.png", "train", None)
    }


def test_labels_in_one_folder_for_all_roles(tree):
    folder = tree("train/a.png", "val/b.png", "all/a.png", "all/b.png")
    pairs = found(folder, images="{split}/*.png", labels="all/*.png")
    assert {name: entry[1:3] for name, entry in pairs.items()} == {
        "train/a": ("all/a.png", "train"),
        "val/b": ("all/b.png", "val"),
    }


def test_extra_files_by_pattern_and_by_folder(tree):
    folder = tree("images/a.png", "masks/a.png", "NIR/a.tif")
    listing = FolderSource(folder=folder, extra=("nir",)).pairs()
    assert [path.name for path in listing.pairs[0].extra] == ["a.tif"]
    listing = FolderSource(folder=folder, images="images/*.png", labels="masks/*.png", extra=("NIR/*.tif",)).pairs()
    assert listing.pairs[0].extra == (folder / "NIR/a.tif",)


def test_names_do_not_change_when_images_join(tree):
    folder = tree("images/a.png", "masks/a.png")
    before = set(found(folder))
    assert before < set(found(tree("images/b.png", "masks/b.png")))


def test_unmatched_files_are_all_named(tree):
    folder = tree("images/a.png", "images/b.png", "images/c.png", "masks/a.png", "masks/z.png")
    with pytest.raises(
        DataError,
        match=r"2 images with no label \(images/b.png, images/c.png\); 1 label with no image \(masks/z.png\)",
    ):
        found(folder)


def test_unmatched_files_can_be_left_out_and_that_is_noted(tree):
    folder = tree("images/a.png", "images/b.png", "masks/a.png")
    listing = FolderSource(folder=folder, unmatched="skip").pairs()
    assert [pair.image_id for pair in listing.pairs] == ["a"]
    assert listing.notes == ("left out: 1 image with no label (images/b.png)",)


def test_missing_extra_files_are_named(tree):
    folder = tree("images/a.png", "masks/a.png", "images/b.png", "masks/b.png", "nir/a.png")
    with pytest.raises(DataError, match=r'1 image with no file of "nir" \(images/b.png\)'):
        found(folder, extra=("nir",))


def test_nothing_matches_at_all(tree):
    folder = tree("images/a.png", "masks/b.png")
    with pytest.raises(DataError, match="no image has a label"):
        found(folder, unmatched="skip")


def test_two_files_of_one_stem(tree):
    with pytest.raises(DataError, match=r"images/a.jpg and images/a.png have one stem"):
        found(tree("images/a.png", "images/a.jpg", "masks/a.png"))


def test_two_folders_that_could_be_labels(tree):
    with pytest.raises(DataError, match="gt and masks, which could all be labels"):
        found(tree("images/a.png", "masks/a.png", "gt/a.png"))


def test_empty_folder_and_foreign_layout(tree, tmp_path):
    (tmp_path / "leer").mkdir()
    with pytest.raises(DataError, match="it holds no raster file"):
        found(tmp_path / "leer")
    folder = tree("x/a.png")
    with pytest.raises(DataError, match=r"1 raster files lie there, such as x/a.png"):
        found(folder)
    with pytest.raises(DataError, match=r'no file matches data.source.images "y/\*.png"'):
        found(folder, images="y/*.png", labels="x/*.png")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "a/*.png"}, "both `images` and `labels`"),
        ({"images": "a/*.png", "labels": "b/a.png"}, "equally many stars"),
        ({"images": "a/*.png", "labels": "b/*.png", "extra": ["nir"]}, "equally many stars"),
    ],
)
def test_settings_that_contradict(tmp_path, settings, message):
    with pytest.raises(ValidationError, match=message):
        FolderSource(folder=tmp_path, **settings)
