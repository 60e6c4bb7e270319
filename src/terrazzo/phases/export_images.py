"""Imagery on which an exported file is compared with its bundle: named images, a run's own, or made-up ones."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.prepare import open_prepared
from terrazzo.data.prepared import PREPARED_FILE
from terrazzo.data.reading import read_image
from terrazzo.errors import DataError
from terrazzo.export.patches import LARGEST_SIDE, Patch, synthetic_patches
from terrazzo.geo.grid import Grid, Window
from terrazzo.scene.contract import fit_bands
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.settings import PredictSettings

__all__ = ["ComparedImages", "images_to_compare"]

COUNT = 2
"""Images that are compared."""
_TRIED = 8


class ComparedImages(NamedTuple):
    """Imagery to compare answers on.

    Attributes:
        patches: Of it.
        source: Where it comes from, for a reader.
        synthetic: Whether it was made up.
    """

    patches: list[Patch]
    source: str
    synthetic: bool


def images_to_compare(bundle: Bundle, config: RunConfig | None, named: Sequence[Path | str]) -> ComparedImages:
    """Return patches: of the named images, else of the run's prepared data, else made up.

    Args:
        bundle: What the images must fit.
        config: The run's configuration; None for a lone bundle.
        named: Images, folders of them or patterns.

    Raises:
        DataError: A named image cannot be read, or holds nothing measured.
        ContractError: A named image does not fit the bundle.
    """
    if named:
        patches = list(islice(_of_scenes(bundle, named), COUNT))
        if not patches:
            raise DataError(f"No measured pixel was found in {', '.join(map(str, named))}; name other images.")
        return ComparedImages(patches, f"{len(patches)} patches of {', '.join(map(str, named))}", synthetic=False)
    if config is not None and (config.prepare.folder / PREPARED_FILE).is_file():
        patches = list(islice(_of_data(bundle, config), COUNT))
        if patches:
            folder = config.prepare.folder
            return ComparedImages(patches, f"{len(patches)} patches of the data prepared in {folder}", synthetic=False)
    side = min(max(bundle.patch_size, 64), LARGEST_SIDE)
    made_up = synthetic_patches(bundle, count=COUNT, side=side)
    return ComparedImages(made_up, f"{COUNT} synthetic patches: no image was named and no data is prepared", True)


def _of_scenes(bundle: Bundle, named: Sequence[Path | str]) -> Iterator[Patch]:
    entries = find_entries([str(one) for one in named], PredictSettings(), bundle)
    per_scene = -(-COUNT // len(entries))
    for entry in entries:
        with entry.open() as scene:
            bands = fit_bands(bundle, scene)
            for window in _windows(scene.grid, per_scene):
                raster = scene.read(window, bands)
                if raster.valid.any():
                    yield Patch(raster.values, raster.valid)


def _of_data(bundle: Bundle, config: RunConfig) -> Iterator[Patch]:
    prepared = open_prepared(config.prepare.folder)
    if prepared.bands.names != bundle.bands.names:
        return
    entries = sorted(prepared.catalog, key=lambda entry: entry.split == "train")[:_TRIED]
    for entry in entries:
        window = _middle(entry.height, entry.width)
        raster = read_image(entry, window, prepared.bands)
        if raster.valid.any():
            yield Patch(raster.values, raster.valid)


def _middle(height: int, width: int) -> Window:
    """Return the middle of an image, as large as is compared at most."""
    rows, columns = min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)
    return Window((height - rows) // 2, (width - columns) // 2, rows, columns)


def _windows(grid: Grid, count: int) -> Iterator[Window]:
    """Yield so many windows along a diagonal of a scene, the middle one first."""
    middle = _middle(grid.height, grid.width)
    yield middle
    for number in range(1, count):
        share = number / count
        yield Window(int(middle.y * 2 * share), int(middle.x * 2 * share), middle.height, middle.width)
