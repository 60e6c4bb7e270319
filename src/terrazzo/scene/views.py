"""Test-time views: each window seen turned, mirrored and at other scales, and the answers brought back."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch.nn.functional import interpolate

from terrazzo.data.augment.geometry import Resize, symmetry
from terrazzo.data.augment.sampling import resized_image
from terrazzo.data.features.names import VIEWS, View
from terrazzo.scene.settings import PredictSettings

__all__ = ["Sight", "sights_of"]

_BACK: dict[int, int] = {1: 3, 3: 1}


@dataclass(frozen=True)
class Sight:
    """One way to see a window.

    Attributes:
        view: How it is turned.
        scale: Pixels that the network sees a side, over the window's (or over what the bundle resizes it to).
        resize: What the bundle resizes every window to.
    """

    view: View = "identity"
    scale: float = 1.0
    resize: Resize | None = None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns to which a window is resized before it is turned.

        >>> Sight(scale=0.5).size(9, 12), Sight(scale=0.01).size(9, 12)
        ((4, 6), (1, 1))
        """
        if self.resize is not None:
            height, width = self.resize.height, self.resize.width
        return max(round(height * self.scale), 1), max(round(width * self.scale), 1)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns that the network sees of a window.

        >>> Sight("rot90", scale=0.5).seen_size(8, 12)
        (6, 4)
        """
        rows, columns = self.size(height, width)
        return (columns, rows) if VIEWS[self.view] % 2 else (rows, columns)

    def see(
        self, image: Float[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> Float[torch.Tensor, "batch band _y _x"]:
        """Return what the network sees: bilinear, smoothed when shrinking, then turned.

        Args:
            image: Normalised values; 0 where not valid.
            valid: Where every band was measured.
        """
        size = self.size(*image.shape[-2:])
        if size != tuple(image.shape[-2:]):
            image, _ = resized_image(image, valid, size)
        return image if self.view == "identity" else symmetry(image, VIEWS[self.view])

    def back(
        self, answer: Float[torch.Tensor, "batch channel _y _x"], size: tuple[int, int], *, exact: bool = False
    ) -> Float[torch.Tensor, "batch channel y x"]:
        """Return an answer as it lies over the window.

        Args:
            answer: Over what the network saw.
            size: Height and width of the window.
            exact: Whether pixels keep values that were answered (the nearest) instead of bilinear ones.
        """
        element = VIEWS[self.view]
        if element:
            answer = symmetry(answer, _BACK.get(element, element))
        if tuple(answer.shape[-2:]) == size:
            return answer
        if exact:
            return interpolate(answer, size=size, mode="nearest-exact")
        return interpolate(answer, size=size, mode="bilinear", antialias=True)


def sights_of(settings: PredictSettings, resize: Resize | None) -> tuple[Sight, ...]:
    """Return all ways in which a window is seen, each view at each scale.

    Args:
        settings: Views and scales.
        resize: What the bundle resizes every window to.

    >>> [(sight.view, sight.scale) for sight in sights_of(PredictSettings(views=("identity", "hflip")), None)]
    [('identity', 1.0), ('hflip', 1.0)]
    """
    return tuple(Sight(view, scale, resize) for scale in settings.scales for view in settings.views)
