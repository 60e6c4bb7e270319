"""DeepGlobe's layouts, its published lists, and its colours as compression left them."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.deepglobe import LAND_COVER, ROADS, DeepglobeSource, published_split
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.testing import check_source

COLOURS = {
    "urban": (0, 255, 255),
    "agriculture": (255, 255, 0),
    "rangeland": (255, 0, 255),
    "forest": (0, 255, 0),
    "water": (0, 0, 255),
    "barren": (255, 255, 255),
}


@pytest.fixture
def tree(tmp_path):
    """Make empty files below a folder with a difficult name."""

    def make(*names):
        for name in names:
            path = tmp_path / "Глобус 1" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "Глобус 1"

    return make


def pairs_of(*numbers, folder="."):
    return [f"{folder}/{number}_{kind}" for number in numbers for kind in ("sat.jpg", "mask.png")]


def roles(folder, **settings):
    return {pair.image_id: pair.split for pair in DeepglobeSource(folder=folder, **settings).pairs().pairs}


def share(number):
    """Where an id falls between 0 and 1: the first 56 bits of its hash."""
    return int.from_bytes(hashlib.sha256(f"0:{number}".encode()).digest()[:7], "big") / 2**56


def test_roles_of_folders(tree):
    folder = tree(*pairs_of(1, 2, folder="train"), *pairs_of(3, folder="valid"), *pairs_of(4, folder="test"))
    assert roles(folder) == {"train/1": "train", "train/2": "train", "valid/3": "val", "test/4": "test"}
    assert DeepglobeSource(folder=folder).pairs().notes == ()


def test_folders_named_as_the_archives_are(tree):
    folder = tree(*pairs_of(1, folder="land-train"), *pairs_of(2, folder="land-val"), *pairs_of(3, folder="road_test"))
    assert roles(folder) == {"land-train/1": "train", "land-val/2": "val", "road_test/3": "test"}


@pytest.mark.parametrize("place", ["train", "."])
def test_without_validation_masks_a_hash_of_the_id_divides(tree, place):
    numbers = range(1000, 1200)
    folder = tree(*pairs_of(*numbers, folder=place), "valid/7_sat.jpg", "valid/8_sat.jpg", "test/9_sat.jpg")
    listing = DeepglobeSource(folder=folder).pairs()
    drawn = {int(pair.image_id.split("/")[-1]) for pair in listing.pairs if pair.split == "val"}
    assert drawn == {number for number in numbers if share(number) >= 0.85}
    assert 15 < len(drawn) < 50
    assert {pair.split for pair in listing.pairs} == {"train", "val"}
    assert listing.notes == (
        "test: 1 image without mask, left out",
        "valid: 2 images without mask, left out",
        f"no validation image has a mask, so {len(drawn)} of 200 training images select (data.source.val_share: 0.15)",
    )


def test_the_draw_does_not_change_when_images_join(tree):
    before = roles(tree(*pairs_of(*range(50), folder="train")))
    after = roles(tree(*pairs_of(*range(50, 90), folder="train")))
    assert before.items() < after.items()


def test_test_images_keep_their_role_and_the_draw_can_be_turned_off(tree):
    folder = tree(*pairs_of(*range(30), folder="train"), *pairs_of(99, folder="test"))
    assert roles(folder)["test/99"] == "test"
    assert set(roles(folder, val_share=0).values()) == {"train", "test"}
    assert set(roles(tree(*pairs_of(1, folder="../flat")).parent / "flat", val_share=0).values()) == {None}


def test_published_lists():
    lists = published_split()
    assert {role: len(ids) for role, ids in lists.items()} == {"train": 454, "val": 207, "test": 142}
    assert len(set().union(*lists.values())) == 803
    # The digests of the lists as GLNet and MagNet publish them, one id a line.
    digests = {role: hashlib.sha256(("\n".join(ids) + "\n").encode()).hexdigest()[:8] for role, ids in lists.items()}
    assert digests == {"train": "2ae5e8ec", "val": "c1606f43", "test": "7673d00b"}


def test_published_roles_wherever_files_lie(tree):
    # 119 and 266 train, 2774 selects, 606 tests; 1 stands in no list; 855 has no mask.
    folder = tree(*pairs_of(119, 2774, 1, folder="train"), *pairs_of(266, 606, folder="x/y"), "train/855_sat.jpg")
    assert roles(folder, split="published") == {
        "train/119": "train",
        "x/y/266": "train",
        "train/2774": "val",
        "x/y/606": "test",
    }
    notes = DeepglobeSource(folder=folder, split="published").pairs().notes
    assert notes[0] == "train: 1 image without mask, left out"
    assert notes[1].startswith("452 of the 454 published train ids have no image with a mask here: 855, 2334, 3484, ")
    assert notes[2].startswith("206 of the 207 published val ids have no image with a mask here: 16453, 19627, ")
    assert notes[3].startswith("141 of the 142 published test ids have no image with a mask here: 7791, 7892, ")
    assert notes[4:] == ("1 image in no published list, left out: 1",)


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        ((), {}, "no file is called <id>_sat; it holds no raster file"),
        (("a.png",), {}, "no file is called <id>_sat; 1 raster files lie there, such as a.png"),
        (("1_sat.jpg", "2_sat.jpg"), {}, r"2 images called \*_sat and no \*_mask.png beside them"),
        ((*pairs_of(1), "3_mask.png"), {}, r"1 mask without image: 3_mask.png"),
        ((*pairs_of(1), "1_sat.PNG"), {}, "have one id"),
        (pairs_of(1), {"split": "published"}, "no image stands in the published lists"),
        (
            (*pairs_of(119), *pairs_of(119, folder="b")),
            {"split": "published"},
            "119_sat.jpg and .*119_sat.jpg have one id",
        ),
    ],
)
def test_what_cannot_be_listed(tree, names, settings, message):
    folder = tree(*names, "keep.txt")
    with pytest.raises(DataError, match=message):
        DeepglobeSource(folder=folder, **settings).pairs()


def test_classes_need_not_be_given(tmp_path):
    source = {"name": "deepglobe", "folder": tmp_path}
    land = DataSettings.model_validate({"source": source}).classes
    assert land == LAND_COVER
    assert {item.name: item.colour for item in land.items} == COLOURS
    assert land.ignore_colours == ((0, 0, 0),)
    assert DataSettings.model_validate({"source": {**source, "masks": "roads"}}).classes == ROADS
    own = DataSettings.model_validate({"source": source, "classes": ["a", "b"]}).classes
    assert own.names == ("a", "b")


def test_a_mask_of_797_colours(real_data):
    source = DeepglobeSource(folder=real_data / "deepglobe_landcover_thumb")
    check_source(source)
    (entry,) = source.catalog()
    picture = np.asarray(Image.open(entry.label.file))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 797
    binary = np.where(picture >= 128, 255, 0)
    decoded = entry.label.open(entry.grid).decode(Window(0, 0, 142, 142), LAND_COVER)
    expected = [int((binary == colour).all(axis=2).sum()) for colour in COLOURS.values()]
    assert expected == [0, 5010, 10151, 346, 3124, 72]
    assert np.bincount(decoded.target.ravel(), minlength=6)[:6].tolist() == expected
    # Black is unknown; two pixels became red, which is no class.
    assert (decoded.target == 255).sum() == 1459 + 2
    assert sum(decoded.unlisted.values()) == 2


def test_roads(real_data):
    source = DeepglobeSource(folder=real_data / "deepglobe_roads_sample", masks="roads")
    check_source(source)
    (entry,) = source.catalog()
    white = (np.asarray(Image.open(real_data / "deepglobe_roads_sample/train/104_mask.png")) >= 128).all(axis=2)
    decoded = entry.label.open(entry.grid).decode(Window(0, 0, 1024, 1024), ROADS)
    assert (decoded.target == white).all()
    assert white.sum() == 9944


def masks(folder, *pictures):
    """Write images with these masks, called 1, 2, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, 1):
        Image.fromarray(np.full((*picture.shape[:2], 3), 90, dtype=np.uint8)).save(folder / f"{number}_sat.jpg")
        Image.fromarray(picture).save(folder / f"{number}_mask.png")
    return folder


