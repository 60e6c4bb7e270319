"""Padding an image to a size that a network can take, and what it adds being cut off again."""

import torch
from jaxtyping import Shaped
from torch.nn import functional

__all__ = ["crop", "pad", "padded"]


def padded(size: int, *, multiple: int, minimum: int = 1) -> int:
    """Return the smallest multiple of `multiple` that is neither below `size` nor below `minimum`.

    >>> padded(65, multiple=32), padded(64, multiple=32), padded(1, multiple=32, minimum=128)
    (96, 64, 128)
    """
    return -(-max(size, minimum) // multiple) * multiple


def pad(
    image: Shaped[torch.Tensor, "batch band y x"], *, height: int, width: int
) -> Shaped[torch.Tensor, "batch band _y _x"]:
    """Return the image grown at its lower and right edges, so that the upper left pixel stays where it is.

    Along each axis the image is mirrored about its last pixel where it is large enough for that, and its last pixel is
    repeated otherwise. An image that has the size already comes back as it is.

    Args:
        image: Any size, 1 x 1 included.
        height: Rows of the result, at least the image's.
        width: Columns of the result, at least the image's.
    """
    rows, columns = height - image.shape[-2], width - image.shape[-1]
    if columns:
        mode = "reflect" if columns < image.shape[-1] else "replicate"
        image = functional.pad(image, (0, columns, 0, 0), mode=mode)
    if rows:
        mode = "reflect" if rows < image.shape[-2] else "replicate"
        image = functional.pad(image, (0, 0, 0, rows), mode=mode)
    return image


def crop(
    logits: Shaped[torch.Tensor, "batch class _y _x"], *, height: int, width: int
) -> Shaped[torch.Tensor, "batch class y x"]:
    """Return the upper left part, which is what `pad` kept."""
    return logits[..., :height, :width]
