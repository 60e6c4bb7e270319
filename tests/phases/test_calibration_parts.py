"""Which images may be calibrated on, and that none serves twice."""

from pathlib import Path

import pytest

from terrazzo.calibration.settings import CalibrateSettings
from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.errors import ConfigError
from terrazzo.phases.calibration_parts import Needs, divide, images_of, reporting_images

ALL = Needs(fitted=True, halting=True, further=True)


def entry(name: str, split: str, *, labelled: bool = True) -> ImageEntry:
    label = RasterLabel(rasters=(Path(f"gt/{name}.tif"),)) if labelled else None
    return ImageEntry(name, Path(f"{name}.tif"), label, (), split, None, 4, 4)


def images(count: int, split: str = "calibrate") -> list[ImageEntry]:
    return [entry(f"größe {number}", split) for number in range(count)]


def names(part: tuple[ImageEntry, ...]) -> set[str]:
    return {one.image_id for one in part}


@pytest.mark.parametrize("count", [4, 5, 17, 100])
def test_every_image_serves_once(count: int):
    parts = divide(images(count), [], ALL, CalibrateSettings())
    found = [names(part) for part in (parts.fit, parts.halting, parts.further, parts.report)]
    assert all(found)
    assert sum(map(len, found)) == len(set().union(*found)) == count


def test_shares_are_kept():
    parts = divide(images(100), [], ALL, CalibrateSettings(report_share=0.2, fit_share=0.5))
    assert parts.counts() == {"fit": 40, "halting": 20, "abstain and sets": 20, "report": 20}


def test_another_role_to_report_on_leaves_all_to_calibrate():
    reported = images(3, "test")
    parts = divide(images(10), reported, Needs(fitted=True, halting=False, further=False), CalibrateSettings())
    assert parts.counts() == {"fit": 10, "report": 3}
    assert names(parts.report) == names(tuple(reported))


def test_the_division_depends_on_names_and_seed_alone():
    forth = divide(images(30), [], ALL, CalibrateSettings())
    back = divide(images(30)[::-1], [], ALL, CalibrateSettings())
    other = divide(images(30), [], ALL, CalibrateSettings(seed=1))
    assert forth == back
    assert names(forth.fit) != names(other.fit)


def test_fewer_images_than_parts_are_refused_and_the_parts_named():
    with pytest.raises(ConfigError, match="has 2 images, but 4 parts need one each") as caught:
        divide(images(2), [], ALL, CalibrateSettings())
    assert "--report-split" in str(caught.value)
    assert divide(images(1), images(1, "test"), Needs(True, False, False), CalibrateSettings()).counts() == {
        "fit": 1,
        "report": 1,
    }


@pytest.mark.parametrize("split", ["train", "val", "val_sea"])
def test_images_that_chose_the_model_are_refused_unless_allowed(split: str):
    catalog = Catalog(images(3, split))
    with pytest.raises(ConfigError, match="--allow-selected"):
        images_of(catalog, CalibrateSettings(split=split))
    assert len(images_of(catalog, CalibrateSettings(split=split, allow_selected=True))) == 3


def test_a_missing_role_says_how_to_get_one():
    with pytest.raises(ConfigError, match=r"no split \"calibrate\", only train.*data\.split\.fractions"):
        images_of(Catalog(images(3, "train")), CalibrateSettings())


def test_images_without_labels_are_left_out():
    catalog = Catalog([*images(2), entry("plain", "calibrate", labelled=False)])
    assert len(images_of(catalog, CalibrateSettings())) == 2
    with pytest.raises(ConfigError, match="--unlabelled"):
        images_of(Catalog([entry("plain", "calibrate", labelled=False)]), CalibrateSettings())


def test_reports_are_of_the_test_images_where_there_are_any():
    catalog = Catalog([*images(2), entry("t", "test"), entry("v", "val")])
    assert reporting_images(catalog, CalibrateSettings())[0] == "test"
    assert reporting_images(catalog, CalibrateSettings(report_split="val"))[0] == "val"
    assert reporting_images(Catalog(images(2)), CalibrateSettings()) == ("calibrate", [])
    assert reporting_images(catalog, CalibrateSettings(split="test")) == ("test", [])
    with pytest.raises(ConfigError, match="which is calibrated on"):
        reporting_images(catalog, CalibrateSettings(report_split="calibrate"))
    with pytest.raises(ConfigError, match='no split "val_sea"'):
        reporting_images(catalog, CalibrateSettings(report_split="val_sea"))
