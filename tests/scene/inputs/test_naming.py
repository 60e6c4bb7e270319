"""Which scenes inputs mean."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.errors import DataError
from terrazzo.scene.inputs.naming import Named, named_scenes

Scene = Callable[..., Path]


def files(*paths: Path) -> list[Named]:
    return [Named("file", str(path)) for path in paths]


def test_files_folders_and_patterns(make_scene: Scene) -> None:
    first, second, deep = make_scene("b.tif"), make_scene("a.tif"), make_scene("deep/c [1].tif")
    folder = first.parent
    (folder / "notes.txt").write_text("no scene")
    (folder / ".hidden.tif").write_bytes(b"")
    assert named_scenes([first]) == files(first)
    assert named_scenes([folder]) == files(second, first)
    assert named_scenes([str(folder / "*.tif")]) == files(second, first)
    assert named_scenes([str(folder / "**" / "*.tif")]) == files(second, first, deep)
    assert named_scenes([str(deep)]) == files(deep)
    assert named_scenes([f"file://{first}"]) == files(first)


def test_each_once_in_the_order_given(make_scene: Scene) -> None:
    first, second = make_scene("b.tif"), make_scene("a.tif")
    around = first.parent / ".." / first.parent.name / "b.tif"
    assert named_scenes([first, first.parent, around]) == files(first, second)


def test_products_are_scenes_and_their_bands_are_none(tmp_path: Path, make_scene: Scene) -> None:
    product = tmp_path / "in puts" / "S2A.SAFE"
    band = make_scene("S2A.SAFE/GRANULE/B02.tif")
    other = make_scene("z.tif")
    safe = Named("safe", str(product))
    assert named_scenes([product]) == [safe]
    assert named_scenes([product.parent]) == [safe, *files(other)]
    assert named_scenes([str(product.parent / "**")]) == [safe, *files(other)]
    assert named_scenes([band]) == files(band)


def test_addresses_are_named_as_gdal_opens_them() -> None:
    given = ["https://example.org/a%20b.tif?token=[1]*", "s3://bucket/a.tif", "/vsizip/a.zip/b.tif"]
    assert [(one.kind, one.text) for one in named_scenes(given)] == [
        ("address", "/vsicurl/https://example.org/a%20b.tif?token=[1]*"),
        ("address", "/vsis3/bucket/a.tif"),
        ("address", "/vsizip/a.zip/b.tif"),
    ]


def test_a_path_that_took_a_slash_from_an_address() -> None:
    assert named_scenes([Path("https://example.org/a.tif")]) == [Named("address", "/vsicurl/https://example.org/a.tif")]


def test_files_of_bands(tmp_path: Path, make_scene: Scene) -> None:
    pattern = str(tmp_path / "in puts" / "LC08_{band}.tif")
    assert named_scenes([pattern]) == [Named("bands", pattern)]
    literal = make_scene("LC08_{band}.tif")
    assert named_scenes([pattern]) == files(literal)
    with pytest.raises(DataError, match="files of this machine only"):
        named_scenes(["https://example.org/LC08_{band}.tif"])


def test_nothing_given() -> None:
    with pytest.raises(DataError, match="No scenes were given"):
        named_scenes([])


def test_what_names_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\*\.tif names no scene"):
        named_scenes([str(tmp_path / "x*.tif")])
    with pytest.raises(DataError, match="names no scene"):
        named_scenes([tmp_path])


def test_what_does_not_exist_is_left_to_gdal() -> None:
    assert named_scenes(['NETCDF:"a.nc":red']) == [Named("file", 'NETCDF:"a.nc":red')]