def blank(colour, size=(40, 50)):
    return np.full((*size, 3), colour, dtype=np.uint8)


def with_line(colour, ground=0):
    """A line of five columns, which compression has made a little uneven."""
    picture = blank(ground)
    picture[:, 10:15] = colour
    picture[::7, 10:15] = np.maximum(picture[::7, 10:15].astype(int) - 20, 0)
    return picture


def prepare(folder, tmp_path, *, classes=None, **settings):
    data = {"source": {"name": "deepglobe", "folder": folder, **settings}, "patch": {"size": 32}}
    return prepare_data(
        DataSettings.model_validate({**data, **({"classes": classes} if classes else {})}),
        PrepareSettings(folder=tmp_path / "prepared"),
    )


ROAD = with_line(255)


def test_road_masks_that_nobody_has_named_are_refused(tmp_path):
    folder = masks(tmp_path / "Дороги 1", blank(0), ROAD, with_line(250), ROAD[..., 0])
    with pytest.raises(
        DataError, match=r"Дороги 1: 4 masks of 4, such as .*1_mask\.png, hold nothing but black"
    ) as told:
        prepare(folder, tmp_path)
    assert "data.source.masks: roads" in str(told.value)
    assert not (tmp_path / "prepared" / "prepared.json").exists()
    found = prepare(folder, tmp_path, masks="roads")
    white = sum(int((picture[..., :1] >= 128).sum()) for picture in (ROAD, with_line(250), ROAD))
    assert np.sum(list(found.pixel_counts.values()), axis=0).tolist() == [4 * 40 * 50 - white, white]


