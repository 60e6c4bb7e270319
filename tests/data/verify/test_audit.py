"""Whole data sets with one fault each: what is found, how bad it is, and what is left alone."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from scipy.ndimage import gaussian_filter

from terrazzo.data.settings import DataSettings
from terrazzo.data.verify.audit import Audit, take_inventory, verify_pairs
from terrazzo.data.verify.finding import Finding
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.progress import Event

SIDE = 96
WEST = 400_000


class Scenes:
    """Writes georeferenced scenes side by side, each with a label."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        ground = gaussian_filter(generator.normal(size=(SIDE, SIDE)), 5)
        target = (ground > np.median(ground)).astype(np.uint8)
        image = 1000 + 400.0 * target + 60 * generator.normal(size=(2, SIDE, SIDE))
        return image.astype(np.uint16), target

    def write(self, path: str, planes: np.ndarray, east: float, **settings: object) -> None:
        goal = self.folder / path
        goal.parent.mkdir(parents=True, exist_ok=True)
        planes = planes[None] if planes.ndim == 2 else planes
        size = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
        place = {"crs": "EPSG:32612", "transform": Affine(2, 0, WEST + east, 0, -2, 4_000_000), **settings}
        with rasterio.open(goal, "w", driver="GTiff", **size, **place) as out:
            out.write(planes)

    def add(self, split: str, name: str, seed: int, *, east: float | None = None, nodata: int | None = None) -> None:
        image, target = self.draw(seed)
        east = 500.0 * seed if east is None else east
        self.write(f"{split}/images/{name}.tif", image, east, **({} if nodata is None else {"nodata": nodata}))
        self.write(f"{split}/gt/{name}.tif", target, east)

    def audit(self, **settings: object) -> Audit:
        data = self.data()
        return verify_pairs(take_inventory(data), data, VerifySettings.model_validate(settings))

    def data(self, **settings: object) -> DataSettings:
        source = {"name": "geotiff", "folder": str(self.folder)}
        return DataSettings.model_validate({"source": source, "classes": ["land", "water"], **settings})


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    scenes = Scenes(tmp_path / "a set")
    for seed, (split, name) in enumerate([("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")]):
        scenes.add(split, name, seed)
    return scenes


def told(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(one.severity, one.check, Path(one.file).name) for one in findings]


def test_sound_scenes(scenes: Scenes) -> None:
    audit = scenes.audit()
    assert audit.findings == ()
    assert audit.images == {"train": 2, "val": 1, "test": 1}
    assert audit.broken == ()
    target = np.concatenate([scenes.draw(0)[1], scenes.draw(1)[1]])
    assert audit.class_pixels["train"] == (int((target == 0).sum()), int((target == 1).sum()))
    # Scenes are 192 m wide and begin every 500 m, on a map whose scale is a little below 1 here.
    metres, here, there = audit.places.distances_m[("train", "val")]
    assert metres == pytest.approx(308, abs=1)
    assert (Path(here).name, Path(there).name) == ("b.tif", "c.tif")


def test_findings_do_not_depend_on_threads(scenes: Scenes) -> None:
    scenes.add("val", "e", 0, east=9000)
    scenes.add("test", "f", 9, east=40)
    one, many = (scenes.audit(workers=workers) for workers in (1, 4))
    assert one.findings == many.findings
    assert len(one.findings) == 2


def test_a_copy_in_another_split_is_an_error_and_in_the_same_a_warning(scenes: Scenes) -> None:
    image, target = scenes.draw(1)
    scenes.write("test/images/e.tif", image[:, :, ::-1], 9000)
    scenes.write("test/gt/e.tif", target[:, ::-1], 9000)
    scenes.add("train", "f", 0, east=9500)
    audit = scenes.audit()
    assert sorted(told(audit.findings)) == [("error", "duplicate", "b.tif"), ("warning", "duplicate", "f.tif")]
    error = audit.findings[0]
    assert "mirrored" in error.what
    assert "one is test, the other train" in error.what
    assert scenes.audit(accept=["duplicate"]).findings[0].severity == "warning"
    assert not scenes.audit(checks=["files"]).findings


def test_shared_ground_across_splits(scenes: Scenes) -> None:
    # 19.2 m of 192 m lie on scene c's ground.
    scenes.add("train", "e", 20, east=500 * 2 + 172.8)
    audit = scenes.audit()
    assert told(audit.findings) == [("error", "overlap", "c.tif")]
    assert "10% of the smaller footprint" in audit.findings[0].what


def test_ground_without_measurements_is_not_shared(scenes: Scenes) -> None:
    image, target = scenes.draw(20)
    image[:, :, :20] = 0
    scenes.write("train/images/e.tif", image, 500 * 2 + 172.8, nodata=0)
    scenes.write("train/gt/e.tif", target, 500 * 2 + 172.8)
    audit = scenes.audit()
    assert told(audit.findings) == [("warning", "nodata", "e.tif")]
    assert f"{20 * SIDE} labelled pixels" in audit.findings[0].what
    assert "first at y 0, x 0" in audit.findings[0].what


def test_splits_that_are_too_near(scenes: Scenes) -> None:
    findings = scenes.audit(distance_m=400).findings
    assert told(findings) == [("warning", "distance", "d.tif"), ("warning", "distance", "c.tif")]
    assert "308" in findings[0].what


