"""Reading a sample at other places: nearest for target and validity, bilinear over valid pixels alone for the image.

A pixel of the answer is valid where its nearest source pixel is valid. Its image value is the bilinear mean over the
valid source pixels, their weights rescaled to sum to 1, so that the 0 which stands in invalid pixels never bleeds into
valid ones. The bits do not depend on the number of threads.
"""

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch.nn.functional import grid_sample, interpolate

from terrazzo.data.sample import Sample

__all__ = ["at_positions", "nearest_indices", "resized_image", "resized_sample"]


def at_positions(
    sample: Sample, y: Float64[torch.Tensor, "rows columns"], x: Float64[torch.Tensor, "rows columns"], ignore: int
) -> Sample:
    """Return the sample read at real-valued positions; outside it is ignore, invalid and 0.

    Args:
        sample: What is read.
        y: Source row of each pixel of the answer; pixel centres lie on whole numbers.
        x: Source column of each pixel of the answer.
        ignore: Target value outside the sample.
    """
    height, width = sample.target.shape
    nearest_y, nearest_x = (y + 0.5).floor(), (x + 0.5).floor()
    inside = (nearest_y >= 0) & (nearest_y < height) & (nearest_x >= 0) & (nearest_x < width)
    nearest = nearest_y.clamp(0, height - 1).long() * width + nearest_x.clamp(0, width - 1).long()
    target = torch.where(inside, sample.target.flatten()[nearest], ignore)
    valid = inside & sample.valid.flatten()[nearest]
    return sample.with_pixels(torch.where(valid, _bilinear(sample, y, x), 0), target, valid)


def _bilinear(
    sample: Sample, y: Float64[torch.Tensor, "rows columns"], x: Float64[torch.Tensor, "rows columns"]
) -> Float[torch.Tensor, "band rows columns"]:
    """Mean of the valid ones among the four neighbours, 0 where none is valid."""
    height, width = sample.target.shape
    # The sampler's own coordinates run from -1 to 1 over the outer edges of the border pixels.
    places = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1).to(sample.image.dtype)
    # Invalid pixels are 0 in the image and in the weights, and so is everything outside: they drop out of both sums.
    summed = torch.cat([sample.image * sample.valid, sample.valid[None].to(sample.image.dtype)])
    sums = grid_sample(summed[None], places[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    return sums[:-1] / torch.where(sums[-1] > 0, sums[-1], 1)


def nearest_indices(length: int, source: int) -> Int64[torch.Tensor, " length"]:
    """Return the source pixel whose area holds the centre of each of `length` pixels spread over `source` pixels.

    >>> nearest_indices(2, 6).tolist(), nearest_indices(4, 2).tolist()
    ([1, 4], [0, 0, 1, 1])
    """
    # In whole numbers: a centre that falls on an edge must go the same way everywhere.
    return ((2 * torch.arange(length) + 1) * source).div(2 * length, rounding_mode="floor")


def resized_image(
    image: Float[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"], size: tuple[int, int]
) -> tuple[Float[torch.Tensor, "batch band rows columns"], Bool[torch.Tensor, "batch rows columns"]]:
    """Resize normalised images (bilinear, smoothed when shrinking) with their validity.

    Args:
        image: Normalised values; 0 where not valid.
        valid: Where every band was measured.
        size: Rows and columns of the answer.

    Returns:
        The image, 0 where not valid, and its validity (that of the nearest source pixel).
    """
    rows = nearest_indices(size[0], image.shape[-2]).to(image.device)
    columns = nearest_indices(size[1], image.shape[-1]).to(image.device)
    kept = valid[:, rows][:, :, columns]
    values = interpolate(image, size=size, mode="bilinear", antialias=True)
    if not bool(valid.all()):
        weights = interpolate(valid[:, None].to(image.dtype), size=size, mode="bilinear", antialias=True)
        # A kept pixel's nearest source is valid and has weight; elsewhere the value is dropped.
        values = torch.where(kept[:, None], values / torch.where(kept[:, None], weights, 1), 0)
    return values, kept


def resized_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Return the sample at another size: the image as in `resized_image`, each target pixel its nearest source's."""
    image, valid = resized_image(sample.image[None], sample.valid[None], size)
    rows, columns = (nearest_indices(*pair) for pair in zip(size, sample.target.shape, strict=True))
    return sample.with_pixels(image[0], sample.target[rows][:, columns], valid[0])
