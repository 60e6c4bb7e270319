import numpy as np
import pytest
import rasterio

from terrazzo.data.synthetic.landscape import BAND_NAMES
from terrazzo.data.synthetic.scenes import CLASS_COLOURS, CLASS_NAMES, SIDES, write_landscape
from terrazzo.errors import DataError
from terrazzo.geo.raster import RasterFile

SMALL = {"train": 90, "val": 40, "test": 70}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ein Land") / "Dörfer"
    write_landscape(place, seed=1, sides=SMALL)
    return place


def test_writes_a_scene_and_a_label_a_role(folder):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.tif"))
    assert names == [f"{kind}/{role}_0.tif" for kind in ("gt", "images") for role in ("test", "train", "val")]


@pytest.mark.parametrize("role", SMALL)
def test_image_and_label_share_one_projected_grid(folder, role):
    with RasterFile(folder / "images" / f"{role}_0.tif") as image, RasterFile(folder / "gt" / f"{role}_0.tif") as label:
        assert image.grid == label.grid
        assert (image.grid.height, image.grid.width) == (SMALL[role], SMALL[role])
        assert image.grid.resolution_m == 0.5
        assert image.grid.crs is not None
        assert image.grid.crs.to_epsg() == 32632


def test_bands_say_what_they_are(folder):
    with RasterFile(folder / "images" / "train_0.tif") as image:
        assert image.bands.names == BAND_NAMES
        assert image.alpha is None
        for band in image.bands:
            assert (band.dtype, band.nodata, band.scale, band.unit) == ("uint16", 0.0, 1e-4, "reflectance")


def test_nodata_of_image_and_label_agree(folder):
    with RasterFile(folder / "images" / "test_0.tif") as image, RasterFile(folder / "gt" / "test_0.tif") as label:
        seen, drawn = image.read(), label.read()
    assert (~seen.valid).any()
    np.testing.assert_array_equal(seen.valid, drawn.valid)
    assert set(np.unique(drawn.values[0][drawn.valid])) <= set(range(6))


def test_labels_carry_colours_and_names(folder):
    with rasterio.open(folder / "gt" / "train_0.tif") as label:
        colours = label.colormap(1)
        assert [colours[value][:3] for value in range(6)] == list(CLASS_COLOURS)
        assert [label.tags()[f"class_{value}"] for value in range(6)] == list(CLASS_NAMES)
        assert label.nodata == 255


def test_files_are_tiled_and_compressed(folder):
    with rasterio.open(folder / "images" / "train_0.tif") as image:
        assert image.profile["tiled"]
        assert image.profile["compress"] == "deflate"


def test_scenes_lie_apart(folder):
    lefts = []
    for role in SMALL:
        with RasterFile(folder / "images" / f"{role}_0.tif") as image:
            lefts.append(image.grid.bounds[0])
    assert np.diff(lefts).min() > 0.5 * max(SIDES.values())


def test_scenes_of_one_seed_differ(tmp_path):
    write_landscape(tmp_path, seed=0, sides={"train": 50, "val": 50})
    images = []
    for role in ("train", "val"):
        with rasterio.open(tmp_path / "images" / f"{role}_0.tif") as source:
            images.append(source.read())
    assert (images[0] != images[1]).mean() > 0.9


def test_a_second_call_keeps_the_files(tmp_path):
    write_landscape(tmp_path, seed=0, sides={"train": 20})
    before = (tmp_path / "images" / "train_0.tif").stat().st_mtime_ns
    assert write_landscape(tmp_path, seed=0, sides={"train": 20}) == {"train": tmp_path / "images" / "train_0.tif"}
    assert (tmp_path / "images" / "train_0.tif").stat().st_mtime_ns == before


def test_a_missing_file_or_another_seed_draws_anew(tmp_path):
    first = write_landscape(tmp_path, seed=0, sides={"train": 20})["train"]
    content = first.read_bytes()
    (tmp_path / "gt" / "train_0.tif").unlink()
    write_landscape(tmp_path, seed=0, sides={"train": 20})
    assert (tmp_path / "gt" / "train_0.tif").is_file()
    assert first.read_bytes() == content
    write_landscape(tmp_path, seed=1, sides={"train": 20})
    assert first.read_bytes() != content


def test_refuses_a_side_of_nothing(tmp_path):
    with pytest.raises(DataError, match="side of 0 pixels"):
        write_landscape(tmp_path, seed=0, sides={"train": 0})
    assert not (tmp_path / "landscape.json").exists()
