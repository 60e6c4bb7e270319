"""Sample files: what an interpreter gets, and what comes back from tables and GIS programs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from affine import Affine

from terrazzo.assessment.area_sample import SamplePoints, draw_points
from terrazzo.assessment.area_strata import Strata, count_strata
from terrazzo.assessment.class_map import Legend
from terrazzo.assessment.sample_file import COLUMNS, LabelledPoints, read_points, require_format, write_points
from terrazzo.errors import ConfigError, DataError

WriteMap = Callable[..., Path]
LEGEND = Legend(("forest, dense", "Wässer"), (0, 1))
VALUES = np.array([[0, 1], [1, 0]], np.uint8).repeat(9, axis=0).repeat(7, axis=1)


def sampled(paths: list[Path]) -> tuple[Strata, SamplePoints]:
    strata = count_strata(paths, LEGEND)
    return strata, draw_points(strata, np.array([6, 5]), seed=1)


@pytest.mark.parametrize("ending", ["csv", "gpkg", "geojson"])
def test_every_format_comes_back(write_map: WriteMap, tmp_path: Path, ending: str) -> None:
    strata, points = sampled([write_map("ä map.tif", VALUES)])
    path = tmp_path / "new folder" / f"p ü.{ending}"
    write_points(path, points, strata)
    found = read_points(path)
    assert found.ids == tuple(str(number) for number in range(1, 12))
    assert found.map_classes == tuple(LEGEND.names[k] for k in points.classes)
    assert found.references == ("",) * 11


def test_a_table_holds_all_columns(write_map: WriteMap, tmp_path: Path) -> None:
    import csv

    strata, points = sampled([write_map("a.tif", VALUES)])
    write_points(tmp_path / "p.csv", points, strata)
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[3]["x"]) == points.x[3]
    assert int(rows[3]["row"]) == points.rows[3]
    assert rows[3]["map"] == "a.tif"
    assert float(rows[3]["lat"]) == points.latitudes[3]


def test_points_lie_where_a_gis_expects_them(write_map: WriteMap, tmp_path: Path) -> None:
    strata, points = sampled([write_map("a.tif", VALUES)])
    for ending, crs, across in (("gpkg", "EPSG:32632", points.x), ("geojson", "EPSG:4326", points.longitudes)):
        write_points(tmp_path / f"p.{ending}", points, strata)
        frame = pyogrio.read_dataframe(tmp_path / f"p.{ending}")
        assert frame.crs.to_string() == crs
        np.testing.assert_allclose(frame.geometry.x, across, atol=1e-6)


def test_maps_in_several_systems_share_degrees(write_map: WriteMap, tmp_path: Path) -> None:
    a = write_map("a.tif", VALUES)
    b = write_map("b/a.tif", VALUES, crs="EPSG:4326", transform=Affine(1e-4, 0, 30, 0, -1e-4, 10))
    strata, points = sampled([a, b])
    write_points(tmp_path / "p.gpkg", points, strata)
    frame = pyogrio.read_dataframe(tmp_path / "p.gpkg")
    assert frame.crs.to_string() == "EPSG:4326"
    assert set(frame["map"]) <= {str(a), str(b)}
    np.testing.assert_allclose(frame.geometry.x, points.longitudes)


def test_points_without_place(write_map: WriteMap, tmp_path: Path) -> None:
    strata, points = sampled([write_map("a.tif", VALUES, crs=None)])
    write_points(tmp_path / "p.csv", points, strata)
    write_points(tmp_path / "p.gpkg", points, strata)
    assert len(read_points(tmp_path / "p.gpkg").ids) == 11
    assert ",,a.tif," in (tmp_path / "p.csv").read_text()
    with pytest.raises(ConfigError, match=r"choose a \.csv file"):
        write_points(tmp_path / "p.geojson", points, strata)


def test_a_filled_geopackage(write_map: WriteMap, tmp_path: Path) -> None:
    strata, points = sampled([write_map("a.tif", VALUES)])
    write_points(tmp_path / "p.gpkg", points, strata)
    frame = pyogrio.read_dataframe(tmp_path / "p.gpkg")
    frame["reference"] = ["Wässer", None, *["0"] * 9]
    pyogrio.write_dataframe(frame, tmp_path / "filled.gpkg", layer="sample")
    assert read_points(tmp_path / "filled.gpkg").references == ("Wässer", "", *["0"] * 9)


@pytest.mark.parametrize(
    "text",
    [
        "id,map_class,reference\n1,forest,water\n2,water,\n",
        "\ufeffid;map_class;reference\r\n1;forest;water\r\n2;water;\r\n\r\n",
        "id\tmap_class\treference\n1\tforest\t water \n2\twater\n",
    ],
    ids=["commas", "as spreadsheets write it", "tabs"],
)
def test_tables_as_programs_write_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(text.encode())
    assert read_points(tmp_path / "p.csv") == LabelledPoints(("1", "2"), ("forest", "water"), ("water", ""))


def test_points_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("map_class,reference\na,b\nb,b\n")
    assert read_points(tmp_path / "p.csv").ids == ("1", "2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("id,map_class,refrence\n1,a,b\n", "no column `reference`. Did you mean"),
        ("id,reference\n1,a\n", "no column `map_class`"),
        ("map_class,reference\na,b,c\n", "point 1 has 3 cells"),
        ("id,map_class,reference\n4,a,b\n4,a,b\n", "point 4 more than once"),
    ],
)
def test_damaged_tables(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_points(tmp_path / "p.csv")
    assert told in str(caught.value)


def test_what_is_no_sample_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_points(tmp_path / "p.csv")
    (tmp_path / "p.gpkg").write_bytes(b"no package")
    with pytest.raises(DataError, match="cannot be read"):
        read_points(tmp_path / "p.gpkg")
    (tmp_path / "latin.csv").write_bytes("map_class,reference\nWässer,a\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_points(tmp_path / "latin.csv")


def test_an_unknown_ending() -> None:
    with pytest.raises(ConfigError, match=r"\.csv, \.gpkg, \.geojson"):
        require_format(Path("p.shp"))
    require_format(Path("P.CSV"))
