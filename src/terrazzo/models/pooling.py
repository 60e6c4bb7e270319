"""Adaptive average pooling whose gradient is the same bits each time on a GPU too.

torch's own adds gradients up there in the order in which threads arrive, and refuses in deterministic mode. Pyramid
pooling (PSPNet, UPerNet) needs it.
"""

import torch
from jaxtyping import Float

__all__ = ["RepeatablePool", "average_cells", "make_pooling_repeatable"]


def average_cells(
    image: Float[torch.Tensor, "batch channel y x"], height: int, width: int
) -> Float[torch.Tensor, "batch channel {height} {width}"]:
    """Return the means over a grid of cells, cell i reaching from floor(i n / m) up to ceil((i + 1) n / m).

    Differs: torch.nn.AdaptiveAvgPool2d gives the same cells; here two matrix products do it, in float32.
    """
    with torch.autocast(image.device.type, enabled=False):
        rows = _shares(image.shape[-2], height, image.device)
        columns = _shares(image.shape[-1], width, image.device)
        return (rows @ image.float() @ columns.T).to(image.dtype)


def _shares(size: int, cells: int, device: torch.device) -> Float[torch.Tensor, "{cells} {size}"]:
    """Return each pixel's share in each cell's mean along one axis."""
    cell = torch.arange(cells, device=device)[:, None]
    pixel = torch.arange(size, device=device)[None]
    first, last = cell * size // cells, ((cell + 1) * size + cells - 1) // cells
    inside = ((pixel >= first) & (pixel < last)).float()
    return inside / inside.sum(dim=1, keepdim=True)


class RepeatablePool(torch.nn.AdaptiveAvgPool2d):
    """Pools by `average_cells` on a GPU, as ever elsewhere."""

    def forward(self, input: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel _y _x"]:  # noqa: A002 - torch's own name
        """Return the means of the cells."""
        if not input.is_cuda:
            return super().forward(input)
        size = self.output_size if isinstance(self.output_size, tuple) else (self.output_size, self.output_size)
        height, width = (
            own if given is None else int(given) for given, own in zip(size, input.shape[-2:], strict=True)
        )
        return average_cells(input, height, width)


def make_pooling_repeatable(network: torch.nn.Module) -> None:
    """Replace the adaptive average pooling inside a network; it has no weights, so state dicts stay."""
    for module in network.modules():
        if type(module) is torch.nn.AdaptiveAvgPool2d:
            module.__class__ = RepeatablePool
