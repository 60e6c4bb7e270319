"""One image and its label, looked at in isolation: every file opened and decoded whole, strip by strip, once."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
import shapely
from jaxtyping import Float32, Shaped

from terrazzo.data.areas.area import AreaReader
from terrazzo.data.band_selection import select_bands
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.reading import ImageFiles
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.headers import Header, read_header
from terrazzo.data.sources.source import Pair
from terrazzo.data.statistics import Moments, MomentSum
from terrazzo.data.verify.duplicates import thumbnail
from terrazzo.data.verify.files import damage, decode_whole, reason, strips, unfit, unreadable
from terrazzo.data.verify.finding import Finding
from terrazzo.data.verify.footprints import outline
from terrazzo.data.verify.label_faults import LabelFaults
from terrazzo.data.verify.parts import Parts, Portion
from terrazzo.data.verify.reduction import Reduced, Reduction
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.data.verify.shift import Shift, find_shift
from terrazzo.errors import DataError, LabelError, TerrazzoError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.kept_open import keep_open
from terrazzo.geo.raster import Raster, RasterFile

__all__ = ["Examined", "examine"]

SAMPLED = 4
"""Every so many rows and columns enter the statistics of the bands."""


PLAIN_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
"""Formats that hold no coordinate reference system."""


@dataclass(frozen=True)
class Examined:
    """What is known of one image after a look at all of its pixels.

    Attributes:
        pair: Its files.
        findings: What is wrong with it.
        broken: Whether a file of it cannot be read, so that the pair is of no use.
        header: What its headers say; None where they cannot be read or do not fit.
        band_names: Names of its selected bands.
        moments: Of these bands, over a sample of the valid pixels.
        class_pixels: Labelled and valid pixels of each class.
        picture: Thumbnail for finding twins; None where it is too even, or was not looked at.
        corners: Outline of its measured part in pixels, as (x, y).
        parts: What has a role where the pair does not say it: the parts that it is divided into, or all of it in a
            fold; none where it is left out. None where the pair says the role.
    """

    pair: Pair
    findings: tuple[Finding, ...]
    broken: bool = False
    header: Header | None = None
    band_names: tuple[str, ...] = ()
    moments: Moments | None = None
    class_pixels: tuple[int, ...] = ()
    picture: Float32[np.ndarray, "32 32"] | None = None
    corners: tuple[tuple[float, float], ...] = ()
    parts: tuple[Portion, ...] | None = None

    @property
    def portions(self) -> tuple[Portion, ...]:
        """All that has a role of its own."""
        if self.parts is not None:
            return self.parts
        outline = shapely.Polygon(self.corners) if self.corners else None
        return (Portion(self.pair, self.moments, self.class_pixels, outline),)


def examine(
    pair: Pair,
    data: DataSettings,
    settings: VerifySettings,
    *,
    georeferenced: bool,
    parts: tuple[Pair, ...] | None = None,
) -> Examined:
    """Open and decode all files of an image; whatever is wrong becomes a finding, and nothing is raised for it.

    Args:
        pair: The files.
        data: Which bands and classes are used.
        settings: What to look for.
        georeferenced: Whether a coordinate reference system is required.
        parts: What the image is divided into, each with its role and area; none where it is left out; None where it
            stays whole.
    """
    # Damaged JPEG data is only warned of by default, and comes out grey.
    with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True), keep_open():
        paths = tuple(dict.fromkeys(pair.all_files))
        lost = [finding for path in paths if (finding := damage(path)) is not None]
        if lost:
            others = [path for path in _rasters(pair) if str(path) not in {finding.file for finding in lost}]
            return Examined(pair, (*lost, *decode_whole(others)), broken=True)
        try:
            header = read_header(pair, georeferenced=georeferenced, resolution_m=data.resolution_m)
        except TerrazzoError as error:
            return _unopened(pair, error)
        return _Look(pair, header, data, settings, parts).result()


def _rasters(pair: Pair) -> list[Path]:
    """Return the files of a pair that are rasters by themselves, each once."""
    labels = pair.label.files if isinstance(pair.label, RasterLabel) else ()
    mask = () if pair.mask is None else (pair.mask.file,)
    return list(dict.fromkeys((pair.image, *pair.extra, *labels, *mask)))


def _unopened(pair: Pair, error: TerrazzoError) -> Examined:
    """Tell files that cannot be read from files that can, but do not fit each other."""
    unreadable = decode_whole(_rasters(pair))
    if unreadable:
        return Examined(pair, tuple(unreadable), broken=True)
    return Examined(pair, (unfit(pair, error),))


class _Look:
    """The one pass over an image whose headers are sound."""

    def __init__(
        self,
        pair: Pair,
        header: Header,
        data: DataSettings,
        settings: VerifySettings,
        parts: tuple[Pair, ...] | None,
    ) -> None:
        self._pair = pair
        self._header = header
        self._classes = data.classes
        self._checks = settings.checks
        self._shift_px = settings.shift_px
        self._bands, self._entry = _selected(header, data)
        self._findings: list[Finding] = []
        self._decoded = {"image": True, "label": header.entry.label is not None}
        self._moments = MomentSum(len(self._bands))
        placed = "places" in self._checks and self._entry.crs is not None
        self._reduces = placed or bool({"shifts", "duplicates"} & set(self._checks))
        self._small = Reduction(self._entry.height, self._entry.width)
        folds = data.split.folds
        self._counts = "classes" in self._checks or (folds is not None and folds.stratify)
        self._parts: Parts | None = None
        if parts is not None:
            size = {"bands": len(self._bands), "classes": len(data.classes)}
            self._parts = Parts(parts, self._entry.grid, **size, factor=self._small.factor)
        self._valid = 0
        self._ends: tuple[Shaped[np.ndarray, " band"], Shaped[np.ndarray, " band"]] | None = None

    def result(self) -> Examined:
        """Stream the image and its label, and return what is known."""
        entry = self._entry
        faults = None
        with ExitStack() as opened:
            files = opened.enter_context(ImageFiles(entry))
            if entry.label is not None:
                area: AreaReader | None = self._parts
                if area is None and entry.area is not None:
                    area = entry.area.open(entry.grid)
                reader = opened.enter_context(entry.label.open(entry.grid))
                faults = LabelFaults(reader, area, self._classes, counts=self._counts)
            for strip in strips(entry.grid.whole, files.block_shape[0], row_bytes=_row_bytes(entry, self._bands)):
                self._add(strip, files, faults)
            if faults is not None and self._decoded["label"]:
                faults.locate()
        whole = self._decoded["image"]
        if whole:
            self._about_values()
        if faults is not None and entry.label is not None and self._decoded["label"]:
            # The labels of an image that is left out are never used.
            used = self._parts is None or self._parts.present
            self._findings += faults.findings(str(entry.label.file)) if whole and used else []
            self._about_reference(entry)
        view = self._small.result() if self._reduces and whole else None
        if view is not None and "shifts" in self._checks and all(self._decoded.values()):
            self._about_shift(find_shift(view))
        corners = self._outline(view) if view is not None else ()
        counted = faults is not None and self._counts
        return Examined(
            pair=self._pair,
            findings=tuple(self._findings),
            broken=any(finding.check == "unreadable" for finding in self._findings),
            header=self._header,
            band_names=self._bands.names,
            moments=self._moments.result(),
            class_pixels=faults.class_pixels if faults is not None else (),
            picture=thumbnail(view) if view is not None and "duplicates" in self._checks else None,
            corners=corners,
            parts=None if self._parts is None else self._parts.portions(corners, counted=counted),
        )

    def _outline(self, view: Reduced) -> tuple[tuple[float, float], ...]:
        if self._entry.crs is None:
            return ()
        return outline(view.valid, factor=view.factor, height=self._entry.height, width=self._entry.width)

    def _add(self, strip: Window, files: ImageFiles, faults: LabelFaults | None) -> None:
        """Decode one strip of both; after damage in one, the other is still decoded to its end."""
        raster = target = None
        if self._decoded["image"]:
            try:
                raster = files.read(strip, self._bands)
            except DataError as error:
                self._stop("image", self._entry.files, error)
        if faults is not None and self._decoded["label"] and self._entry.label is not None:
            try:
                target = faults.decode(strip)
            except DataError as error:
                self._stop("label", self._entry.label.files, error)
        if raster is None:
            return
        self._measure(strip, raster)
        if self._parts is not None:
            self._parts.add(strip, raster, target, step=SAMPLED if "drift" in self._checks else None)
        if faults is not None and target is not None:
            faults.count(strip, target, raster.valid)
            if "shifts" in self._checks:
                self._small.add_label(strip.y, target, self._classes.ignore)

    def _measure(self, strip: Window, raster: Raster) -> None:
        """Gather what is said of the image's values."""
        if self._reduces:
            self._small.add(strip.y, raster.values, raster.valid)
        if "drift" in self._checks:
            # Counted from the image's first row, wherever strips are cut.
            few = (slice(-strip.y % SAMPLED, None, SAMPLED), slice(None, None, SAMPLED))
            self._moments.add(raster.values[:, *few], raster.valid[few])
        everywhere = bool(raster.valid.all())
        self._valid += raster.valid.size if everywhere else int(raster.valid.sum())
        if self._ends is not None and bool((self._ends[0] < self._ends[1]).all()):
            return
        measured = raster.values.reshape(len(raster.values), -1) if everywhere else raster.values[:, raster.valid]
        if measured.size:
            # A few pixels mostly show that no band is of one value, and spare a look at all.
            few_pixels = measured[:, :: max(measured.shape[1] // 300, 1)]
            if (few_pixels.min(axis=1) < few_pixels.max(axis=1)).all():
                measured = few_pixels
            low, high = measured.min(axis=1), measured.max(axis=1)
            known = self._ends or (low, high)
            self._ends = np.minimum(known[0], low), np.maximum(known[1], high)

    def _stop(self, part: str, paths: Sequence[Path], error: DataError) -> None:
        """Note why a part cannot be decoded to its end."""
        self._decoded[part] = False
        path = next((path for path in paths if str(error).startswith(str(path))), paths[0])
        if isinstance(error, LabelError):
            to_do = "check data.classes (labels, values, colours)"
            self._findings.append(Finding(str(path), "error", "unlisted", reason(error, path), to_do))
        else:
            self._findings.append(unreadable(path, error))

    def _about_values(self) -> None:
        file = str(self._pair.image)
        if not self._valid:
            what = "no pixel is valid: all are nodata, masked or transparent"
            self._findings.append(Finding(file, "error", "empty", what, "check its nodata value, or leave it out"))
        elif self._ends is not None and (even := self._ends[0] == self._ends[1]).any():
            told = [
                f"{name} is {float(value):g}"
                for name, value, same in zip(self._bands.names, self._ends[0], even, strict=True)
                if same
            ]
            what = f"one value at every pixel: {', '.join(told)}"
            self._findings.append(Finding(file, "warning", "constant", what, "check how it was written"))

    def _about_reference(self, entry: ImageEntry) -> None:
        """Tell a label raster without reference system on an image with one."""
        if not isinstance(entry.label, RasterLabel) or entry.crs is None:
            return
        # A PNG has no place for one, and nobody expects it there.
        for path in (path for path in entry.label.files if path.suffix.lower() not in PLAIN_SUFFIXES):
            with RasterFile(path) as file:
                if file.grid.crs is None:
                    what = "its image has a coordinate reference system and it has none; pixels go by number"
                    to_do = "make sure that both begin at the same corner, or write the reference system into both"
                    self._findings.append(Finding(str(path), "warning", "crs", what, to_do))

    def _about_shift(self, shift: Shift | None) -> None:
        if shift is None or not shift.significant or shift.length_px < self._shift_px or self._entry.label is None:
            return
        down = f"{abs(shift.down_px):.0f} pixels {'down' if shift.down_px > 0 else 'up'}"
        right = f"{abs(shift.right_px):.0f} pixels to the {'right' if shift.right_px > 0 else 'left'}"
        what = (
            f"its borders meet the image's edges best when moved {down} and {right} "
            f"({shift.agreement:.1f} standard errors better than where it lies)"
        )
        to_do = "look at both together; where it is so, move the label"
        self._findings.append(Finding(str(self._entry.label.file), "hint", "shift", what, to_do))


def _selected(header: Header, data: DataSettings) -> tuple[Bands, ImageEntry]:
    """Return the bands that are used, under the names that this image gives them; all where it lacks one."""
    try:
        bands, positions = select_bands(header, data.bands, collar=data.collar)
    except TerrazzoError:
        return header.bands, header.entry
    stack = tuple(
        header.entry.stack[position]._replace(name=band.name) for band, position in zip(bands, positions, strict=True)
    )
    return bands, replace(header.entry, stack=stack)


def _row_bytes(entry: ImageEntry, bands: Bands) -> int:
    return entry.width * sum(np.dtype(band.dtype).itemsize for band in bands)
