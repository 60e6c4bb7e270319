"""The accumulator of one strip of windows: answers are added up with weights that sum to 1, finished rows leave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped, UInt8

from terrazzo.errors import ModelError
from terrazzo.scene.settings import Blend
from terrazzo.scene.windows import Axis

__all__ = ["CONFIDENCE_STEPS", "Accumulator", "FinishedRows"]

CONFIDENCE_STEPS = 254
"""Steps of a stored probability: 0 is 0, 254 is 1, and 255 is left for missing pixels."""

# Rows that are decided at once: bounds the temporaries over a wide scene.
_SLAB_ROWS = 32


@dataclass(frozen=True)
class FinishedRows:
    """Rows to which no later window adds.

    Attributes:
        top: First row in the scene.
        target: Class of the largest score (the first of equals), or the ignore value where the scene is not valid.
        confidence: Its probability in steps of 1/254, and 255 where the scene is not valid; None where not asked for.
    """

    top: int
    target: Shaped[np.ndarray, "y x"]
    confidence: UInt8[np.ndarray, "y x"] | None


class Accumulator:
    """Adds up the windows of a strip over the scene's whole width; its size does not depend on the scene's height.

    Strips are finished in order: `add` every batch of a strip, then `finish` it.

    Args:
        rows: Windows along y.
        columns: Windows along x.
        classes: Classes.
        ignore: Value of the target where the scene is not valid.
        blend: Whether the scores are probabilities or logits.
        device: Where the sums lie.
    """

    def __init__(
        self,
        rows: Axis,
        columns: Axis,
        *,
        classes: int,
        ignore: int,
        blend: Blend = "probabilities",
        device: torch.device | None = None,
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._ignore = ignore
        self._blend = blend
        self._sums = torch.zeros((classes, rows.size, columns.length), dtype=torch.float32, device=device)
        self._across = [torch.from_numpy(columns.weights(number)).to(device) for number in range(len(columns))]
        self._strip = 0
        self._down = self._weights_down()
        self._weight = torch.empty((rows.size, columns.size), dtype=torch.float32, device=device)

    def add(self, scores: Float32[torch.Tensor, "batch class y x"], columns: Sequence[int]) -> None:
        """Add windows of the current strip.

        Args:
            scores: Probabilities or logits of each window.
            columns: Position of each window in the strip.
        """
        with torch.inference_mode():
            for window, column in zip(scores, columns, strict=True):
                start = self._columns.starts[column]
                part = self._sums[:, :, start : start + self._columns.size]
                torch.mul(self._down[:, None], self._across[column], out=self._weight)
                part.addcmul_(window, self._weight)

    def finish(self, valid: Bool[np.ndarray, "y x"], *, confidence: bool = True) -> Iterator[FinishedRows]:
        """Yield the rows of the current strip that the next one does not touch, and move on to the next strip.

        Args:
            valid: Where the scene is valid, over the whole strip.
            confidence: Whether to say how sure each pixel is.

        Raises:
            ModelError: The network's answer is not a number somewhere.
        """
        start = self._rows.starts[self._strip]
        last = self._strip == len(self._rows) - 1
        end = self._rows.length if last else self._rows.starts[self._strip + 1]
        for first in range(0, end - start, _SLAB_ROWS):
            rows = slice(first, min(first + _SLAB_ROWS, end - start))
            yield self._decide(start + first, self._sums[:, rows], valid[rows], confidence=confidence)
        if not last:
            self._strip += 1
            for plane in self._sums:
                kept = plane[end - start :].clone()
                plane[: len(kept)] = kept
                plane[len(kept) :] = 0
            self._down = self._weights_down()

    def _weights_down(self) -> torch.Tensor:
        return torch.from_numpy(self._rows.weights(self._strip)).to(self._sums.device)

    def _decide(
        self, top: int, scores: Float32[torch.Tensor, "class y x"], valid: Bool[np.ndarray, "y x"], *, confidence: bool
    ) -> FinishedRows:
        best, number = scores.max(dim=0)
        # The sum tells in one pass: it is finite just if all are.
        if not bool(torch.isfinite(best.sum())):
            raise ModelError(
                f"The network's answer is not a number in rows {top} to {top + len(valid) - 1}; its values overflow in "
                "this precision (try machine.precision=float32), or the training diverged."
            )
        kind = np.uint8 if self._ignore <= 255 else np.uint16
        target = number.cpu().numpy().astype(kind)
        target[~valid] = self._ignore
        return FinishedRows(top, target, self._steps(scores, best, valid) if confidence else None)

    def _steps(
        self,
        scores: Float32[torch.Tensor, "class y x"],
        best: Float32[torch.Tensor, "y x"],
        valid: Bool[np.ndarray, "y x"],
    ) -> UInt8[np.ndarray, "y x"]:
        """Return the best score's probability in steps of 1/254."""
        probability = best if self._blend == "probabilities" else 1 / (scores - best).exp().sum(dim=0)
        steps = (probability * CONFIDENCE_STEPS).round().clamp(0, CONFIDENCE_STEPS).cpu().numpy().astype(np.uint8)
        steps[~valid] = 255
        return steps
