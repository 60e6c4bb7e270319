"""What an open scene offers, whatever it is made of."""

from types import TracebackType
from typing import Protocol, runtime_checkable

from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster

__all__ = ["OpenScene"]


@runtime_checkable
class OpenScene(Protocol):
    """A scene, opened once and read by windows, in one thread at a time; a `RasterFile` is one."""

    @property
    def path(self) -> str:
        """What messages call it: a file, a folder, an address or a pattern."""
        ...

    @property
    def grid(self) -> Grid:
        """Where its pixels lie; the map's grid."""
        ...

    @property
    def bands(self) -> Bands:
        """All bands that it offers."""
        ...

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width of what is decoded together."""
        ...

    @property
    def sequential(self) -> bool:
        """Whether it can only be decoded from its top, so that several readers would each decode all of it."""
        ...

    @property
    def tags(self) -> dict[str, str]:
        """Metadata tags; none of several pictures, and of a picture in several files those of the first."""
        ...

    def never_missing(self, bands: Bands) -> bool:
        """Return whether every pixel is measured in all these bands, as far as that can be told without reading any."""
        ...

    def read(self, window: Window, bands: Bands) -> Raster:
        """Read a window.

        Args:
            window: Pixels, inside the grid.
            bands: Bands by name in the wanted order; their nodata values are honoured beside the files' own.

        Raises:
            DataError: A file is missing or damaged.
            ContractError: The window leaves the grid, or a band's name is unknown.
        """
        ...

    def close(self) -> None:
        """Free its files."""
        ...

    def __enter__(self) -> "OpenScene":
        """Return itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free its files."""
        ...
