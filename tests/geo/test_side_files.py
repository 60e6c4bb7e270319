"""Files beside vector files."""

import pytest

from terrazzo.geo.side_files import files_of


def test_a_shapefile_has_what_lies_beside_it(tmp_path):
    for name in ("ä b.shp", "ä b.dbf", "ä b.prj", "ä b.txt", "other.dbf"):
        (tmp_path / name).touch()
    assert [file.name for file in files_of(tmp_path / "ä b.shp")] == ["ä b.shp", "ä b.dbf", "ä b.prj"]


def test_suffixes_of_the_old_days(tmp_path):
    for name in ("A.SHP", "A.DBF"):
        (tmp_path / name).touch()
    assert tmp_path / "A.DBF" in files_of(tmp_path / "A.SHP")


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.parquet"])
def test_other_files_stand_alone(tmp_path, name):
    (tmp_path / "a.dbf").touch()
    assert files_of(tmp_path / name) == (tmp_path / name,)
