"""One image and its label looked at whole: what is measured of sound files, and what is said of each damage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from scipy.ndimage import gaussian_filter

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.source import Pair
from terrazzo.data.validity import ValidityMask
from terrazzo.data.verify import files
from terrazzo.data.verify.examination import Examined, examine
from terrazzo.data.verify.settings import VerifySettings

PLACE = Affine(2, 0, 400_000, 0, -2, 4_000_000)


def write(path: Path, planes: np.ndarray, **changes: object) -> Path:
    planes = planes[None] if planes.ndim == 2 else planes
    profile = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
    place = {"crs": "EPSG:32612", "transform": PLACE, **changes}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as out:
        out.write(planes)
    return path


def pair_of(image: Path, label: Path | None = None, **parts: object) -> Pair:
    return Pair(image.stem, image, None if label is None else RasterLabel(rasters=(label,)), **parts)


def settings(**changes: object) -> DataSettings:
    source = {"name": "folder", "folder": "unused"}
    return DataSettings.model_validate({"source": source, "classes": ["land", "water"], **changes})


def look(pair: Pair, *, georeferenced: bool = False, checks: tuple[str, ...] | None = None, **data: object) -> Examined:
    chosen = VerifySettings() if checks is None else VerifySettings(checks=checks)
    return examine(pair, settings(**data), chosen, georeferenced=georeferenced)


def told(one: Examined) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.check, Path(finding.file).name) for finding in one.findings]


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Two bands of odd size, and a label whose classes they show."""
    draw = np.random.default_rng(5)
    target = (gaussian_filter(draw.normal(size=(101, 67)), 5) > 0).astype(np.uint8)
    image = 1000 + 400.0 * target + 50 * draw.normal(size=(2, 101, 67))
    return image.astype(np.uint16), target


