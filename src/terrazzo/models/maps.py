"""Coarse maps brought to the size of their image, and cut to what padding left."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch.nn import functional

from terrazzo.models.output import Auxiliary, DeepSupervision, Disagreement, Output, Queries
from terrazzo.models.padding import covering, crop

__all__ = ["cropped", "enlarged"]


def enlarged(
    coarse: Float[torch.Tensor, "batch channel _y _x"], *, stride: int, height: int, width: int
) -> Float[torch.Tensor, "batch channel {height} {width}"]:
    """Return a map at the resolution of its image, between the middles of cells bilinear.

    Args:
        coarse: ceil(height / stride) x ceil(width / stride) cells, or more where padding was not cut off.
        stride: Pixels along a cell.
        height: Rows of the image.
        width: Columns of the image.
    """
    if stride == 1:
        return crop(coarse, height=height, width=width)
    size = (coarse.shape[-2] * stride, coarse.shape[-1] * stride)
    return crop(functional.interpolate(coarse, size=size, mode="bilinear"), height=height, width=width)


def cropped(output: Output, *, height: int, width: int) -> Output:
    """Return an answer for a padded image cut to the image: logits and every auxiliary map."""
    return Output(
        crop(output.logits, height=height, width=width),
        tuple(_cut(record, height, width) for record in output.auxiliary),
    )


def _cut(record: Auxiliary, height: int, width: int) -> Auxiliary:
    def cells(coarse: torch.Tensor, stride: int) -> torch.Tensor:
        return crop(coarse, height=covering(height, stride), width=covering(width, stride))

    if isinstance(record, Queries):
        return replace(record, masks=tuple(cells(one, record.stride) for one in record.masks))
    if isinstance(record, DeepSupervision):
        pairs = zip(record.logits, record.strides, strict=True)
        return replace(record, logits=tuple(cells(one, stride) for one, stride in pairs))
    if isinstance(record, Disagreement):
        return replace(record, values=cells(record.values[:, None], 1)[:, 0])
    halting = tuple(cells(one[:, None], record.stride)[:, 0] if one.ndim == 3 else one for one in record.halting)
    return replace(record, logits=tuple(cells(one, record.stride) for one in record.logits), halting=halting)
