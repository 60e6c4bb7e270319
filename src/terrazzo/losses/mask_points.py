"""Where masks are compared: at points drawn among the pixels that count, or at all of those."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float32, Int64
from pydantic import Field

from terrazzo.record import Record

__all__ = ["Points", "Sampling", "points_of_pixels"]


@dataclass(frozen=True)
class Points:
    """Places in one image.

    Attributes:
        pixel: Index y * width + x of the pixel that holds each.
        row: Pixels from the image's upper edge; 0.5 is the middle of the first row.
        column: Pixels from the image's left edge.
    """

    pixel: Int64[torch.Tensor, "*set point"]
    row: Float32[torch.Tensor, "*set point"]
    column: Float32[torch.Tensor, "*set point"]

    def values(self, masks: Float32[torch.Tensor, "mask y x"], stride: int) -> Float32[torch.Tensor, "mask point"]:
        """Return masks at the places, between the middles of cells bilinear, as enlarging does.

        Args:
            masks: Of this image; where there is a set of points for each mask, as many.
            stride: Pixels along a cell.
        """
        height, width = masks.shape[1:]
        row = (self.row / stride - 0.5).clamp(0, height - 1)
        column = (self.column / stride - 0.5).clamp(0, width - 1)
        above, left = row.long(), column.long()
        below, right = (above + 1).clamp_max(height - 1), (left + 1).clamp_max(width - 1)
        down, across = row - above, column - left
        flat = masks.flatten(1)

        def at(line: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            """Return each mask's cell in a line, at a place."""
            return flat.gather(1, (line * width + place).expand(len(flat), -1))

        upper = at(above, left) * (1 - across) + at(above, right) * across
        lower = at(below, left) * (1 - across) + at(below, right) * across
        return upper * (1 - down) + lower * down


class Sampling(Record):
    """Points drawn instead of comparing every pixel.

    Matching draws them evenly, the same for all queries. The loss draws `oversample` times as many for each mask, keeps
    the share `importance` of the points among those that are least certain (logit nearest 0), and draws the rest
    evenly.

    Source: Kirillov et al., PointRend, CVPR 2020, section 3.1; Mask2Former (Cheng et al., CVPR 2022): 12,544 points,
        3, 0.75.
    Differs: points are drawn among the pixels that count, each pixel as likely as any other, and take the label of the
        pixel that holds them; there, everywhere, with labels between pixels. An image with no more such pixels than
        points is compared at all of them.
    """

    points: Annotated[int, Field(ge=1)] = 12544
    """Points of each mask."""
    oversample: Annotated[float, Field(ge=1)] = 3.0
    """How many times as many are drawn before the least certain are kept."""
    importance: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the points that are the least certain ones."""

    def even(self, counted: Int64[torch.Tensor, " pixel"], width: int) -> Points:
        """Return evenly drawn points, one set for all masks; every pixel where there are no more than points.

        Args:
            counted: Indices of the pixels that count, at least one.
            width: Columns of the image.
        """
        if len(counted) <= self.points:
            return points_of_pixels(counted, width)
        return _drawn(counted, width, (self.points,))

    def uncertain(
        self,
        counted: Int64[torch.Tensor, " pixel"],
        width: int,
        masks: Float32[torch.Tensor, "mask y x"],
        stride: int,
    ) -> Points:
        """Return points for each mask, most of them where it is least certain; every pixel as `even`.

        Args:
            counted: Indices of the pixels that count, at least one.
            width: Columns of the image.
            masks: Logits.
            stride: Pixels along a cell of a mask.
        """
        if len(counted) <= self.points:
            return points_of_pixels(counted, width)
        kept = int(self.importance * self.points)
        many = _drawn(counted, width, (len(masks), int(self.oversample * self.points)))
        rest = _drawn(counted, width, (len(masks), self.points - kept))
        least = many.values(masks.detach(), stride).abs().topk(kept, dim=1, largest=False).indices
        return Points(
            torch.cat((many.pixel.gather(1, least), rest.pixel), dim=1),
            torch.cat((many.row.gather(1, least), rest.row), dim=1),
            torch.cat((many.column.gather(1, least), rest.column), dim=1),
        )


def _drawn(counted: Int64[torch.Tensor, " pixel"], width: int, shape: tuple[int, ...]) -> Points:
    """Return points drawn from torch's global generator, which training seeds before each batch."""
    pixel = counted[torch.randint(len(counted), shape, device=counted.device)]
    within = torch.rand((2, *shape), device=counted.device)
    return Points(pixel, pixel.div(width, rounding_mode="floor") + within[0], pixel % width + within[1])


def points_of_pixels(counted: Int64[torch.Tensor, " pixel"], width: int) -> Points:
    """Return the middle of each pixel that counts."""
    return Points(counted, counted.div(width, rounding_mode="floor") + 0.5, counted % width + 0.5)
