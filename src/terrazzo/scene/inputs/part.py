"""One picture of a scene: a file, or files that hold its bands, read on a window of the scene's grid."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

from pydantic import Field

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.reading import ImageFiles
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.geo.warped import Resampling
from terrazzo.record import Record
from terrazzo.scene.inputs.addresses import as_shown, is_remote, remote_access
from terrazzo.scene.inputs.damage import truncation

__all__ = ["OpenPart", "ScenePart", "part_image"]


class ScenePart(Record):
    """One picture: plain data that says how it is read."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths and addresses, as GDAL opens them; those on another grid are resampled onto the scene's."""
    bands: Bands
    """All its bands, called alike in every part of a scene."""
    places: tuple[BandPlace, ...]
    """Where each band is stored, in the same order."""
    mask: ValidityMask | None = None
    """Raster that says which pixels were not measured."""
    window: Window
    """Pixels of the scene's grid that it may cover."""


class OpenPart:
    """A picture that is open; its pixels are counted from the window's own corner.

    Args:
        part: What it consists of.
        grid: Of the whole scene.
        path: What messages call it.

    Raises:
        DataError: A file is missing, damaged or no raster, or cannot lie on the grid.
    """

    def __init__(self, part: ScenePart, grid: Grid, *, path: str) -> None:
        self.path = path
        self.grid = grid if part.window == grid.whole else grid.window(part.window)
        self.bands = part.bands
        self._own = {band.name: band for band in part.bands}
        # A path would take the second slash from an address, so that it only stands for it.
        addresses = {Path(file): file for file in part.files}
        self._opened = ExitStack()
        self._remote = any(map(is_remote, part.files))
        self._paths = part.files

        def opened(path: Path, resampling: Resampling) -> RasterFile:
            file = RasterFile(addresses.get(path, str(path)), onto=self.grid, resampling=resampling)
            return self._opened.enter_context(file)

        with self._access(), ExitStack() as undo:
            undo.enter_context(self._opened)
            self._files = ImageFiles(part_image(part, self.grid, path), opened)
            undo.pop_all()

    def __enter__(self) -> "OpenPart":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width that the file with the largest blocks decodes together."""
        return self._files.block_shape

    @property
    def sequential(self) -> bool:
        """Whether one of its files can only be decoded from its top."""
        return any(file.sequential for file in self._files.bands)

    @property
    def tags(self) -> dict[str, str]:
        """Metadata tags of its first file."""
        return self._files.bands[0].tags

    def never_missing(self, bands: Bands) -> bool:
        """Return whether every pixel is measured in all these bands, as far as that can be told without reading any."""
        return self._files.never_missing(self._with_nodata(bands))

    def read(self, window: Window, bands: Bands) -> Raster:
        """Read a window of the part.

        Args:
            window: Pixels of the part.
            bands: Bands by name in the wanted order; where one states no nodata value the part's own counts.

        Raises:
            DataError: A file is damaged.
            ContractError: The window leaves the part, or a band's name is unknown.
        """
        with self._access():
            found = self._files.read(window, self._with_nodata(bands))
        return Raster(found.values, found.valid, found.grid, bands)

    def close(self) -> None:
        """Free the files."""
        self._opened.close()

    @contextmanager
    def _access(self) -> Iterator[None]:
        """Read addresses with patience, and say of a failure what can be known, and nothing that is secret."""
        try:
            with remote_access() if self._remote else nullcontext():
                yield
        except DataError as error:
            cut = next((said for file in self._paths if (said := truncation(file)) is not None), None)
            # The cause of a failed address may hold what is secret.
            raise DataError(cut or as_shown(str(error))) from (None if self._remote else error)

    def _with_nodata(self, bands: Bands) -> Bands:
        """Give bands without nodata value the part's own, which its files need not state."""
        items = [
            band.model_copy(update={"nodata": self._own[band.name].nodata})
            if band.nodata is None and band.name in self._own
            else band
            for band in bands
        ]
        return Bands(items=tuple(items), collar=bands.collar)


def part_image(part: ScenePart, grid: Grid, name: str) -> ImageEntry:
    """Return the part as the images of training are described."""
    first, *further = (Path(file) for file in part.files)
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    return ImageEntry(
        image_id=name,
        image=first,
        label=None,
        extra=tuple(further),
        split=None,
        region=None,
        height=grid.height,
        width=grid.width,
        crs=grid.crs.to_wkt() if grid.crs else None,
        transform=(a, b, c, d, e, f),
        stack=part.places,
        mask=part.mask,
    )
