"""Drivers, codecs and coordinates."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from terrazzo.diagnosis import Finding, Level, formats
from terrazzo.diagnosis.formats import check_formats


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA"):
        monkeypatch.delenv(name, raising=False)


def found() -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_formats()}


def test_the_wheels_have_all() -> None:
    assert {finding.level for finding in check_formats()} == {Level.FINE}


@pytest.mark.parametrize(
    ("missing", "level"), [("JP2OpenJPEG", Level.WARNING), ("GTiff", Level.FAULT), ("COG", Level.FAULT)]
)
def test_a_missing_driver_is_named_with_its_use(missing: str, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    with formats.rasterio.Env() as environment:
        drivers = {name: text for name, text in environment.drivers().items() if name != missing}

    @contextmanager
    def fewer() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(drivers=lambda: drivers)

    monkeypatch.setattr(formats.rasterio, "Env", fewer)
    (rasters, *_) = formats._rasters()
    assert rasters.level is level
    assert "without" in rasters.said
    assert "rasterio" in str(rasters.advice)


def test_a_codec_that_is_not_there_fails_when_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_CODECS", {"DEFLATE": Level.FAULT, "NONESUCH": Level.WARNING})
    assert found()["compression"].level is Level.WARNING
    assert "NONESUCH" in found()["compression"].said


def test_vectors_that_can_only_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.pyogrio, "list_drivers", lambda: {"GPKG": "r", "GeoJSON": "rw"})
    assert found()["GDAL vectors"].level is Level.WARNING
    assert "GPKG" in found()["GDAL vectors"].said


def test_a_projection_that_fails_or_is_off_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "transform", lambda *_: ([500_001.0], [0.0]))
    assert found()["PROJ"].level is Level.FAULT

    def fail(*_: object) -> None:
        raise formats.RasterioError("PROJ: proj_create_from_database: Cannot find proj.db")

    monkeypatch.setattr(formats, "transform", fail)
    assert found()["PROJ"].level is Level.FAULT
    assert "PROJ_LIB" in str(found()["PROJ"].advice)


def test_variables_of_another_installation_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_DRIVER_PATH", "/opt/gdal")
    assert found()["GDAL variables"].level is Level.NOTE
