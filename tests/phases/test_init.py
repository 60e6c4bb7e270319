"""`init`: what it makes of folders, and that what it writes is prepared as it stands."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from terrazzo.config import load_config
from terrazzo.data.prepare import prepare_data
from terrazzo.data.verify.audit import take_inventory, verify_pairs
from terrazzo.errors import DataError, StorageError
from terrazzo.phases.init import init

FOLDERS = {
    # Folder: source, bands, classes, labelled images.
    "camvid": ("camvid", 3, 11, 12),
    "cityscapes_frame": ("cityscapes", 3, 19, 1),
    "cityscapes_layout_camvid": ("cityscapes", 3, 19, 2),
    "cloud38_sample": ("band_files", 4, 2, 1),
    "cvat_moor": ("cvat", 3, 2, 3),
    "deepglobe_landcover_thumb": ("deepglobe", 3, 6, 1),
    "deepglobe_roads_sample": ("deepglobe", 3, 2, 1),
    "dubai": ("folder", 3, 5, 10),
    "geotiff_label_raster_tiles": ("geotiff", 3, 2, 2),
    "geotiff_newbrunswick": ("geotiff", 3, 4, 2),
    "geotiff_spacenet_rgbnir_geojson": ("geotiff", None, 2, 1),
    "zion_landsat_nlcd": ("band_files", 4, 8, 1),
    "zion_rgb_nir_tiles": ("folder", 4, 8, 6),
}


def copied(source: Path, target: Path) -> Path:
    """Link a data set, of large ones a few images for each folder."""
    few = {"camvid": 6, "dubai": 2}.get(source.name, 10**6)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if len(list(place.parent.iterdir())) < few or path.suffix not in {".png", ".jpg"}:
                place.symlink_to(path)
    for listed in target.glob("*.txt"):
        if source.name == "camvid":
            listed.unlink()
    return target


def prepared(summary, tmp_path):
    config = load_config(str(summary.config))
    settings = config.prepare.model_copy(update={"folder": tmp_path / "prepared"})
    return config, prepare_data(config.data, settings)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_real_folder_is_prepared_as_written(real_data, tmp_path, name):
    source, bands, classes, images = FOLDERS[name]
    folder = copied(real_data / name, tmp_path / "Daten für später" / name)
    summary = init(folder, out=tmp_path / "out")
    assert summary.config == tmp_path / "out" / "terrazzo.yaml"
    config, data = prepared(summary, tmp_path)
    assert (config.data.source.name, summary.images) == (source, images)
    assert len(data.classes) == classes
    assert bands is None or len(data.bands) == bands
    # `run` verifies first and stops on errors.
    audit = verify_pairs(take_inventory(config.data), config.data, config.verify)
    assert [finding for finding in audit.findings if finding.severity == "error"] == []
    labelled = {role: sum(counts) for role, counts in data.pixel_counts.items()}
    assert all(labelled.values())
    # The one frame of Cityscapes lies in val/; wherever else images may take both roles, they do.
    assert set(labelled) >= ({"val"} if name == "cityscapes_frame" else {"train", "val"})
    json.dumps(summary.as_dict())


def test_shares_are_those_of_the_masks(real_data, tmp_path):
    """Counted by hand over the six masks of values 1..8; 0 is no data."""
    folder = real_data / "zion_rgb_nir_tiles"
    found = np.concatenate([np.asarray(Image.open(path)).ravel() for path in sorted((folder / "masks").iterdir())])
    counts = np.bincount(found, minlength=9)[1:9]
    summary = init(folder, out=tmp_path)
    assert list(summary.shares.values()) == pytest.approx((counts / counts.sum()).tolist())
    assert list(summary.shares)[3] == "forest"


def test_dubai_is_split_by_place_with_the_colours_of_its_masks(real_data, tmp_path):
    summary = init(copied(real_data / "dubai", tmp_path / "dubai"), out=tmp_path)
    data = load_config(str(summary.config)).data
    assert data.split.regions == {"train": ("Tile 1", "Tile 2", "Tile 3"), "val": ("Tile 4",), "test": ("Tile 7",)}
    assert {item.name: item.colour for item in data.classes.items}["building"] == (0x3C, 0x10, 0x98)
    assert any("classes.json" in reason for reason in summary.reasons)


def write(path: Path, values: np.ndarray, **settings: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not settings:
        Image.fromarray(values).save(path)
        return
    bands = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    transform = settings.pop("transform", Affine(1, 0, 500_000, 0, -1, 5_000_000))
    with rasterio.open(path, "w", dtype=bands.dtype, crs="EPSG:32632", transform=transform, **profile, **settings) as f:
        f.write(bands)


def photo(seed: int, size: tuple[int, int] = (48, 56), bands: int = 3) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (*size, bands), dtype=np.uint8)
    return values if bands > 1 else values[..., 0]


def mask(seed: int, values: tuple[int, ...] = (0, 1, 2), size: tuple[int, int] = (48, 56)) -> np.ndarray:
    rows = np.arange(size[0])[:, None] + np.arange(size[1]) + seed
    return np.array(values, dtype=np.uint8)[rows // 9 % len(values)]


LAYOUTS = {
    "roles beside labels of the same role": ("tiff/train/{0}.tiff", "tiff/train_labels/{0}.tif", "folder"),
    "folders": ("images/{0}.png", "labels/{0}.png", "folder"),
    "folders by role": ("train/images/{0}.jpg", "train/gt/{0}.png", "folder"),
    "role outside and in": ("train_images/{0}.png", "train_masks/{0}.png", "folder"),
    "role folders called otherwise": ("valid/pictures/{0}.png", "valid/classes/{0}.png", "folder"),
    "one folder, words": ("{0}_img.png", "{0}_mask.png", "folder"),
    "one folder, word and none": ("{0}.png", "{0}_label.png", "folder"),
    "one folder, suffixes": ("{0}.jpg", "{0}.png", "folder"),
    "words before": ("image_{0}.PNG", "label_{0}.PNG", "folder"),
    "folders without words": ("a/{0}.png", "b/{0}.png", "folder"),
    "unicode and spaces": ("Bilder ä ö/{0} ñ.png", "Klassen ß/{0} ñ.png", "folder"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_plain_images(tmp_path, layout):
    image, label, source = LAYOUTS[layout]
    for number in range(6):
        write(tmp_path / "data" / image.format(f"x{number}"), photo(number))
        write(tmp_path / "data" / label.format(f"x{number}"), mask(number))
    summary = init(tmp_path / "data", out=tmp_path)
    assert (summary.source, summary.images) == (source, 6)
    _, data = prepared(summary, tmp_path)
    assert sum(sum(counts) for counts in data.pixel_counts.values()) == 6 * 48 * 56
    assert len(data.classes) == 3


def test_georeferenced_pairs_take_the_source_geotiff(tmp_path):
    for number in range(5):
        write(tmp_path / "data" / "images" / f"{number}.tif", photo(number), nodata=None)
        write(tmp_path / "data" / "gt" / f"{number}.tif", mask(number), nodata=None)
    summary = init(tmp_path / "data", out=tmp_path)
    assert summary.source == "geotiff"
    prepared(summary, tmp_path)


def test_scenes_under_one_label_raster(tmp_path):
    for number in range(2):
        place = Affine(1, 0, 500_000 + 56 * number, 0, -1, 5_000_000)
        write(tmp_path / "data" / f"scene {number}.tif", photo(number), transform=place)
    write(tmp_path / "data" / "cover.tif", mask(0, size=(48, 112)), nodata=None)
    summary = init(tmp_path / "data", out=tmp_path)
    assert (summary.source, summary.images) == ("geotiff", 2)
    _, data = prepared(summary, tmp_path)
    assert sum(sum(counts) for counts in data.pixel_counts.values()) == 2 * 48 * 56


def test_places_with_folders_of_other_names(tmp_path):
    for place in ("Ost", "West", "Nord"):
        for number in range(2):
            write(tmp_path / "data" / place / "fotos" / f"{number}.png", photo(number))
            write(tmp_path / "data" / place / "klassen" / f"{number}.png", mask(number))
    summary = init(tmp_path / "data", out=tmp_path)
    config, _ = prepared(summary, tmp_path)
    assert config.data.split.regions == {"train": ("Nord", "Ost"), "val": ("West",)}


def test_places_below_roles(tmp_path):
    for role in ("Train", "Val"):
        for place in ("Rural", "Urban"):
            for number in range(2):
                write(tmp_path / "data" / role / place / "images_png" / f"{number}.png", photo(number))
                write(tmp_path / "data" / role / place / "masks_png" / f"{number}.png", mask(number))
    summary = init(tmp_path / "data", out=tmp_path)
    _, data = prepared(summary, tmp_path)
    assert summary.images == 8
    assert {role: len(data.catalog.entries(role)) for role in data.catalog.splits} == {"train": 4, "val": 4}


def test_a_sentinel_product_with_one_label(tmp_path):
    place = Path(__file__).parents[1] / "data" / "sources" / "safe_products.py"
    spec = importlib.util.spec_from_file_location("safe_products", place)
    products = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(products)
    products.write_product(tmp_path / "data")
    ten = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    write(tmp_path / "data" / "label.tif", mask(0, size=(24, 24)), transform=ten)
    summary = init(tmp_path / "data", out=tmp_path)
    assert (summary.source, summary.images, len(summary.bands)) == ("safe", 1, 12)
    _, data = prepared(summary, tmp_path)
    # 60 m are six by six pixels of 10 m: the missing corner of the coarsest band is missing in all.
    assert sum(sum(counts) for counts in data.pixel_counts.values()) <= 24 * 24 - 36


def test_files_that_are_left_aside_are_said(tmp_path):
    for number in range(3):
        write(tmp_path / "data" / "images" / f"{number}.png", photo(number))
        write(tmp_path / "data" / "masks" / f"{number}.png", mask(number))
    write(tmp_path / "data" / "overview.png", photo(9))
    assert "1 raster file not used, such as overview.png." in init(tmp_path / "data", out=tmp_path).found


def test_a_table_with_a_header(tmp_path):
    lines = ["picture;classes;set"]
    for number in range(4):
        write(tmp_path / "data" / "a" / f"{number}.png", photo(number))
        write(tmp_path / "data" / "b" / f"other {number}.png", mask(number))
        lines.append(f"a/{number}.png;b/other {number}.png;{'train' if number else 'val'}")
    (tmp_path / "data" / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    summary = init(tmp_path / "data", out=tmp_path)
    assert summary.source == "table"
    _, data = prepared(summary, tmp_path)
    assert {entry.split for entry in data.catalog} == {"train", "val"}


def test_a_value_that_was_not_in_the_sample_is_no_error(tmp_path):
    """Thirty masks, of which one that is not sampled holds a value of its own."""
    for number in range(30):
        write(tmp_path / "data" / "images" / f"{number:02}.png", photo(number))
        write(tmp_path / "data" / "masks" / f"{number:02}.png", mask(number))
    sampled = {int(step * 30 / 24) for step in range(24)}
    other = min(set(range(30)) - sampled)
    write(tmp_path / "data" / "masks" / f"{other:02}.png", mask(0, (0, 1, 9)))
    summary = init(tmp_path / "data", out=tmp_path)
    assert summary.sampled == 24
    config, data = prepared(summary, tmp_path)
    assert config.data.classes.unlisted == "ignore"
    assert data.unlisted_counts


def test_nothing_is_overwritten(tmp_path):
    write(tmp_path / "data" / "images" / "a.png", photo(0))
    write(tmp_path / "data" / "masks" / "a.png", mask(0))
    file = tmp_path / "terrazzo.yaml"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(StorageError, match=r"terrazzo\.yaml exists already"):
        init(tmp_path / "data", out=tmp_path)
    assert file.read_text(encoding="utf-8") == "mine"
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="exists already"):
        init(tmp_path / "data", out=tmp_path)


def test_the_working_directory_and_a_file_of_ones_own(tmp_path, monkeypatch):
    write(tmp_path / "data" / "images" / "a.png", photo(0))
    write(tmp_path / "data" / "masks" / "a.png", mask(0))
    monkeypatch.chdir(tmp_path)
    assert init("data").config.resolve() == tmp_path / "terrazzo.yaml"
    assert init("data", out=Path("sub/mine.yml")).config.resolve() == tmp_path / "sub" / "mine.yml"


@pytest.mark.parametrize("name", ["${x} a", 'quote " \\ it', "hash # colon: {brace}", "日本", "- dash", "true"])
def test_folders_whose_names_mean_something_in_yaml(tmp_path, name):
    for number in range(2):
        write(tmp_path / name / "images" / f"{number}.png", photo(number))
        write(tmp_path / name / "masks" / f"{number}.png", mask(number))
    summary = init(tmp_path / name, out=tmp_path)
    config, _ = prepared(summary, tmp_path)
    assert config.data.source.folder == tmp_path / name


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no data set is recognised, since it is empty"):
        init(tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_text(tmp_path):
    for name in ("a.txt", "b ü.txt", "c.docx"):
        (tmp_path / name).write_text("words", encoding="utf-8")
    with pytest.raises(DataError, match=r"it holds 3 files \(2 \.txt, 1 \.docx\), such as a\.txt") as caught:
        init(tmp_path)
    assert "Looked for: Sentinel-2 SAFE folders; Cityscapes" in str(caught.value)


def test_images_without_labels(tmp_path):
    for number in range(3):
        write(tmp_path / "images" / f"{number}.jpg", photo(number))
    with pytest.raises(
        DataError, match=r"no data set with images and labels is recognised; it holds 3 files \(3 \.jpg"
    ):
        init(tmp_path)


def test_two_folders_of_photographs_are_no_labels(tmp_path):
    for number in range(3):
        write(tmp_path / "left" / f"{number}.png", photo(number))
        write(tmp_path / "right" / f"{number}.png", photo(number + 10))
    with pytest.raises(DataError, match="no data set with images and labels is recognised"):
        init(tmp_path)


def test_a_near_miss_is_told(tmp_path):
    write(tmp_path / "images" / "a.png", photo(0))
    write(tmp_path / "masks" / "b.png", mask(0))
    with pytest.raises(DataError, match=r"Came near: folders of images and labels: .*images/a\.png"):
        init(tmp_path)


def test_a_damaged_label(tmp_path):
    write(tmp_path / "images" / "a.png", photo(0))
    write(tmp_path / "masks" / "a.png", mask(0))
    path = tmp_path / "masks" / "a.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"masks/a\.png"):
        init(tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out" / "terrazzo.yaml").exists()


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="is not a folder; name the folder"):
        init(tmp_path / "none")


def test_a_place_that_cannot_be_written(tmp_path):
    write(tmp_path / "images" / "a.png", photo(0))
    write(tmp_path / "masks" / "a.png", mask(0))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        init(tmp_path, out=tmp_path / "file" / "sub")


def test_nothing_is_written_into_the_data(real_data, tmp_path):
    folder = copied(real_data / "zion_rgb_nir_tiles", tmp_path / "data")
    before = sorted(folder.rglob("*"))
    init(folder, out=tmp_path)
    assert sorted(folder.rglob("*")) == before
    shutil.rmtree(folder)


def test_a_band_of_a_scene_that_is_marked_as_transparency_is_told(real_data, tmp_path):
    summary = init(real_data / "geotiff_spacenet_rgbnir_geojson", out=tmp_path)
    assert "band 4 is marked as transparency" in summary.config.read_text().lower().replace("\n# ", " ")
