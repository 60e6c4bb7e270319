"""An image's answer thinned out to what a picture shows, kept while its rows come in."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Integer, UInt8

from terrazzo.assessment.judged_rows import JudgedRows
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.pictures.picture import true_colour, visible_bands
from terrazzo.data.reading import read_image
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window

__all__ = ["Thinned", "Thinning", "thinned_image", "thinning_step"]

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Thinned:
    """Every so many pixels of an image's answer.

    Attributes:
        step: Pixels of the image to one of the picture, along each side.
        target: Class of the label, or the ignore value.
        ignored: Where nothing counts.
        answered: Where every band was measured and a window was computed.
        number: Class that is answered, 0..K-1.
        share: Of two classes the probability of the second; of more that of the class.
    """

    step: int
    target: Integer[np.ndarray, "y x"]
    ignored: Bool[np.ndarray, "y x"]
    answered: Bool[np.ndarray, "y x"]
    number: Integer[np.ndarray, "y x"]
    share: Float32[np.ndarray, "y x"]


class Thinning:
    """Keeps every so many rows and columns of those that come in.

    Args:
        entry: The image.
        longest: Pixels of the picture's longest side at most.
    """

    def __init__(self, entry: ImageEntry, *, longest: int) -> None:
        self._step = thinning_step(entry, longest=longest)
        self._parts: list[Thinned] = []

    def add(self, rows: JudgedRows) -> None:
        """Keep what the picture shows of some rows."""
        pick = (slice(-rows.y % self._step, None, self._step), slice(None, None, self._step))
        share = rows.probabilities[1] if len(rows.probabilities) == 2 else rows.confidence
        # A window that was not computed has no probability at all; the sum of those of a pixel is 1.
        computed = rows.probabilities[:, pick[0], pick[1]].sum(dim=0) > 0.5
        self._parts.append(
            Thinned(
                step=self._step,
                target=_small(rows.target[pick]),
                ignored=rows.ignored[pick].numpy().copy(),
                answered=rows.valid[pick] & computed.numpy(),
                number=_small(rows.number[pick]),
                share=share[pick].to(torch.float32).numpy().copy(),
            )
        )

    def result(self) -> Thinned:
        """Return what was kept of all rows."""
        joined = {
            name: np.concatenate([getattr(part, name) for part in self._parts])
            for name in ("target", "ignored", "answered", "number", "share")
        }
        return Thinned(step=self._step, **joined)


def thinning_step(entry: ImageEntry, *, longest: int) -> int:
    """Return how many pixels of an image stand behind one of its picture."""
    return max(1, -(-max(entry.height, entry.width) // longest))


def thinned_image(entry: ImageEntry, bands: Bands, *, step: int) -> UInt8[np.ndarray, "y x 3"]:
    """Return an image in natural colours, thinned out alike; it is read some rows at a time.

    Raises:
        DataError: The image cannot be read.
    """
    values, valid = [], []
    channels = visible_bands(bands.names)
    for top in range(0, entry.height, _ROWS_AT_ONCE):
        height = min(_ROWS_AT_ONCE, entry.height - top)
        raster = read_image(entry, Window(top, 0, height, entry.width), bands)
        rows = slice(-top % step, None, step)
        values.append(raster.values[list(channels), rows, ::step])
        valid.append(raster.valid[rows, ::step])
    return true_colour(np.concatenate(values, axis=1), np.concatenate(valid), channels=(0, 1, 2))


def _small(numbers: torch.Tensor) -> Integer[np.ndarray, "y x"]:
    """Return classes in 16 bits, which hold every class and the ignore value."""
    return numbers.to(torch.int32).numpy().astype(np.uint16)
