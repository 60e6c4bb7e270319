"""What every answer promises: logits of the image's size, and records with the cells that their strides say."""

from collections.abc import Collection

import torch

from terrazzo.models.output import READ_BY_NO_LOSS, Auxiliary, DeepSupervision, Disagreement, Output, Queries
from terrazzo.record import Component
from terrazzo.testing.answers import tensors
from terrazzo.testing.verdict import require

__all__ = ["check_output", "near"]


def check_output(
    record: Component, output: object, *, answers: Collection[type], shape: tuple[int, int, int, int], when: str
) -> None:
    """Hold an answer to what `terrazzo.models.output` says of it.

    Checked are: it is an `Output`, its logits have the shape, its records are of the kinds named and one of each, every
    map has ceil(size / stride) cells along each side and as many channels as classes, records of several answers have
    as many strides, halting logits or masks as answers, coarser maps come after finer ones, and all is finite.

    Args:
        record: The component under test.
        output: What was answered.
        answers: Kinds of records that the component names.
        shape: Images, classes, rows and columns.
        when: Words for the situation, such as "in training".

    Raises:
        AssertionError: A promise is broken.
    """
    if not isinstance(output, Output):
        require(False, record, f"forward must return an Output, not {type(output).__name__}")
        return
    found = tuple(output.logits.shape)
    require(found == shape, record, f"logits are {found} where {shape} was expected ({when})")
    kinds = [type(one) for one in output.auxiliary if type(one) not in READ_BY_NO_LOSS]
    named, said = (sorted(kind.__name__ for kind in group) for group in (answers, kinds))
    require(said == named, record, f"answers names {named}, but forward answers {said} ({when})")
    wild = [tuple(one.shape) for one in tensors(output) if not one.isfinite().all()]
    require(not wild, record, f"what is answered is not finite: {wild[:3]} ({when})")
    for one in output.auxiliary:
        _check_record(record, one, shape)


def _check_record(record: Component, one: Auxiliary, shape: tuple[int, int, int, int]) -> None:
    batch, classes, _, _ = shape
    name = type(one).__name__
    if isinstance(one, DeepSupervision):
        require(
            len(one.logits) == len(one.strides) > 0, record, f"{name}: {len(one.logits)} maps, strides {one.strides}"
        )
        rising = list(one.strides) == sorted(one.strides)
        require(rising, record, f"{name}: strides {one.strides}; the finest must come first")
        for logits, stride in zip(one.logits, one.strides, strict=True):
            _check_map(record, name, logits, (batch, classes, *_cells(shape, stride)))
    elif isinstance(one, Queries):
        require(
            len(one.classes) == len(one.masks) > 0, record, f"{name}: {len(one.classes)} of classes, {len(one.masks)}"
        )
        for scores, masks in zip(one.classes, one.masks, strict=True):
            columns = scores.shape[-1]
            fit = columns in (classes, classes + 1)
            require(fit, record, f"{name}: a query has {columns} scores for {classes} classes")
            _check_map(record, name, masks, (batch, scores.shape[1], *_cells(shape, one.stride)))
    elif isinstance(one, Disagreement):
        _check_map(record, name, one.values, (batch, *shape[2:]))
        inside = bool(((one.values >= 0) & (one.values <= 1)).all())
        require(inside, record, f"{name}: values must be shares, 0..1")
    else:
        require(len(one.logits) > 0, record, f"{name}: there is no step")
        complete = len(one.halting) in (0, len(one.logits))
        require(complete, record, f"{name}: {len(one.logits)} steps, {len(one.halting)} of them with a halting logit")
        cells = _cells(shape, one.stride)
        for logits in one.logits:
            _check_map(record, name, logits, (batch, classes, *cells))
        for halting in one.halting:
            fit = tuple(halting.shape) in ((batch,), (batch, *cells))
            require(fit, record, f"{name}: halting logits are {tuple(halting.shape)}, neither a tile's nor a cell's")


def _cells(shape: tuple[int, int, int, int], stride: int) -> tuple[int, int]:
    return -(-shape[2] // stride), -(-shape[3] // stride)


def _check_map(record: Component, name: str, found: torch.Tensor, wanted: tuple[int, ...]) -> None:
    require(tuple(found.shape) == wanted, record, f"{name}: a map is {tuple(found.shape)} where {wanted} was expected")


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two answers differ by no more than float32 sums in another order do.

    >>> near(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.001])), near(torch.tensor([1.0]), torch.tensor([1.1]))
    (True, False)
    """
    scale = float(other.abs().max().clamp_min(1e-3))
    return one.shape == other.shape and float((one - other).abs().max()) <= 1e-3 * scale