def test_labels_that_say_nothing_and_images_that_hold_nothing(scenes: Scenes) -> None:
    image, target = scenes.draw(5)
    scenes.write("train/images/ignored.tif", image, 9000)
    scenes.write("train/gt/ignored.tif", np.full_like(target, 255), 9000)
    scenes.write("train/images/missing.tif", np.zeros_like(image), 9500, nodata=0)
    scenes.write("train/gt/missing.tif", target, 9500)
    scenes.write("train/images/even.tif", np.full_like(image, 7), 10_000)
    scenes.write("train/gt/even.tif", target, 10_000)
    data = scenes.data(classes={"items": ["land", "water"], "ignore_values": [255]})
    audit = verify_pairs(take_inventory(data), data, VerifySettings())
    found = {(check, name) for _, check, name in told(audit.findings)}
    assert {("unlabelled", "ignored.tif"), ("empty", "missing.tif"), ("constant", "even.tif")} <= found


def test_classes_that_a_split_lacks(scenes: Scenes) -> None:
    scenes.write("test/gt/d.tif", np.zeros((SIDE, SIDE), np.uint8), 1500)
    assert [(one.check, one.what) for one in scenes.audit().findings] == [("class", "class water is absent from test")]


def test_bands_that_drift(scenes: Scenes) -> None:
    image, _ = scenes.draw(3)
    scenes.write("test/images/d.tif", image * 3, 1500)
    findings = scenes.audit().findings
    assert {(one.severity, one.check) for one in findings} == {("warning", "drift")}
    assert len(findings) == 2
    assert "in test" in findings[0].what
    train = np.concatenate([scenes.draw(0)[0], scenes.draw(1)[0]], axis=1)[0]
    numbers = [float(text) for text in re.findall(r"[\d.]+\d", findings[0].what)]
    # Every fourth row and column is measured.
    assert numbers[:2] == [pytest.approx(3 * image[0].mean(), rel=0.03), pytest.approx(train.mean(), rel=0.03)]


def test_another_type_of_values(scenes: Scenes) -> None:
    image, _ = scenes.draw(1)
    scenes.write("train/images/b.tif", image.astype(np.float32), 500)
    assert told(scenes.audit(checks=["files"]).findings) == [("error", "bands", "b.tif")]


def test_a_shifted_label_is_a_hint(tmp_path: Path) -> None:
    scenes = Scenes(tmp_path)
    generator = np.random.default_rng(0)
    ground = gaussian_filter(generator.normal(size=(400, 400)), 9)
    target = np.digitize(ground, np.quantile(ground, [0.3, 0.6])).astype(np.uint8) // 2
    image = (1000 + 400.0 * target + 80 * generator.normal(size=(1, 400, 400))).astype(np.uint16)
    scenes.write("train/images/a.tif", image, 0)
    scenes.write("train/gt/a.tif", np.roll(target, (7, -5), axis=(0, 1)), 0)
    scenes.write("train/images/b.tif", image[:, ::-1], 5000)
    scenes.write("train/gt/b.tif", target[::-1], 5000)
    findings = scenes.audit(checks=["shifts"]).findings
    assert told(findings) == [("hint", "shift", "a.tif")]
    assert "7 pixels up and 5 pixels to the right" in findings[0].what


def test_damage_in_one_file_does_not_hide_that_in_another(scenes: Scenes) -> None:
    for path in ("train/images/a.tif", "train/gt/a.tif", "test/gt/d.tif"):
        file = scenes.folder / path
        file.write_bytes(file.read_bytes()[:-2000])
    audit = scenes.audit()
    assert [told([one])[0] for one in audit.findings if one.severity == "error"] == [
        ("error", "unreadable", "d.tif"),
        ("error", "unreadable", "a.tif"),
        ("error", "unreadable", "a.tif"),
    ]
    assert sorted(pair.image.name for pair in audit.broken) == ["a.tif", "d.tif"]


def test_progress_counts_images(scenes: Scenes) -> None:
    events: list[Event] = []
    data = scenes.data()
    verify_pairs(take_inventory(data), data, VerifySettings(), listener=events.append)
    assert (events[-1].kind, events[-1].done, events[-1].unit) == ("finish", 4, "images")


def test_an_unknown_list_is_told_and_images_are_still_looked_at(scenes: Scenes, tmp_path: Path) -> None:
    data = scenes.data(split={"lists": {"train": str(tmp_path / "none.txt")}})
    inventory = take_inventory(data)
    assert "none.txt" in inventory.findings[0].what
    assert len(inventory.pairs) == 4


def test_overlapping_scenes_that_blocks_divide_are_no_leak(tmp_path):
    scenes = Scenes(tmp_path)
    for number in range(8):
        image, target = scenes.draw(number)
        scenes.write(f"images/{number}.tif", image, 100.0 * number)
        scenes.write(f"gt/{number}.tif", target, 100.0 * number)
    for split, leaks in (({"fractions": {"train": 0.5, "val": 0.5}}, True), ({"blocks": {"size_m": 60}}, False)):
        data = scenes.data(split=split)
        audit = verify_pairs(take_inventory(data), data, VerifySettings())
        assert ("overlap" in {finding.check for finding in audit.findings}) == leaks


def test_road_masks_where_land_cover_is_expected(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(3):
        roads = np.zeros((32, 32), dtype=np.uint8)
        roads[:, 4 * number : 4 * number + 3] = 255
        image = generator.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}_sat.png")
        Image.fromarray(np.stack([roads] * 3, axis=2)).save(tmp_path / f"{number}_mask.png")
    said = {"name": "deepglobe", "folder": str(tmp_path), "val_share": 0}

    def told(**masks: str) -> list[Finding]:
        data = DataSettings.model_validate({"source": {**said, **masks}})
        found = verify_pairs(take_inventory(data), data, VerifySettings(checks=("files",), workers=1)).findings
        return [finding for finding in found if finding.severity == "error"]

    assert [(one.check, "data.source.masks: roads" in one.what) for one in told()] == [("listing", True)]
    assert told(masks="roads") == []
    assert told(masks="land_cover") == []
