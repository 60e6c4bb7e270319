"""Scenes of one file or address."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.single import address_entry, file_entry
from terrazzo.scene.rows import SceneRows

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]


def test_a_file(write_raster: Write, noise: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_raster("a b/ö.x.tif", noise(3, 5, 6), nodata=4)
    monkeypatch.chdir(tmp_path)
    entry = file_entry("a b/ö.x.tif", whole=True)
    assert (entry.name, entry.path, entry.files, entry.own_grid) == ("ö.x", "a b/ö.x.tif", (str(path),), True)
    with RasterFile(path) as file:
        assert (entry.grid, entry.bands) == (file.grid, file.bands)


def test_a_virtual_raster(write_raster: Write, noise: Noise, tmp_path: Path) -> None:
    path = write_raster("a.tif", noise(1, 6, 8))
    virtual = tmp_path / "v.vrt"
    virtual.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="3"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500002, 1, 0, 4999999, 0, -1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{path.name}</SourceFilename>'
        '<SrcRect xOff="2" yOff="1" xSize="4" ySize="3"/><DstRect xOff="0" yOff="0" xSize="4" ySize="3"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    entry = file_entry(str(virtual), whole=True)
    with entry.open() as opened:
        found = opened.read(entry.grid.whole, entry.bands)
    np.testing.assert_array_equal(found.values[0], noise(1, 6, 8)[0, 1:4, 2:6])


def test_a_turned_photograph_and_one_pixel(tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    values = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "t.png", exif=notes)
    turned = file_entry(str(tmp_path / "t.png"), whole=True)
    assert turned.grid.shape == (30, 20)
    with turned.open() as opened:
        assert opened.sequential
        np.testing.assert_array_equal(
            opened.read(turned.grid.whole, turned.bands).values, np.rot90(values, -1).transpose(2, 0, 1)
        )
    Image.fromarray(values[:1, :1]).save(tmp_path / "one.png")
    one = file_entry(str(tmp_path / "one.png"), whole=True)
    with one.open() as opened:
        assert opened.read(one.grid.whole, one.bands).values.ravel().tolist() == values[0, 0].tolist()


def test_a_truncated_file_is_refused_unless_errors_are_allowed(write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(3, 60, 60))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a\.tif is truncated.*predict\.max_errors"):
        file_entry(str(path), whole=True)
    assert file_entry(str(path), whole=False).grid.shape == (60, 60)


def test_a_palette_is_no_measurement(write_raster: Write) -> None:
    path = write_raster("a.tif", np.ones((1, 4, 4), "uint8"))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {1: (255, 0, 0, 255)})
    with pytest.raises(DataError, match=r"a\.tif is a palette image"):
        file_entry(str(path), whole=True)


def test_what_is_missing_or_no_raster(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.tif cannot be read"):
        file_entry(str(tmp_path / "gone.tif"), whole=True)
    (tmp_path / "a.tif").write_text("nothing")
    with pytest.raises(DataError, match=r"a\.tif cannot be read"):
        file_entry(str(tmp_path / "a.tif"), whole=True)


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [
        (
            "S2 ä.zip",
            "S2A_X.SAFE/MTD_MSIL2A.xml",
            r"holds the product S2A_X\.SAFE packed: unpack it and name that folder",
        ),
        (
            "a.zip",
            "in/b.tif",
            r"unpack it and name the folder, or name a raster inside of it, such as /vsizip//.*/in/b\.tif",
        ),
        ("a.zip", "readme.txt", r"is a packed archive: unpack it and name the folder\."),
        ("LC08.tar", "b.tif", r"is a packed archive: unpack it and name the folder\."),
    ],
)
def test_an_archive_is_to_be_unpacked(name: str, held: str, said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(held, "something")
    with pytest.raises(DataError, match=said):
        file_entry(str(tmp_path / name), whole=True)


def test_a_raster_in_an_archive_can_be_named(tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(3, 30, 20))
    with zipfile.ZipFile(tmp_path / "ä 1.zip", "w") as archive:
        archive.write(path, "in/a.tif")
    with pytest.raises(DataError) as refused:
        file_entry(str(tmp_path / "ä 1.zip"), whole=True)
    inside = str(refused.value).partition("such as ")[2].removesuffix(".")
    with address_entry(inside).open() as opened:
        np.testing.assert_array_equal(opened.read(opened.grid.whole, opened.bands).values, noise(3, 30, 20))


def test_a_torn_archive_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="is a packed archive"):
        file_entry(str(tmp_path / "a.zip"), whole=True)


def test_a_file_that_only_holds_others(tmp_path: Path, noise: Noise) -> None:
    container = tmp_path / "c.gpkg"
    frame = {"driver": "GPKG", "count": 1, "height": 8, "width": 8, "dtype": "uint8", "crs": "EPSG:32632"}
    for number, name in enumerate(("red", "nir")):
        more = {"APPEND_SUBDATASET": "YES"} if number else {}
        with rasterio.open(
            container,
            "w",
            RASTER_TABLE=name,
            transform=Affine(1, 0, 5e5, 0, -1, 5e6),
            TILE_FORMAT="PNG",
            **frame,
            **more,
        ) as file:
            file.write(noise(1, 8, 8))
    with pytest.raises(
        DataError, match=r"c\.gpkg is no raster by itself: it holds 2 others; name one, such as GPKG:.*red"
    ):
        file_entry(str(container), whole=True)
    assert file_entry(f"GPKG:{container}:red", whole=True).grid.shape == (8, 8)


def test_a_file_on_a_web_server(serve: Callable[[Path], str], write_raster: Write, noise: Noise) -> None:
    path = write_raster("served/a b.tif", noise(3, 100, 80), tiled=True, blockxsize=16, blockysize=16)
    entry = address_entry(f"/vsicurl/{serve(path.parent)}/a%20b.tif?token=secret")
    assert entry.name == "a b"
    assert entry.path.startswith("http://127.0.0.1")
    assert "secret" not in entry.path
    with entry.open() as opened:
        found = opened.read(Window(30, 20, 40, 50), entry.bands)
    np.testing.assert_array_equal(found.values, noise(3, 100, 80)[:, 30:70, 20:70])


def test_addresses_that_cannot_be_read(serve: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("nothing")
    address = f"/vsicurl/{serve(tmp_path)}"
    for name in ("a.tif", "gone.tif"):
        with pytest.raises(DataError, match=name) as error:
            address_entry(f"{address}/{name}?token=secret")
        assert "secret" not in str(error.value)


def test_a_photograph_whose_turn_nobody_can_tell(serve: Callable[[Path], str], tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    picture = Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8))
    picture.save(tmp_path / "turned.jpg", exif=notes)
    picture.save(tmp_path / "plain.jpg")
    picture.save(tmp_path / "a.png")
    address = f"/vsicurl/{serve(tmp_path)}"
    assert address_entry(f"{address}/plain.jpg").grid.shape == (20, 30)
    for name in ("turned.jpg", "a.png"):
        with pytest.raises(DataError, match="fetch it and name the file"):
            address_entry(f"{address}/{name}")


def test_a_server_that_answers_late(serve: Callable[[Path], str], write_raster: Write, noise: Noise) -> None:
    path = write_raster("served/a.tif", noise(3, 200, 180), tiled=True, blockxsize=16, blockysize=16)
    entry = address_entry(f"/vsicurl/{serve(path.parent)}/a.tif")
    down = path.parent / "down"
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 2:
            down.unlink()
        return False

    with SceneRows(entry.open, entry.bands, readers=1, retries=3, wait=wait) as source:
        down.touch()
        rows = [part.values for part in source.rows(0, 200)]
        assert source.take_unreadable() == ()
    np.testing.assert_array_equal(np.concatenate(rows, axis=1), noise(3, 200, 180))
    assert waited == [1.0, 2.0]


def test_a_server_that_stays_away(serve: Callable[[Path], str], write_raster: Write, noise: Noise) -> None:
    path = write_raster("served/b.tif", noise(3, 200, 180), tiled=True, blockxsize=16, blockysize=16)
    entry = address_entry(f"/vsicurl/{serve(path.parent)}/b.tif?token=secret")
    with SceneRows(entry.open, entry.bands, retries=1, wait=lambda _: False) as source:
        (path.parent / "down").touch()
        with pytest.raises(DataError, match=r"b\.tif") as error:
            list(source.rows(0, 200))
    assert "secret" not in str(error.value)
