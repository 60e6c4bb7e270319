"""The side file in which GDAL, and what is built on it, looks for the names and colours of a map's classes.

A GeoTIFF itself has no field for them. Beside the names of small values stands a table of value, name and colour, which
holds values of any size.

Source: GDAL, "Raster Data Model", category names and raster attribute tables; its schema `gdalvrt.xsd` for the
elements, and `gdal_rat.h` for the numbers of types and usages.
"""

from pathlib import Path
from xml.sax.saxutils import escape

from terrazzo.scene.layer import Layer, LegendEntry
from terrazzo.storage import write_text

__all__ = ["side_file", "side_file_text", "write_side_file"]

_INTEGER, _TEXT = 0, 2
_NAME, _VALUE, _RED, _GREEN, _BLUE = 2, 5, 6, 7, 8
_FIELDS = (
    ("Value", _INTEGER, _VALUE),
    ("Class", _TEXT, _NAME),
    ("Red", _INTEGER, _RED),
    ("Green", _INTEGER, _GREEN),
    ("Blue", _INTEGER, _BLUE),
)
_LARGEST_LISTED = 255
"""Value above which the list of names, which begins at 0, would be mostly gaps."""


def side_file(out: Path) -> Path:
    """Return where GDAL looks.

    >>> side_file(Path("maps/a.tif")).name
    'a.tif.aux.xml'
    """
    return out.with_name(f"{out.name}.aux.xml")


def write_side_file(out: Path, layer: Layer) -> Path | None:
    """Write the names and colours of a map's classes beside it.

    Args:
        out: The map, complete: to GDAL the side file belongs to whatever lies there.
        layer: What it holds.

    Returns:
        The side file; None for a layer whose values are no classes, and for a picture, which shows its palette.

    Raises:
        StorageError: The file cannot be written.
    """
    if not layer.legend or out.suffix.lower() == ".png":
        return None
    path = side_file(out)
    write_text(path, side_file_text(layer.legend))
    return path


def side_file_text(legend: tuple[LegendEntry, ...]) -> str:
    """Return the side file's XML.

    Args:
        legend: Values, names and colours, at least one.
    """
    lines = ["<PAMDataset>", '  <PAMRasterBand band="1">', *_names(legend), *_table(legend)]
    return "\n".join([*lines, "  </PAMRasterBand>", "</PAMDataset>", ""])


def _names(legend: tuple[LegendEntry, ...]) -> list[str]:
    """Name each value from 0 on; those that are no class are empty."""
    values = [entry.value for entry in legend]
    if min(values) < 0 or max(values) > _LARGEST_LISTED:
        return []
    names = {entry.value: entry.name for entry in legend}
    listed = [f"      <Category>{_text(names.get(value, ''))}</Category>" for value in range(max(values) + 1)]
    return ["    <CategoryNames>", *listed, "    </CategoryNames>"]


def _table(legend: tuple[LegendEntry, ...]) -> list[str]:
    fields = [
        f'      <FieldDefn index="{number}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>'
        for number, (name, kind, usage) in enumerate(_FIELDS)
    ]
    rows = [
        f'      <Row index="{number}">{"".join(f"<F>{cell}</F>" for cell in _cells(entry))}</Row>'
        for number, entry in enumerate(legend)
    ]
    begin = '    <GDALRasterAttributeTable tableType="thematic">'
    return [begin, *fields, *rows, "    </GDALRasterAttributeTable>"]


def _cells(entry: LegendEntry) -> list[str]:
    return [str(entry.value), _text(entry.name), *(str(level) for level in entry.colour)]


def _text(text: str) -> str:
    """Return text for XML; what no XML may hold, such as a bell, is left out."""
    return escape("".join(sign for sign in text if sign >= " " or sign in "\t\n\r"))