def test_what_is_known_of_sound_files(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    folder = tmp_path / "Äcker and 田"
    folder.mkdir()
    image[:, :10] = 0
    target[:10] = 255
    pair = pair_of(write(folder / "a b.tif", image, nodata=0), write(folder / "a b label.tif", target))
    one = look(pair, georeferenced=True, classes={"items": ["land", "water"], "ignore_values": [255]})
    assert one.findings == ()
    assert not one.broken
    assert one.pair is pair
    assert one.band_names == ("gray", "band_2")
    assert one.class_pixels == (int((target == 0).sum()), int((target == 1).sum()))
    # Every fourth row and column, the first of which hold nothing.
    sample = image[:, 12::4, ::4].reshape(2, -1).astype(np.float64)
    assert one.moments.pixels == sample.shape[1]
    assert one.moments.mean == pytest.approx(sample.mean(axis=1), rel=1e-12)
    assert one.moments.squares == pytest.approx(sample.var(axis=1) * sample.shape[1], rel=1e-9)
    assert {tuple(corner) for corner in one.corners} == {(0, 10), (67, 10), (67, 101), (0, 101)}
    assert one.picture.shape == (32, 32)
    assert (one.header.entry.height, one.header.entry.width) == (101, 67)


def test_what_is_not_looked_for_is_not_measured(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    pair = pair_of(write(tmp_path / "a.tif", image), write(tmp_path / "b.tif", target))
    one = look(pair, checks=("files",))
    assert (one.picture, one.corners, one.class_pixels, one.moments.pixels) == (None, (), (), 0)
    assert look(pair, checks=("duplicates",)).picture is not None
    assert look(pair, checks=("places",)).corners != ()
    assert look(pair, checks=("classes",)).class_pixels != ()
    assert look(pair, checks=("drift",)).moments.pixels == 26 * 17


@pytest.mark.parametrize("strip_bytes", [1, 3 * 2 * 2 * 67, 2**23])
def test_measures_do_not_depend_on_strips(
    tmp_path: Path, scene: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, strip_bytes: int
) -> None:
    image, target = scene
    pair = pair_of(write(tmp_path / "a.tif", image, blockysize=1), write(tmp_path / "b.tif", target))
    whole = look(pair)
    monkeypatch.setattr(files, "STRIP_BYTES", strip_bytes)
    one = look(pair)
    assert (one.moments, one.class_pixels, one.corners) == (whole.moments, whole.class_pixels, whole.corners)
    assert np.array_equal(one.picture, whole.picture)
    parts = (replace(pair, image_id="a#all", split="train"),)
    divided = examine(pair, settings(), VerifySettings(), georeferenced=False, parts=parts)
    assert divided.portions[0].moments == whole.moments


def test_an_image_without_label_or_place(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (33, 20, 3), dtype=np.uint8)).save(path)
    one = look(pair_of(path))
    assert (one.findings, one.class_pixels, one.corners) == ((), (), ())


def test_a_single_pixel(tmp_path: Path) -> None:
    pair = pair_of(
        write(tmp_path / "a.tif", np.array([[[7]], [[7]]], np.uint8)), write(tmp_path / "b.tif", np.ones((1, 1), "u1"))
    )
    one = look(pair)
    assert told(one) == [("warning", "constant", "a.tif")]
    assert one.findings[0].what == "one value at every pixel: gray is 7, band_2 is 7"
    assert one.class_pixels == (0, 1)
    assert one.picture is None


def test_one_odd_pixel_is_enough_to_be_of_several_values(tmp_path: Path) -> None:
    image = np.full((300, 301), 9, np.uint8)
    image[171, 93] = 10
    assert look(pair_of(write(tmp_path / "a.tif", image))).findings == ()


def test_no_valid_pixel(tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif", np.full((2, 9, 9), np.nan, np.float32))
    one = look(pair_of(image, write(tmp_path / "b.tif", np.zeros((9, 9), np.uint8))))
    assert {("error", "empty", "a.tif"), ("warning", "nodata", "b.tif")} <= set(told(one))
    assert one.class_pixels == (0, 0)
    assert not one.broken


def test_a_mask_makes_pixels_missing(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    classes = np.full((101, 67), 4, np.uint8)
    classes[:40] = 9
    mask = ValidityMask(file=write(tmp_path / "m.tif", classes), missing=(9,))
    pair = pair_of(write(tmp_path / "a.tif", image), write(tmp_path / "b.tif", target), mask=mask)
    one = look(pair)
    assert told(one) == [("warning", "nodata", "b.tif")]
    assert one.findings[0].what.startswith(f"{40 * 67} labelled pixels")
    assert one.class_pixels == (int((target[40:] == 0).sum()), int((target[40:] == 1).sum()))


def test_files_that_are_not_there(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    pair = pair_of(tmp_path / "none.tif", write(tmp_path / "b.tif", scene[1]))
    one = look(pair)
    assert (told(one), one.broken, one.header) == ([("error", "unreadable", "none.tif")], True, None)
    # What is left is decoded all the same.
    pair.label.file.write_bytes(pair.label.file.read_bytes()[:-900])
    assert told(look(pair)) == [("error", "unreadable", "none.tif"), ("error", "unreadable", "b.tif")]
    (tmp_path / "none.tif").touch()
    assert told(look(pair)) == [("error", "empty", "none.tif"), ("error", "unreadable", "b.tif")]


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_truncated_images(tmp_path: Path, suffix: str, kept: float) -> None:
    path, label = tmp_path / f"ä b{suffix}", tmp_path / "b.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(path)
    Image.fromarray(np.eye(90, 120).astype(np.uint8)).save(label)
    assert look(pair_of(path, label)).findings == ()
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    one = look(pair_of(path, label))
    assert told(one) == [("error", "unreadable", path.name)]
    assert one.broken
    assert one.picture is None


def test_a_damaged_label_leaves_its_image_measured(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    label = write(tmp_path / "b.tif", target)
    label.write_bytes(label.read_bytes()[:-200])
    one = look(pair_of(write(tmp_path / "a.tif", image), label))
    assert told(one) == [("error", "unreadable", "b.tif")]
    assert one.broken
    assert one.picture is not None
    assert one.moments.pixels == 26 * 17


@pytest.mark.parametrize("size", [(101, 66), (1, 1), (202, 134)])
def test_a_label_of_another_size(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray], size: tuple[int, int]) -> None:
    image, label = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray((scene[0][0] // 8).astype(np.uint8)).save(image)
    Image.fromarray(np.zeros(size, np.uint8)).save(label)
    one = look(pair_of(image, label))
    assert told(one) == [("error", "grid", "b.png")]
    assert f"{size[0]} x {size[1]}" in one.findings[0].what
    assert "101 x 67" in one.findings[0].what
    assert (one.broken, one.header) == (False, None)


def test_a_label_elsewhere(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    label = write(tmp_path / "b.tif", target, transform=Affine(2, 0, 900_000, 0, -2, 4_000_000))
    one = look(pair_of(write(tmp_path / "a.tif", image), label), georeferenced=True)
    assert [(severity, check) for severity, check, _ in told(one)] == [("error", "grid")]
    assert "no label lies on the image" in one.findings[0].what


def test_an_image_without_reference_system_where_one_is_needed(
    tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]
) -> None:
    pair = pair_of(write(tmp_path / "a.tif", scene[0], crs=None))
    assert told(look(pair, georeferenced=True)) == [("error", "crs", "a.tif")]
    assert look(pair, georeferenced=False).findings == ()


def test_a_label_without_reference_system(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    image_path = write(tmp_path / "a.tif", image)
    label = write(tmp_path / "b.tif", target, crs=None)
    assert told(look(pair_of(image_path, label))) == [("warning", "crs", "b.tif")]
    # A PNG cannot have one.
    plain = tmp_path / "b.PNG"
    Image.fromarray(target).save(plain)
    assert look(pair_of(image_path, plain)).findings == ()


def test_a_palette_image(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 4, (20, 20), dtype=np.uint8), mode="L").convert("P")
    picture.save(tmp_path / "a.png")
    one = look(pair_of(tmp_path / "a.png"))
    assert told(one) == [("error", "palette", "a.png")]
    assert not one.broken


def test_values_that_no_class_lists(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, target = scene
    target[57:60, 31] = 9
    pair = pair_of(write(tmp_path / "a.tif", image), write(tmp_path / "b.tif", target))
    one = look(pair)
    assert told(one) == [("error", "unlisted", "b.tif")]
    assert "9 (3 pixels, first at y 57, x 31)" in one.findings[0].what
    assert one.class_pixels == (int((target == 0).sum()), int((target == 1).sum()))
    lenient = look(pair, classes={"items": ["land", "water"], "unlisted": "ignore"})
    assert told(lenient) == [("warning", "unlisted", "b.tif")]


def test_a_label_of_another_kind_than_classes_are_listed(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = scene
    pair = pair_of(write(tmp_path / "a.tif", image), write(tmp_path / "b.tif", np.zeros((2, 101, 67), np.uint8)))
    one = look(pair)
    assert told(one) == [("error", "unlisted", "b.tif")]
    assert not one.broken
    assert one.picture is not None


def test_bands_are_those_that_the_settings_name(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = scene
    pair = pair_of(write(tmp_path / "a.tif", image))
    one = look(pair, bands=["band_2"])
    assert one.band_names == ("band_2",)
    assert one.moments.mean == pytest.approx([image[1, ::4, ::4].mean()], rel=1e-12)
    # That a band is missing shows between images; each is still decoded whole.
    assert look(pair, bands=["nir"]).band_names == ("gray", "band_2")


def test_a_label_beside_its_image(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    target = np.digitize(gaussian_filter(draw.normal(size=(400, 400)), 9), [-0.02, 0.02]).astype(np.uint8) // 2
    image = (1000 + 400.0 * target + 80 * draw.normal(size=(1, 400, 400))).astype(np.uint16)
    pair = pair_of(write(tmp_path / "a.tif", image), write(tmp_path / "b.tif", np.roll(target, (6, 0), axis=(0, 1))))
    one = look(pair)
    assert told(one) == [("hint", "shift", "b.tif")]
    assert "6 pixels up and 0 pixels" in one.findings[0].what
    assert look(pair, checks=("files", "duplicates")).findings == ()
    sound = replace(pair, label=RasterLabel(rasters=(write(tmp_path / "c.tif", target),)))
    assert look(sound).findings == ()


def test_a_landsat_scene_of_separate_bands_and_its_label_on_another_grid(real_data: Path) -> None:
    folder = real_data / "zion_landsat_nlcd" / "raster"
    first, *others = sorted(folder.glob("landsat_b?.tif"))
    classes = [{"name": f"class {value}", "values": [value]} for value in range(1, 9)]
    pair = pair_of(first, folder / "nlcd.tif", extra=tuple(others))
    one = look(pair, georeferenced=True, classes={"items": classes, "unlisted": "ignore"})
    assert not one.broken
    assert {finding.check for finding in one.findings} <= {"nodata", "unlisted"}
    planes = [rasterio.open(path).read(1) for path in (first, *others)]
    valid = np.all([plane != 65535 for plane in planes], axis=0)[::4, ::4]
    assert one.moments.pixels == int(valid.sum())
    assert one.moments.mean == pytest.approx([plane[::4, ::4][valid].mean() for plane in planes], rel=1e-9)
    with rasterio.open(folder / "nlcd.tif") as file:
        shares = np.bincount(file.read(1).ravel(), minlength=9)[1:9] / file.read(1).size
    assert np.array(one.class_pixels) / sum(one.class_pixels) == pytest.approx(shares / shares.sum(), abs=0.02)


@pytest.mark.parametrize("folder", ["cloud38_sample", "deepglobe_roads_sample"])
def test_real_photographs_are_sound(real_data: Path, folder: str) -> None:
    files = sorted(path for path in (real_data / folder).rglob("*") if path.suffix in {".TIF", ".jpg"})
    image = next(path for path in files if "gt" not in path.name.lower())
    one = look(pair_of(image))
    assert (one.findings, one.broken) == ((), False)
    with rasterio.open(image) as file:
        expected = file.read()[:, ::4, ::4].astype(np.float64)
    assert one.moments.mean == pytest.approx(expected.mean(axis=(1, 2)), rel=1e-9)


def test_one_band_that_says_nothing(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 255, (3, 40, 30)).astype(np.uint8)
    planes[1] = 9
    assert look(pair_of(write(tmp_path / "b.tif", planes))).findings[0].what == "one value at every pixel: green is 9"
    # A single pixel among all is enough to say something.
    planes[1, 17, 23] = 10
    assert look(pair_of(write(tmp_path / "c.tif", planes))).findings == ()
