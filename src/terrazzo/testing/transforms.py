"""What every transform promises: one geometry for image, target and validity, and nothing random of its own."""

from typing import TYPE_CHECKING

import torch

from terrazzo.testing.verdict import require

if TYPE_CHECKING:
    from terrazzo.data.augment.transform import Transform
    from terrazzo.data.sample import Sample

__all__ = ["check_transform"]

IGNORE = 255
MARK = 1
"""Class of the marked corner, in which every band is bright."""


def check_transform(record: "Transform", *, seeds: int = 20) -> None:
    """Hold a transform to the contract of `Transform.__call__` over a number of seeds.

    Checked are: the same generator gives the same sample whatever the global generator does, the given sample is left
    as it was, image, target and validity keep one size and stay aligned, labels are old classes or ignored, pixels that
    are not valid hold 0, and probability 0 changes nothing.

    Args:
        record: The transform.
        seeds: How many draws to look at.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    always = record.model_copy(update={"probability": 1.0})
    for seed in range(seeds):
        _check_draw(always, seed)
    still, given = record.model_copy(update={"probability": 0.0}), _sample()
    require(_equal(still(given, _generator(0), IGNORE), given), record, "probability 0 must change nothing")


def _sample() -> "Sample":
    """Return a sample with a bright marked corner, an ignored row and a missing block."""
    from terrazzo.data.sample import Sample
    from terrazzo.geo.grid import Window

    target = torch.zeros((16, 24), dtype=torch.int64)
    target[:7, :9] = MARK
    target[12] = IGNORE
    valid = torch.ones((16, 24), dtype=torch.bool)
    valid[8:11, 14:20] = False
    image = torch.where(target == MARK, 1.0, -1.0).expand(3, 16, 24) * valid
    return Sample(image, target, valid, row=0, core=Window(0, 0, 16, 24))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _equal(one: "Sample", other: "Sample") -> bool:
    parts = ((one.image, other.image), (one.target, other.target), (one.valid, other.valid))
    return all(mine.shape == theirs.shape and torch.equal(mine, theirs) for mine, theirs in parts)


def _check_draw(record: "Transform", seed: int) -> None:
    given = _sample()
    changed = record(given, _generator(seed), IGNORE)
    require(_equal(given, _sample()), record, f"seed {seed}: the given sample was changed in place")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        repeated = record(_sample(), _generator(seed), IGNORE)
    require(_equal(changed, repeated), record, f"seed {seed}: the same generator gave another sample")
    size = changed.image.shape[-2:]
    same_size = changed.target.shape == size and changed.valid.shape == size
    require(same_size, record, f"seed {seed}: image, target and validity must keep one size")
    require(bool(changed.image.isfinite().all()), record, f"seed {seed}: the image is not finite")
    require(not bool(changed.image[:, ~changed.valid].any()), record, f"seed {seed}: not valid pixels must hold 0")
    labels = set(changed.target.flatten().tolist())
    require(labels <= {0, MARK, IGNORE}, record, f"seed {seed}: labels {labels} hold a class that was not there")
    bright, dark = (changed.image[:, changed.valid & (changed.target == each)] for each in (MARK, 0))
    if bright.numel() and dark.numel():
        aligned = bool(bright.mean() >= dark.mean())
        require(aligned, record, f"seed {seed}: the target did not move with the image")
