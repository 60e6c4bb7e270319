"""Bilinear interpolation between corners whose gradient is the same bits each time on a GPU too.

torch adds its gradient up there in the order in which threads arrive; in deterministic mode it computes answer and
gradient by another, slower way, so that the mode changes the answer's last bits. Here the answer is always the kernel's
own, and the gradient two matrix products.
"""

import torch
from jaxtyping import Float, Float32
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable
from torch.nn import functional

__all__ = ["CornerInterpolation", "between_corners"]


def between_corners(
    image: Float[torch.Tensor, "batch channel _y _x"], *, height: int, width: int
) -> Float[torch.Tensor, "batch channel {height} {width}"]:
    """Return a map of another size, bilinear, its corner pixels on the corner pixels (align_corners=True).

    Args:
        image: Any size.
        height: Rows of the result.
        width: Columns of the result.
    """
    if image.is_cpu:
        return functional.interpolate(image, size=(height, width), mode="bilinear", align_corners=True)
    resized: torch.Tensor = CornerInterpolation.apply(image, height, width)
    return resized


class CornerInterpolation(torch.autograd.Function):
    """The kernel's interpolation forwards; backwards the products with its two matrices, summed in float32."""

    @staticmethod
    def forward(ctx: FunctionCtx, image: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return the map of the new size."""
        rows, columns = image.shape[-2:]
        ctx.save_for_backward(_matrix(rows, height, image.device), _matrix(columns, width, image.device))
        resized: torch.Tensor = torch.ops.aten.upsample_bilinear2d(image, [height, width], True)
        return resized

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient of the map."""
        kind = torch.float64 if gradient.dtype == torch.float64 else torch.float32
        rows, columns = (matrix.to(kind) for matrix in ctx.saved_tensors)
        with torch.autocast(gradient.device.type, enabled=False):
            return (rows.T @ (gradient.to(kind) @ columns)).to(gradient.dtype), None, None


def _matrix(size: int, resized: int, device: torch.device) -> Float32[torch.Tensor, "{resized} {size}"]:
    """Return the share of each pixel in each pixel of the result along one axis, rounded as the kernel rounds."""
    step = (size - 1) / (resized - 1) if resized > 1 else 0.0
    place = torch.arange(resized, device=device, dtype=torch.float32) * step
    first = place.long().clamp(max=size - 1)
    second = (first + 1).clamp(max=size - 1)
    share = (place - first)[:, None]
    pixel = torch.arange(size, device=device)[None]
    return (pixel == first[:, None]) * (1 - share) + (pixel == second[:, None]) * share