def test_who_says_land_cover_gets_it(tmp_path):
    found = prepare(masks(tmp_path / "data", ROAD, ROAD), tmp_path, masks="land_cover")
    assert np.sum(list(found.pixel_counts.values()), axis=0).tolist() == [0, 0, 0, 0, 0, 2 * 40 * 5]


@pytest.mark.parametrize(
    "pictures",
    [
        (ROAD, ROAD, with_line((0, 255, 0))),  # another class somewhere
        (ROAD, with_line((255, 0, 0))),  # red is no class, but no colour of roads either
        (blank(255), with_line(0, ground=255)),  # a desert with a little unknown
        (blank(0), blank(0)),  # nothing is known
    ],
)
def test_what_could_be_land_cover_is_read_as_that(tmp_path, pictures):
    DeepglobeSource(folder=masks(tmp_path / "data", *pictures)).check_labels(
        DeepglobeSource(folder=tmp_path / "data").pairs().pairs, LAND_COVER
    )


def test_own_classes_are_not_questioned(tmp_path):
    folder = masks(tmp_path / "data", ROAD, ROAD)
    classes = {"items": [{"name": "rest", "colour": [0, 0, 0]}, {"name": "road", "colour": [255, 255, 255]}]}
    found = prepare(folder, tmp_path, classes={**classes, "labels": "colour", "match": "binarise"})
    assert np.sum(list(found.pixel_counts.values()), axis=0).tolist() == [2 * 40 * 45, 2 * 40 * 5]


def test_few_masks_of_many_are_looked_at_all_over(tmp_path, monkeypatch):
    folder = masks(tmp_path / "data", *[ROAD] * 40)
    source = DeepglobeSource(folder=folder)
    pairs, opened = source.pairs().pairs, []
    open_label = RasterLabel.open

    def spied(self, grid):
        opened.append(self.file)
        return open_label(self, grid)

    monkeypatch.setattr(RasterLabel, "open", spied)
    with pytest.raises(DataError, match="16 masks of 40"):
        source.check_labels(pairs, LAND_COVER)
    assert len(opened) == len(set(opened)) == 16
    listed = [pair.label.file for pair in pairs]
    assert max(np.diff([listed.index(file) for file in opened])) <= 3


def test_named_sets_are_looked_at_by_their_own_settings(tmp_path):
    land = masks(tmp_path / "land", with_line((0, 255, 0)), blank((0, 0, 255)))
    city = masks(tmp_path / "city", ROAD)
    data = {"source": {"name": "deepglobe", "folder": land}, "validation": {}}
    data["validation"]["city"] = {"source": {"name": "deepglobe", "folder": city}}
    with pytest.raises(DataError, match=r"city: 1 mask of 1, such as .*1_mask\.png, holds nothing but"):
        prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "prepared"))


def test_real_road_masks_are_refused_and_real_land_cover_is_not(real_data):
    roads = DeepglobeSource(folder=real_data / "deepglobe_roads_sample")
    with pytest.raises(DataError, match=r"masks: roads"):
        roads.check_labels(roads.pairs().pairs, roads.known_classes())
    land = DeepglobeSource(folder=real_data / "deepglobe_landcover_thumb")
    land.check_labels(land.pairs().pairs, land.known_classes())
