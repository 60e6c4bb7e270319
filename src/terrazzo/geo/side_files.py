"""Files that belong to a vector file because they lie beside it."""

from pathlib import Path

__all__ = ["files_of"]

_BESIDE_SHAPEFILES = (".dbf", ".prj", ".shx", ".cpg", ".DBF", ".PRJ", ".SHX", ".CPG")


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that a vector file consists of, itself first: a shapefile keeps its attributes beside it."""
    if path.suffix.lower() != ".shp":
        return (path,)
    beside = [path.with_suffix(suffix) for suffix in _BESIDE_SHAPEFILES]
    return (path, *(side for side in beside if side.is_file()))
