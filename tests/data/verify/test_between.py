"""What shows between images, from what is known of each: bands, references, copies, places, classes and drift."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.headers import Header
from terrazzo.data.sources.source import Pair
from terrazzo.data.statistics import Moments
from terrazzo.data.verify.between import (
    NO_ROLE,
    about_bands,
    about_classes,
    about_drift,
    about_duplicates,
    about_places,
    about_references,
    class_pixels,
)
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.parts import Portion
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.geo.bands import Band, Bands

UTM = CRS.from_epsg(32612)
SIDE_M = 200
CORNERS = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))
CLASSES = Classes.model_validate(["land", "water", "road"])


def image(
    name: str,
    split: str | None = None,
    *,
    east: float = 0,
    crs: CRS | None = UTM,
    bands: tuple[Band, ...] = (Band(name="red", dtype="uint16"), Band(name="nir", dtype="uint16")),
    fold: int | None = None,
    **known: object,
) -> Examined:
    """An image of 100 x 100 pixels of 2 m."""
    pair = Pair(name, Path(f"/data/ä b/{name}.tif"), split=split, fold=fold)
    stack = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(bands))
    transform = (2.0, 0.0, 400_000.0 + east, 0.0, -2.0, 4_000_000.0)
    wkt = crs.to_wkt() if crs else None
    entry = ImageEntry(name, pair.image, None, (), split, None, 100, 100, crs=wkt, transform=transform, stack=stack)
    corners = CORNERS if crs else ()
    return Examined(pair, (), header=Header(entry, Bands(items=bands)), corners=corners, **known)


def unread(name: str, split: str = "train") -> Examined:
    return Examined(Pair(name, Path(f"{name}.tif"), split=split), (), broken=True)


def data(**changes: object) -> DataSettings:
    source = {"name": "folder", "folder": "unused"}
    return DataSettings.model_validate({"source": source, "classes": ["land", "water", "road"], **changes})


def picture(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(32, 32))
    return ((drawn - drawn.mean()) / np.linalg.norm(drawn - drawn.mean())).astype(np.float32)


def moments(*values: float, spread: float, pixels: int = 100) -> Moments:
    return Moments(pixels, tuple(map(float, values)), (float(spread**2 * pixels),) * len(values))


# Bands


def test_images_with_the_bands_of_the_first() -> None:
    assert about_bands([], data()) == []
    assert about_bands([unread("a"), image("b"), image("c"), unread("d")], data()) == []


def test_other_bands_than_the_first_readable_image() -> None:
    red, nir = Band(name="red", dtype="uint16"), Band(name="nir", dtype="uint16")
    images = [
        unread("a"),
        image("b"),
        image("swapped", bands=(nir, red)),
        image("float", bands=(red, nir.model_copy(update={"dtype": "float32"}))),
        image("short", bands=(red,)),
        image("long", bands=(red, nir, Band(name="swir", dtype="uint8"))),
    ]
    found = about_bands(images, data())
    assert [(one.severity, one.check, Path(one.file).stem) for one in found] == [
        ("error", "bands", "swapped"),
        ("error", "bands", "float"),
        ("error", "bands", "short"),
    ]
    assert found[0].what.startswith("band 1 is nir (uint16)")
    assert found[1].what.startswith("band 2 is nir (float32)")
    # Only bands that are used have to agree.
    assert [Path(one.file).stem for one in about_bands(images, data(bands=["red"]))] == ["swapped"]


def test_a_band_that_the_first_image_lacks() -> None:
    (found,) = about_bands([image("a"), image("b")], data(bands=["swir"]))
    assert (found.file, found.to_do) == (str(image("a").pair.image), "correct data.bands")
    assert 'no band "swir"' in found.what


# Coordinate reference systems


def test_images_in_one_reference_system_or_none() -> None:
    assert about_references([]) == []
    assert about_references([image("a"), image("b"), unread("c")]) == []
    assert about_references([image("a", crs=None), image("b", crs=None)]) == []


def test_an_image_without_reference_system_among_others() -> None:
    found = about_references([image("a"), image("b", crs=None), image("c"), unread("d")])
    assert [(one.severity, Path(one.file).stem) for one in found] == [("warning", "b")]
    assert "2 other images have one" in found[0].what


def test_several_reference_systems() -> None:
    zones = [image("a"), image("b", crs=CRS.from_epsg(32613)), image("c")]
    (found,) = about_references(zones)
    assert (found.severity, found.file) == ("hint", "")
    assert "2 coordinate reference systems: EPSG:32612 (2 images), EPSG:32613 (1 images)" in found.what


# Copies


def test_a_copy_in_the_same_split_and_in_another() -> None:
    first, copy = picture(0), np.rot90(picture(0))
    images = [
        image("a", "train", picture=first),
        image("b", "train", picture=picture(1)),
        image("c", "train", picture=copy),
        image("d", "val", picture=first),
        image("e", None, picture=first),
        image("f", "train"),
    ]
    found = about_duplicates(images, VerifySettings())
    assert [(one.severity, Path(one.file).stem) for one in found] == [
        ("warning", "c"),
        ("error", "d"),
        ("warning", "e"),
    ]
    assert "a.tif, turned by 90 degrees (correlation 1.0000)" in found[0].what
    assert found[1].what.endswith("one is train, the other val")


def test_an_error_counts_more_than_the_first_copy() -> None:
    images = [image("a", "val", picture=picture(0)), image("b", "train", picture=picture(0))]
    images += [image("c", "val", picture=picture(0))]
    found = about_duplicates(images, VerifySettings())
    assert [(one.severity, Path(one.file).stem) for one in found] == [("error", "b"), ("error", "c")]
    # The first of its own split would only be a warning.
    assert "/b.tif" in found[1].what
    assert found[1].what.endswith("one is train, the other val")


def test_many_copies_are_each_told_once() -> None:
    images = [image(f"{number:02}", ("train", "val", "test")[number % 3], picture=picture(0)) for number in range(30)]
    found = about_duplicates(images, VerifySettings())
    assert [Path(one.file).stem for one in found] == [f"{number:02}" for number in range(1, 30)]
    assert {one.severity for one in found} == {"error"}


def test_how_near_copies_must_be() -> None:
    noisy = picture(0) + 0.02 * picture(5)
    alike = float(np.vdot(noisy, picture(0)) / np.linalg.norm(noisy))
    images = [image("a", "train", picture=picture(0)), image("b", "val", picture=noisy / np.linalg.norm(noisy))]
    assert len(about_duplicates(images, VerifySettings(duplicate_correlation=alike - 1e-4))) == 1
    assert about_duplicates(images, VerifySettings(duplicate_correlation=alike + 1e-4)) == []


def divided(one: Examined, *splits: str) -> Examined:
    portions = tuple(Portion(replace(one.pair, split=split), divided=True) for split in splits)
    return replace(one, parts=portions)


def test_copies_of_a_divided_image() -> None:
    here = divided(image("a", picture=picture(0)), "train", "val")
    there = divided(image("b", picture=picture(0), east=10_000), "train", "val")
    # Where both lie in one place, each place has one role.
    same = divided(image("c", picture=picture(0)), "train", "val")
    assert [one.severity for one in about_duplicates([here, same], VerifySettings())] == ["warning"]
    (found,) = about_duplicates([here, there], VerifySettings())
    assert found.severity == "error"
    assert found.what.endswith("one is train and val, the other train and val")
    # The nearest earlier copy is harmless, a later one is not.
    told = about_duplicates([here, there, same], VerifySettings())
    assert [(one.severity, Path(one.file).stem) for one in told] == [("error", "b"), ("error", "c")]
    assert "/b.tif" in told[1].what


def test_copies_in_two_folds() -> None:
    images = [image("a", "train", fold=0, picture=picture(0)), image("b", "train", fold=1, picture=picture(0))]
    assert "fold" not in about_duplicates(images, VerifySettings())[0].what
    (found,) = about_duplicates(images, VerifySettings(), between_folds=True)
    assert (found.severity, found.to_do) == ("warning", "keep one of them, or both in one fold")
    assert found.what.endswith("one is in fold 0, the other in fold 1")


def test_a_file_that_is_listed_for_two_roles() -> None:
    first = image("a", "train", picture=picture(0))
    again = replace(first, pair=replace(first.pair, image_id="a again", split="val"))
    (found,) = about_duplicates([first, again], VerifySettings())
    assert (found.severity, found.file) == ("error", str(first.pair.image))
    assert "listed twice: one is train, the other val" in found.what
    both_judge = [replace(one, pair=replace(one.pair, split=role)) for one, role in ((first, "val"), (again, "test"))]
    assert about_duplicates(both_judge, VerifySettings()) == []


# Places


def test_nothing_to_compare() -> None:
    for images in ([], [image("a", "train", crs=None)], [unread("a")]):
        found, places = about_places(images, VerifySettings())
        assert (found, places.footprints, places.distances_m) == ([], (), None)


def test_splits_side_by_side_and_their_distance() -> None:
    images = [image("a", "train"), image("b", "train", east=5000), image("c", "val", east=1000), image("d", east=1010)]
    found, places = about_places(images, VerifySettings())
    assert found == []
    assert [one.split for one in places.footprints] == ["train", "train", "val", NO_ROLE]
    metres, here, there = places.distances_m["train", "val"]
    # 1000 m from edge to edge less its own side, on a map whose scale is a little below 1 here.
    assert metres == pytest.approx(1000 - SIDE_M, rel=1e-3)
    assert (Path(here).stem, Path(there).stem) == ("a", "c")
    assert list(places.distances_m) == [("train", "val")]
    assert about_places(images, VerifySettings(distance_m=799))[0] == []
    (near,) = about_places(images, VerifySettings(distance_m=802))[0]
    assert (near.severity, near.check, Path(near.file).stem) == ("warning", "distance", "c")


@pytest.mark.parametrize(("east", "share"), [(100, 0.5), (190, 0.05), (-150, 0.25)])
def test_ground_that_two_splits_share(east: float, share: float) -> None:
    images = [image("a", "train"), image("b", "test", east=east)]
    (found,) = about_places(images, VerifySettings())[0]
    assert (found.severity, found.check, Path(found.file).stem) == ("error", "overlap", "b")
    square_m = share * SIDE_M**2
    assert found.what.startswith(f"{share:.0%} of the smaller footprint (")
    assert float(found.what.split("(")[1].split(" m2")[0].replace(",", "")) == pytest.approx(square_m, rel=2e-3)
    assert found.what.endswith("one is train, the other test")
    assert about_places(images, VerifySettings(overlap_share=share + 0.01))[0] == []
    alike = [image("a", "train"), image("b", "train", east=east)]
    assert about_places(alike, VerifySettings())[0] == []


def test_folds_that_share_ground() -> None:
    images = [image("a", "train", fold=0), image("b", "train", fold=1, east=100)]
    assert about_places(images, VerifySettings())[0] == []
    (found,) = about_places(images, VerifySettings(), between_folds=True)[0]
    assert (found.severity, found.check) == ("warning", "overlap")
    assert found.what.endswith("one is in fold 0, the other in fold 1")


def test_images_of_two_zones_in_one_place() -> None:
    # The same corner of the ground in the neighbouring zone.
    (x,), (y,) = transform(UTM, CRS.from_epsg(32613), [400_000.0], [4_000_000.0])
    other = image("b", "val", crs=CRS.from_epsg(32613))
    entry = replace(other.header.entry, transform=tuple(Affine(2, 0, x, 0, -2, y))[:6])
    other = replace(other, header=replace(other.header, entry=entry))
    (found,) = about_places([image("a", "train"), other], VerifySettings())[0]
    share = float(found.what.split("%")[0]) / 100
    # Zones are turned against each other by 6 degrees times the sine of the latitude.
    assert 0.85 < share < 0.97


# Classes


def test_pixels_of_each_class_by_split() -> None:
    images = [
        image("a", "test", class_pixels=(1, 0, 2)),
        image("b", "train", class_pixels=(10, 5, 0)),
        image("c", "train", class_pixels=(2**40, 0, 0)),
        image("d", None, class_pixels=(0, 0, 7)),
        image("e", "val"),
    ]
    found = class_pixels(images, CLASSES)
    assert found == {"train": (2**40 + 10, 5, 0), "test": (1, 0, 2), NO_ROLE: (0, 0, 7)}
    assert list(found) == ["train", "test", NO_ROLE]
    assert class_pixels([], CLASSES) == {}


def test_classes_that_splits_lack() -> None:
    assert about_classes({}, CLASSES) == []
    assert about_classes({"train": (1, 1, 1), "val": (1, 2, 3)}, CLASSES) == []
    found = about_classes({"train": (5, 0, 1), "val": (5, 0, 0), "test": (5, 0, 0), NO_ROLE: (1, 0, 0)}, CLASSES)
    assert [one.what for one in found] == [
        "class water occurs in no label",
        "class road is absent from val, test, images without a split",
    ]
    assert {(one.severity, one.check, one.file) for one in found} == {("warning", "class", "")}


# Drift


def test_bands_that_drift_from_training() -> None:
    names = {"band_names": ("red", "nir")}
    images = [
        image("a", "train", moments=moments(10, 100, spread=2), **names),
        image("b", "train", moments=moments(14, 100, spread=2), **names),
        image("c", "val", moments=moments(12, 103.2, spread=2), **names),
        image("d", None, moments=moments(900, 900, spread=1), **names),
    ]
    # Of near-infrared, 3.2 apart at a deviation of 2 in both; of red, nothing.
    (found,) = about_drift(images, VerifySettings())
    assert (found.severity, found.check) == ("warning", "drift")
    assert found.what == "band nir has the mean 103.2 in val and 100 in train: 1.6 standard deviations apart"
    assert about_drift(images, VerifySettings(drift_deviations=1.61)) == []
    assert about_drift(images[2:], VerifySettings()) == []


def test_drift_by_the_pooled_deviation_of_both() -> None:
    images = [
        image("a", "train", moments=moments(0, spread=3, pixels=10), band_names=("red",)),
        image("b", "test", moments=moments(10, spread=1, pixels=10_000), band_names=("red",)),
    ]
    apart = 10 / ((3**2 + 1**2) / 2) ** 0.5
    (found,) = about_drift(images, VerifySettings(drift_deviations=apart - 0.01))
    assert f"{apart:.1f} standard deviations" in found.what
    assert about_drift(images, VerifySettings(drift_deviations=apart + 0.01)) == []


def test_bands_of_a_single_value() -> None:
    same, other = moments(7, spread=0), moments(8, spread=0)
    train = image("a", "train", moments=same, band_names=("red",))
    assert about_drift([train, image("b", "val", moments=same, band_names=("red",))], VerifySettings()) == []
    (found,) = about_drift([train, image("b", "val", moments=other, band_names=("red",))], VerifySettings())
    assert "inf standard deviations" in found.what


def test_images_with_other_bands_or_no_pixels_are_left_out() -> None:
    images = [
        image("a", "train", moments=moments(0, spread=1), band_names=("red",)),
        image("b", "val", moments=moments(90, spread=1), band_names=("nir",)),
        image("c", "test", moments=Moments(0, (0.0,), (0.0,)), band_names=("red",)),
        unread("d", "val"),
    ]
    assert about_drift(images, VerifySettings()) == []
