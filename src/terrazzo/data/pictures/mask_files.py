"""Labels written out as mask images, whatever they are made of, with the table of their classes and colours.

An image that has coordinates, or is too large for a picture, gives a GeoTIFF, any other one a PNG. A label is read and
written strip by strip, so that memory follows the width of an image.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.shutil
from jaxtyping import Shaped
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.colours import hexadecimal
from terrazzo.data.prepared import Prepared, load_prepared
from terrazzo.data.reading import decode_label
from terrazzo.errors import StorageError
from terrazzo.geo.grid import Window
from terrazzo.host_cores import usable_cores
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import atomic_path, fingerprint, locked, read_json, sweep, write_json, write_text

__all__ = ["LARGEST_PNG_PIXELS", "MaskKind", "MaskSummary", "file_names", "write_masks"]

MaskKind = Literal["none", "index", "colour", "both"]
"""What is written: nothing; class numbers (`index/`); colours (`colour/`); or both."""

LARGEST_PNG_PIXELS = 2**27
"""Pixels above which a mask is a GeoTIFF, of which a viewer can read parts."""

_BLOCK = 256
_MANIFEST = "masks.json"
_FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class MaskSummary:
    """What was written.

    Attributes:
        folder: Where `index/`, `colour/`, `colormap.json` and `colormap.csv` lie.
        files: Masks, in the order of the catalog.
    """

    folder: Path
    files: tuple[Path, ...]


def write_masks(
    prepared: Prepared, kind: Literal["index", "colour", "both"], *, folder: Path, listener: Listener = silent
) -> MaskSummary:
    """Write the label of each image, named after the image; where nothing has changed, nothing is done.

    Index masks hold the class number 0..K-1, and 255 (65535 above 254 classes) where there is none. Colour masks show
    the same numbers through a palette; above 254 classes they hold red, green and blue.

    Args:
        prepared: Prepared data; images without a label give no mask.
        kind: What to write.
        folder: Where to write; masks of an earlier call that are not wanted any more are removed.
        listener: Receives progress, one unit an image.

    Raises:
        DataError: A label cannot be read.
        LabelError: A label holds what no class lists, under `unlisted: error`.
        StorageError: A mask cannot be written.
        LockedError: Another process writes the same folder.
    """
    labelled = [entry for entry in prepared.catalog if entry.label is not None]
    kinds = ("index", "colour") if kind == "both" else (kind,)
    names = file_names(labelled)
    goals = [
        {what: folder / what / f"{name}{_suffix(entry)}" for what in kinds}
        for entry, name in zip(labelled, names, strict=True)
    ]
    files = tuple(goal[what] for what in kinds for goal in goals)
    _, inputs = load_prepared(prepared.folder)
    state = fingerprint({"inputs": inputs, "kind": kind, "files": [str(path.relative_to(folder)) for path in files]})
    with locked(folder):
        if _earlier(folder).get("state") == state and all(path.is_file() for path in files):
            return MaskSummary(folder, files)
        _remove_earlier(folder)
        relative = [str(path.relative_to(folder)) for path in files]
        # What is begun is noted first, so that a later call can clear up after one that did not end.
        write_json(folder / _MANIFEST, {"state": "", "files": relative})
        _write_colormap(prepared.classes, folder)

        def write(number: int) -> None:
            """Write the masks of one image."""
            _write_image(labelled[number], prepared.classes, goals[number])

        pool = ThreadPoolExecutor(min(usable_cores(), 8))
        try:
            with Progress("masks", listener=listener, total=len(labelled), unit="images") as progress:
                for _ in progress.each(pool.map(write, range(len(labelled)))):
                    pass
        finally:
            pool.shutdown(cancel_futures=True)
        write_json(folder / _MANIFEST, {"state": state, "files": relative})
    return MaskSummary(folder, files)


def file_names(entries: Sequence[ImageEntry]) -> list[str]:
    """Return names of files after those of images, each once, and none that leads outside a folder.

    Args:
        entries: Images.

    Returns:
        Paths without suffix, relative, in the images' order.
    """
    names: list[str] = []
    taken: set[str] = set()
    for entry in entries:
        parts = [_FORBIDDEN.sub("-", part) for part in PurePosixPath(entry.image_id).parts if part != "/"]
        name = wanted = "/".join("--" if part == ".." else part for part in parts) or "image"
        count = 1
        while name.casefold() in taken:
            count += 1
            name = f"{wanted}~{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _suffix(entry: ImageEntry) -> str:
    grid = entry.grid
    placed = grid.crs is not None or not grid.transform.is_identity
    return ".tif" if placed or grid.height * grid.width > LARGEST_PNG_PIXELS else ".png"


def _earlier(folder: Path) -> dict[str, Any]:
    """Return what an earlier call noted; nothing where there is none, or it cannot be read."""
    try:
        found = read_json(folder / _MANIFEST)
    except StorageError:
        return {}
    return found if isinstance(found, dict) else {}


def _remove_earlier(folder: Path) -> None:
    """Remove the masks of an earlier call, and nothing that it did not write."""
    listed = _earlier(folder).get("files", [])
    for name in listed if isinstance(listed, list) else []:
        parts = PurePosixPath(str(name)).parts
        if parts[:1] in {("index",), ("colour",)} and ".." not in parts:
            (folder / name).unlink(missing_ok=True)
            sweep((folder / name).parent)


def _write_colormap(classes: Classes, folder: Path) -> None:
    """Write class number, name and colour of each class, and of what has none."""
    rows = [(number, item.name, item.colour) for number, item in enumerate(classes.items)]
    rows.append((classes.ignore, "", classes.ignore_colour))
    listed = [{"number": number, "name": name, "colour": hexadecimal(colour)} for number, name, colour in rows]
    write_json(folder / "colormap.json", {"classes": listed[:-1], "ignore": listed[-1]})
    lines = [f"{number},{_quoted(name)},{','.join(map(str, colour))}" for number, name, colour in rows]
    write_text(folder / "colormap.csv", "\n".join(["number,name,red,green,blue", *lines]) + "\n")


def _quoted(name: str) -> str:
    """Return a name as a field of a CSV file (RFC 4180)."""
    return '"' + name.replace('"', '""') + '"' if re.search(r'[",\r\n]', name) else name


def _write_image(entry: ImageEntry, classes: Classes, goals: dict[str, Path]) -> None:
    """Write the masks of one image, each whole or not at all."""
    try:
        with ExitStack() as opened:
            drafts, wanted = {}, {}
            for what, goal in goals.items():
                wanted[what] = opened.enter_context(atomic_path(goal))
                # A PNG can only be written from its top; a GeoTIFF takes strips, and becomes one.
                drafts[what] = wanted[what].with_suffix(".tif")
                if drafts[what] != wanted[what]:
                    opened.callback(drafts[what].unlink, missing_ok=True)
            _write_drafts(entry, classes, drafts)
            for what, draft in drafts.items():
                if draft != wanted[what]:
                    # Without this, GDAL writes what a PNG cannot say into a file beside it.
                    with rasterio.Env(GDAL_PAM_ENABLED=False):
                        rasterio.shutil.copy(draft, wanted[what], driver="PNG")
    except (RasterioError, CPLE_BaseError, OSError) as error:
        shown = ", ".join(map(str, goals.values()))
        raise StorageError(f"{shown} cannot be written: {error}.") from error


def _write_drafts(entry: ImageEntry, classes: Classes, drafts: dict[str, Path]) -> None:
    """Write GeoTIFFs and read them back: when a disk is full as a file is closed, GDAL may say nothing."""
    checksums = dict.fromkeys(drafts, 0)
    with ExitStack() as opened:
        files = {
            what: opened.enter_context(rasterio.open(path, "w", **_profile(entry, classes, what)))
            for what, path in drafts.items()
        }
        if "colour" in files and classes.ignore == 255:
            files["colour"].write_colormap(1, _palette(classes))
        for window, target in _strips(entry, classes):
            for what, file in files.items():
                by_colour = what == "colour" and classes.ignore != 255
                pixels = classes.encode(target, "colour") if by_colour else target[None]
                file.write(pixels, window=_place(window))
                checksums[what] = zlib.crc32(pixels.tobytes(), checksums[what])
    for what, path in drafts.items():
        written = rasterio.open(path)
        with written:
            found = 0
            for window in _windows(entry):
                found = zlib.crc32(written.read(window=_place(window)).tobytes(), found)
        if found != checksums[what]:
            raise OSError(f"what {path.name} holds is not what was written; the disk may be full or failing")


def _windows(entry: ImageEntry) -> Iterator[Window]:
    """Yield strips of whole blocks."""
    for y in range(0, entry.height, _BLOCK):
        yield Window(y, 0, min(_BLOCK, entry.height - y), entry.width)


def _place(window: Window) -> RasterioWindow:
    return RasterioWindow(window.x, window.y, window.width, window.height)


def _strips(entry: ImageEntry, classes: Classes) -> Iterator[tuple[Window, Shaped[np.ndarray, "y x"]]]:
    """Yield the label strip by strip."""
    if entry.label is None:
        return
    with entry.label.open(entry.grid) as label:
        area = entry.area.open(entry.grid) if entry.area else None
        for window in _windows(entry):
            yield window, decode_label(label, area, window, classes).target


def _profile(entry: ImageEntry, classes: Classes, what: str) -> dict[str, Any]:
    grid = entry.grid
    by_colour = what == "colour" and classes.ignore != 255
    return {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": 3 if by_colour else 1,
        "dtype": "uint8" if by_colour or classes.ignore == 255 else "uint16",
        "nodata": classes.ignore if what == "index" else None,
        "photometric": "rgb" if by_colour else "palette" if what == "colour" else "minisblack",
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }


def _palette(classes: Classes) -> dict[int, tuple[int, int, int, int]]:
    """Return the colour of every number that may stand in a mask."""
    colours = {number: (*item.colour, 255) for number, item in enumerate(classes.items)}
    return {**colours, classes.ignore: (*classes.ignore_colour, 255)}
