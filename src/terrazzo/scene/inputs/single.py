"""The scene of one file or address."""

from pathlib import Path

from rasterio.errors import RasterioError

from terrazzo.data.catalog import BandPlace
from terrazzo.errors import DataError
from terrazzo.geo.kept_open import opened_header
from terrazzo.geo.orientation import ORIENTED_FORMATS
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.addresses import as_shown, bare_name, is_remote, remote_access
from terrazzo.scene.inputs.damage import truncation
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.naming import SUFFIXES
from terrazzo.scene.inputs.packed import require_unpacked
from terrazzo.scene.inputs.part import ScenePart

__all__ = ["address_entry", "file_entry"]


def file_entry(path: str, *, whole: bool) -> SceneEntry:
    """Return the scene of a file of this machine.

    Args:
        path: The file; or a name that GDAL knows, such as of a part of a NetCDF file.
        whole: Whether a file that ends before its last block is refused.

    Raises:
        DataError: It is missing, damaged, packed, no raster, or a palette image.
    """
    place = Path(path)
    require_unpacked(place)
    known = place.exists()
    # Workers may run in another folder.
    file = str(place.absolute()) if known else path
    if whole and (cut := truncation(file)) is not None:
        raise DataError(
            f"{cut} To map what is there, allow unreadable blocks by predict.max_errors; they become nodata."
        )
    return _entry(file, name=place.stem or "scene", path=path)


def address_entry(file: str) -> SceneEntry:
    """Return the scene at an address.

    Args:
        file: The name under which GDAL opens it.

    Raises:
        DataError: It cannot be reached, is no raster or a palette image, or cannot tell how a camera has turned it.
    """
    with remote_access():
        try:
            return _entry(file, name=bare_name(file), path=as_shown(file).removeprefix("/vsicurl/"))
        except DataError as error:
            raise DataError(as_shown(str(error))) from None


def _entry(file: str, *, name: str, path: str) -> SceneEntry:
    if Path(file).suffix.lower() not in SUFFIXES:
        _require_raster(file, path)
    with RasterFile(file) as opened:
        if opened.colormap is not None:
            raise DataError(f"{path} is a palette image: its values are no measurements; convert it to RGB.")
        if is_remote(file):
            _require_upright(opened, file, path)
        bands, grid = opened.bands, opened.grid
    places = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(bands))
    part = ScenePart(files=(file,), bands=bands, places=places, window=grid.whole)
    return SceneEntry(name=name, path=path, frame=SceneGrid.of(grid), bands=bands, parts=(part,))


def _require_raster(file: str, path: str) -> None:
    """Refuse a file that only holds others, such as a NetCDF file of several variables."""
    try:
        with opened_header(file) as source:
            count, inside = source.count, source.subdatasets
    except RasterioError as error:
        raise DataError(f"{path} cannot be read as a raster: {str(error).rstrip('.')}.") from error
    if not count:
        held = f"it holds {len(inside)} others; name one, such as {inside[0]}" if inside else "it holds none"
        raise DataError(f"{path} is no raster by itself: {held}.")


def _require_upright(opened: RasterFile, file: str, path: str) -> None:
    """Refuse a photograph at an address that its camera may have turned: that is noted where GDAL does not look."""
    if opened.grid.crs is not None or not opened.grid.transform.is_identity or opened.control is not None:
        return
    with opened_header(file) as source:
        driver = source.driver
    upright = driver == "JPEG" and opened.tags.get("EXIF_Orientation", "1") == "1"
    if driver in ORIENTED_FORMATS and not upright:
        raise DataError(
            f"{path} does not say where it lies, and how its camera held it can only be read from a file of this "
            "machine; fetch it and name the file."
        )
