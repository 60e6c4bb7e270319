"""Formats and coordinates: GDAL's drivers and codecs, tried on a small raster, and PROJ's database."""

import os
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyogrio
import pyproj
import rasterio
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import transform

from terrazzo.diagnosis.finding import Finding, Level
from terrazzo.geo.quiet import without_warnings

__all__ = ["check_formats"]

_RASTERS: Mapping[str, tuple[tuple[str, ...], Level, str]] = {
    "GTiff": (("GTiff",), Level.FAULT, "maps are written and most images read by it"),
    "COG": (("COG",), Level.FAULT, "maps are cloud-optimised GeoTIFFs"),
    "VRT": (("VRT",), Level.FAULT, "scenes of several files are joined by it"),
    "PNG": (("PNG",), Level.WARNING, "masks and photographs are often PNG"),
    "JPEG": (("JPEG",), Level.WARNING, "photographs are often JPEG"),
    "JPEG 2000": (("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID"), Level.WARNING, "Sentinel-2 comes as JPEG 2000"),
}
_VECTORS: Mapping[str, str] = {"GPKG": "polygons are written as GeoPackage", "GeoJSON": "areas often come as GeoJSON"}
_CODECS: Mapping[str, Level] = {"DEFLATE": Level.FAULT, "ZSTD": Level.FAULT, "LZW": Level.WARNING, "JPEG": Level.NOTE}
_VARIABLES = ("GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA")
_REINSTALL = "Install the wheel: pip install --force-reinstall --no-deps --only-binary :all: {}."


def check_formats() -> list[Finding]:
    """Return findings about GDAL, its drivers and codecs, Parquet, and PROJ."""
    return [*_rasters(), *_codecs(), *_vectors(), *_coordinates(), *_variables()]


def _rasters() -> Iterator[Finding]:
    with rasterio.Env() as environment:
        present = environment.drivers()
    missing = {
        name: (level, why)
        for name, (drivers, level, why) in _RASTERS.items()
        if not any(present.get(driver) for driver in drivers)
    }
    facts = {"version": rasterio.__gdal_version__, "drivers": len(present), "missing": sorted(missing)}
    said = f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__}), {len(present)} drivers"
    if not missing:
        yield Finding("GDAL rasters", Level.FINE, f"{said}, with {', '.join(_RASTERS)}", facts=facts)
        return
    worst = max((level for level, _ in missing.values()), key=lambda level: level.gravity)
    reasons = "; ".join(f"without {name}: {why}" for name, (_, why) in missing.items())
    yield Finding("GDAL rasters", worst, f"{said}; {reasons}", _REINSTALL.format("rasterio"), facts)


def _codecs() -> Iterator[Finding]:
    failed = {name: why for name in _CODECS if (why := _round_trip(name)) is not None}
    if not failed:
        yield Finding("compression", Level.FINE, f"{', '.join(_CODECS)} write and read back", facts={"failed": {}})
        return
    worst = max((_CODECS[name] for name in failed), key=lambda level: level.gravity)
    said = "; ".join(f"{name} fails: {why}" for name, why in failed.items())
    yield Finding("compression", worst, said, _REINSTALL.format("rasterio"), {"failed": failed})


def _round_trip(codec: str) -> str | None:
    """Write a small GeoTIFF in memory and read it back; return why that fails, None where it does not."""
    pixels = np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64)
    size = {"width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    try:
        with without_warnings(NotGeoreferencedWarning), MemoryFile() as memory:
            with memory.open(driver="GTiff", compress=codec, **size) as file:
                file.write(pixels)
            with memory.open() as file:
                read, used = file.read(), str(file.profile.get("compress", "none"))
    except (RasterioError, OSError) as error:
        return str(error)
    # What GDAL does not know it leaves out, with a warning alone.
    if used.upper() != codec:
        return f"the file is compressed by {used}"
    if codec != "JPEG" and not np.array_equal(read, pixels):
        return "other pixels come back"
    return None


def _vectors() -> Iterator[Finding]:
    present = pyogrio.list_drivers()
    # r: read, w: write, a: append.
    missing = [name for name in _VECTORS if "w" not in present.get(name, "")]
    number = ".".join(map(str, pyogrio.__gdal_version__))
    facts = {"version": number, "drivers": len(present), "missing": missing}
    said = f"{number} (pyogrio {pyogrio.__version__}), {len(present)} drivers"
    if missing:
        reasons = "; ".join(f"without {name}: {_VECTORS[name]}" for name in missing)
        yield Finding("GDAL vectors", Level.WARNING, f"{said}; {reasons}", _REINSTALL.format("pyogrio"), facts)
    else:
        yield Finding("GDAL vectors", Level.FINE, f"{said}, with {', '.join(_VECTORS)}", facts=facts)
    if pa.Codec.is_available("zstd"):
        yield Finding("Parquet", Level.FINE, f"pyarrow {pa.__version__} with zstd: catalogs and GeoParquet")
    else:
        said = f"pyarrow {pa.__version__} has no zstd, by which catalogs are compressed"
        yield Finding("Parquet", Level.FAULT, said, _REINSTALL.format("pyarrow"))


def _coordinates() -> Iterator[Finding]:
    """Project one point by both libraries: each brings a PROJ of its own, and a wrong database breaks either."""
    east, north = 15.0, 0.0  # the central meridian of zone 33 at the equator is (500000, 0)
    advice = "Unset PROJ_LIB and PROJ_DATA: they lead to the database of another PROJ."
    facts = {"version": pyproj.proj_version_str, "database": pyproj.datadir.get_data_dir()}
    try:
        to_zone = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
        points = [to_zone.transform(east, north)]
        x, y = transform(CRS.from_epsg(4326), CRS.from_epsg(32633), [east], [north])[:2]
        points.append((x[0], y[0]))
    except (ProjError, RasterioError) as error:
        yield Finding("PROJ", Level.FAULT, f"{pyproj.proj_version_str} cannot project: {error}", advice, facts)
        return
    off = max(abs(value - right) for point in points for value, right in zip(point, (500_000.0, 0.0), strict=True))
    if not off < 0.01:
        yield Finding("PROJ", Level.FAULT, f"{pyproj.proj_version_str} is off by {off:g} m", advice, facts)
    else:
        yield Finding("PROJ", Level.FINE, f"{pyproj.proj_version_str}, projects to the centimetre", facts=facts)


def _variables() -> Iterator[Finding]:
    given = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    if given:
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        advice = "The wheels bring their own data: unset these unless you built GDAL yourself."
        yield Finding("GDAL variables", Level.NOTE, said, advice, given)
