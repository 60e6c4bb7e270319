"""What a network said of resized images, brought back to the images' own size before anything is counted."""

from dataclasses import replace

import torch
from torch.nn import functional

from terrazzo.data.augment.geometry import Resize
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Auxiliary, DeepSupervision, Disagreement, Output, Queries

__all__ = ["unresized"]

Size = tuple[int, int]


def unresized(output: Output, *, seen: Size, size: Size) -> Output:
    """Return an answer at the size that the images had before they were resized.

    Logits go the way of `Resize.undo`. Maps of auxiliary records do the same: those of classes and of halting come out
    at stride 1, masks of queries, of which there are many, are averaged to their own stride again.

    Args:
        output: For the resized images.
        seen: Their height and width.
        size: Height and width before.
    """
    if seen == size:
        return output
    records = tuple(_record(record, seen, size) for record in output.auxiliary)
    return Output(Resize.undo(output.logits, size), records)


def _record(record: Auxiliary, seen: Size, size: Size) -> Auxiliary:
    def whole(coarse: torch.Tensor, stride: int) -> torch.Tensor:
        return Resize.undo(enlarged(coarse, stride=stride, height=seen[0], width=seen[1]), size)

    if isinstance(record, Queries):

        def cells(coarse: torch.Tensor) -> torch.Tensor:
            return functional.avg_pool2d(whole(coarse, record.stride), record.stride, ceil_mode=True)

        return replace(record, masks=tuple(cells(one) for one in record.masks))
    if isinstance(record, DeepSupervision):
        pairs = zip(record.logits, record.strides, strict=True)
        logits = tuple(whole(one, stride) for one, stride in pairs)
        return replace(record, logits=logits, strides=(1,) * len(logits))
    if isinstance(record, Disagreement):
        return replace(record, values=whole(record.values[:, None], 1)[:, 0])
    halting = tuple(whole(one[:, None], record.stride)[:, 0] if one.ndim == 3 else one for one in record.halting)
    return replace(record, logits=tuple(whole(one, record.stride) for one in record.logits), halting=halting, stride=1)
