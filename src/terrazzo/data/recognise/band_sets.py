"""Scenes whose bands lie in separate files, known by words such as B4 or red in otherwise equal names."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from terrazzo.data.recognise.content import is_label
from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.scenes import label_vectors
from terrazzo.data.recognise.slots import LABEL_WORDS
from terrazzo.data.recognise.view import View
from terrazzo.errors import DataError
from terrazzo.geo.raster import RasterFile

__all__ = ["band_set_layouts"]

_BAND = re.compile(
    r"b\d{1,2}a?|band\d+|coastal|blue|green|yellow|red|rededge\d*|re\d?|nir\d*|swir\d*|cirrus|tir\d*|pan|[vh][vh]",
    re.IGNORECASE,
)
_ORDER = ("coastal", "red", "green", "blue", "yellow", "rededge", "nir", "swir", "cirrus", "tir", "pan")
_WORD = re.compile(r"[^\W_]+")


def band_set_layouts(view: View) -> Iterator[Layout]:
    """Yield the layout with the most bands, where two or more files of single bands make a scene."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in view.rasters:
        for pattern, band in _readings(PurePosixPath(path)):
            groups[pattern][band].append(path)
    ranked = sorted(groups.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    for pattern, by_band in ranked[:3]:
        bands = [band for band, paths in by_band.items() if _has_one_band(view, paths[0])]
        if len(bands) < 2:
            continue
        taken = {path for paths in by_band.values() for path in paths}
        settings: dict[str, object] = {
            "name": "band_files",
            "folder": view.folder,
            "images": pattern,
            "bands": sorted(bands, key=_place),
        }
        title = f"{len(bands)} bands in separate files ({pattern})"
        labels = _labels(view, pattern, taken)
        if labels is not None:
            yield Layout(title, {**settings, "labels": labels})
            continue
        for path, vectors in label_vectors(view):
            yield Layout(f"{title} with the shapes of {path}", {**settings, "label_vectors": vectors})


def _readings(path: PurePosixPath) -> Iterator[tuple[str, str]]:
    """Yield the patterns in which a word of a file's name could be its band."""
    for match in _WORD.finditer(path.stem):
        if _BAND.fullmatch(match.group()):
            before, after = path.stem[: match.start()], path.stem[match.end() :]
            # One star stands for the scene: the part before the band, where there is one, else the part after it.
            left = f"*{before[len(before.rstrip('_-. ')) :]}" if before else ""
            right = after if before or not after else f"{after[0]}*"
            yield str(path.parent / f"{left}{{band}}{right}{path.suffix}"), match.group()


def _labels(view: View, pattern: str, taken: set[str]) -> str | None:
    """Return the pattern of the labels: a word such as gt in the band's place, else the one other label raster."""
    for word in sorted(LABEL_WORDS):
        candidate = pattern.replace("{band}", word)
        expression = re.compile(re.escape(candidate).replace(r"\*", "[^/]*"), re.IGNORECASE)
        found = [path for path in view.rasters if expression.fullmatch(path)]
        if found and is_label(view.folder / found[0]):
            return candidate
    others = [path for path in view.rasters if path not in taken and is_label(view.folder / path)]
    return others[0] if len(others) == 1 else None


def _has_one_band(view: View, path: str) -> bool:
    try:
        with RasterFile(view.folder / path) as file:
            return len(file.bands) == 1 and file.colormap is None
    except DataError:
        return False


def _place(band: str) -> tuple[int, int, str]:
    """Sort bands: colours as pictures have them, then by number."""
    word = band.lower()
    known = next((place for place, name in enumerate(_ORDER) if word.startswith(name)), len(_ORDER))
    number = re.search(r"\d+", word)
    return known, int(number.group()) if number else 0, word
