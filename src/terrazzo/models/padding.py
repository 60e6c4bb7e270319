"""Padding an image to a size that a network can take, and what it adds being cut off again."""

from typing import cast

import torch
from jaxtyping import Int64, Shaped
from torch.nn import functional

__all__ = ["covering", "crop", "pad", "padded"]


def padded(size: int, *, multiple: int, minimum: int = 1) -> int:
    """Return the smallest multiple of `multiple` that is neither below `size` nor below `minimum`.

    >>> padded(65, multiple=32), padded(64, multiple=32), padded(1, multiple=32, minimum=128)
    (96, 64, 128)
    """
    # Of positive numbers alone, and without a branch: exported programs round divisions towards 0 and cannot branch.
    return (cast("int", torch.sym_max(size, minimum)) + multiple - 1) // multiple * multiple


def covering(size: int, stride: int) -> int:
    """Return how many cells of a coarse map cover so many pixels, the last one perhaps in part.

    >>> covering(64, 4), covering(65, 4)
    (16, 17)
    """
    return (size + stride - 1) // stride


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
    if torch.compiler.is_exporting():
        rows_of, columns_of = (_mirrored(image, axis, size) for axis, size in ((-2, height), (-1, width)))
        return image.index_select(-1, columns_of).index_select(-2, rows_of)
    rows, columns = height - image.shape[-2], width - image.shape[-1]
    if columns:
        mode = "reflect" if columns < image.shape[-1] else "replicate"
        image = functional.pad(image, (0, columns, 0, 0), mode=mode)
    if rows:
        mode = "reflect" if rows < image.shape[-2] else "replicate"
        image = functional.pad(image, (0, 0, 0, rows), mode=mode)
    return image


def _mirrored(image: torch.Tensor, axis: int, size: int) -> Int64[torch.Tensor, " _size"]:
    """Return which row (or column) of the image stands at each of the result: `pad` without a branch on sizes."""
    last = image.shape[axis] - 1
    place = torch.arange(size, device=image.device)
    mirrored = last - (place - last).abs()
    return torch.where(mirrored[-1] < 0, place.clamp_max(last), mirrored)


def crop(
    logits: Shaped[torch.Tensor, "batch class _y _x"], *, height: int, width: int
) -> Shaped[torch.Tensor, "batch class y x"]:
    """Return the upper left part, which is what `pad` kept."""
    return logits[..., :height, :width]
