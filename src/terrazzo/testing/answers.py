"""Made-up answers of networks, with every kind of auxiliary record, for suites that need no network."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float

from terrazzo.models.output import Auxiliary, DeepSupervision, Disagreement, Output, Queries, Steps

__all__ = ["CONFIDENT", "MadeUp", "hidden", "mapped", "tensors", "variants"]

CONFIDENT = 5.0
"""Logit of the chosen class over the others: sure, and not so sure that label smoothing minds."""
HALTING = 2.0
"""Logit of a sure halting head."""
STRIDE = 2
"""Of coarse maps; deep supervision has one of twice that too."""
SPARE = 2
"""Queries beyond one a class."""


@dataclass(frozen=True)
class MadeUp:
    """One form of answers.

    Attributes:
        kinds: Records beside the logits.
        cells: Whether a refiner halts cell by cell.
        fixed: Whether query c stands for class c, without "no object".
    """

    kinds: frozenset[type]
    cells: bool = False
    fixed: bool = False

    def answer(self, logits: Float[torch.Tensor, "batch class y x"], sure: float | None) -> Output:
        """Return an answer whose records say about the same as its logits.

        Args:
            logits: Of the main answer.
            sure: 1 for certainty that is right, -1 that is wrong, 0 for none; None for records that are random.
        """
        generator = torch.Generator().manual_seed(1)

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        records: list[Auxiliary] = []
        coarse = _cells(logits, STRIDE)
        if DeepSupervision in self.kinds:
            pair = (coarse, _cells(logits, 2 * STRIDE))
            records.append(DeepSupervision(pair, (STRIDE, 2 * STRIDE)))
        if Steps in self.kinds:
            shape = coarse[:, 0].shape if self.cells else coarse.shape[:1]
            steps = [coarse + (noise(*coarse.shape) if sure is None else 0) for _ in range(3)]
            halting = [noise(*shape) if sure is None else torch.full(shape, HALTING * sure) for _ in steps]
            records.append(Steps(tuple(steps), tuple(halting), STRIDE))
        if Queries in self.kinds:
            records.append(self._queries(coarse, sure, noise))
        return Output(logits, tuple(records))

    def _queries(
        self, coarse: Float[torch.Tensor, "batch class y x"], sure: float | None, noise: Callable[..., torch.Tensor]
    ) -> Queries:
        batch, classes = coarse.shape[:2]
        spare = 0 if self.fixed else SPARE
        spare_masks = torch.full((batch, spare, *coarse.shape[2:]), -CONFIDENT)
        masks = torch.cat((_against_others(coarse), spare_masks), dim=1)
        columns = classes if self.fixed else classes + 1
        certain = torch.zeros(batch, classes + spare, columns)
        wrong = sure is not None and sure < 0
        for query in range(classes + spare):
            said = columns - 1 if wrong else min(query, columns - 1)
            if wrong and self.fixed:
                said = (query + 1) % classes
            certain[:, query, said] = 2 * CONFIDENT * abs(sure or 0)
        if wrong and not self.fixed:
            # A query may be matched with any segment; wrong for all of them is one that says "no object" and is empty.
            masks = torch.full_like(masks, -CONFIDENT)
        if sure is None:
            certain, masks = noise(*certain.shape), masks + noise(*masks.shape)
        return Queries((certain, certain / 2), (masks, masks / 2), STRIDE)


def _cells(logits: Float[torch.Tensor, "batch class y x"], stride: int) -> Float[torch.Tensor, "batch class _y _x"]:
    """Return the logits at the middle pixel of each cell."""
    rows, columns = ((torch.arange(0, size, stride) + stride // 2).clamp_max(size - 1) for size in logits.shape[2:])
    return logits[:, :, rows][..., columns]


def _against_others(logits: Float[torch.Tensor, "batch class y x"]) -> Float[torch.Tensor, "batch class y x"]:
    """Return each class's log-odds against all others."""
    log_probability = logits.log_softmax(dim=1)
    return log_probability - torch.log(-torch.expm1(log_probability.clamp_max(-1e-6)))


def variants(kinds: frozenset[type]) -> list[MadeUp]:
    """Return every form that answers with these records can have."""
    forms = [MadeUp(kinds)]
    if Steps in kinds:
        forms.append(MadeUp(kinds, cells=True))
    if Queries in kinds:
        forms.append(MadeUp(kinds, fixed=True))
    return forms


def mapped(output: Output, change: Callable[[torch.Tensor], torch.Tensor]) -> Output:
    """Return an answer with every tensor changed, the main logits first, then record by record."""
    return Output(change(output.logits), tuple(_changed(record, change) for record in output.auxiliary))


def _changed(record: Auxiliary, change: Callable[[torch.Tensor], torch.Tensor]) -> Auxiliary:
    if isinstance(record, DeepSupervision):
        return replace(record, logits=tuple(map(change, record.logits)))
    if isinstance(record, Steps):
        return replace(record, logits=tuple(map(change, record.logits)), halting=tuple(map(change, record.halting)))
    if isinstance(record, Disagreement):
        return replace(record, values=change(record.values))
    return replace(record, classes=tuple(map(change, record.classes)), masks=tuple(map(change, record.masks)))


def tensors(output: Output | Auxiliary) -> list[torch.Tensor]:
    """Return every tensor of an answer, or of one of its records, in the order of `mapped`."""
    found: list[torch.Tensor] = []

    def keep(one: torch.Tensor) -> torch.Tensor:
        found.append(one)
        return one

    if isinstance(output, Output):
        mapped(output, keep)
    else:
        _changed(output, keep)
    return found


def _stride(record: Auxiliary, number: int) -> int:
    """Return the pixels along a cell of one of a record's maps."""
    if isinstance(record, Disagreement):
        return 1
    return record.strides[number] if isinstance(record, DeepSupervision) else record.stride


def hidden(output: Output, ignored: Bool[torch.Tensor, "batch y x"]) -> list[torch.Tensor]:
    """Return, for each of `tensors`, where it can say something of ignored pixels alone.

    A cell of a coarse map may reach its neighbours where the map is enlarged, so all of those must be ignored too.
    """
    found = [ignored[:, None].expand_as(output.logits)]
    for record in output.auxiliary:
        for number, tensor in enumerate(tensors(record)):
            stride = _stride(record, number)
            cells = _covered(ignored, stride)
            if tensor.shape[-2:] != cells.shape[-2:]:
                found.append(torch.zeros_like(tensor, dtype=torch.bool))
            else:
                found.append(cells[:, None].expand_as(tensor) if tensor.ndim == 4 else cells)
    return found


def _covered(ignored: Bool[torch.Tensor, "batch y x"], stride: int) -> Bool[torch.Tensor, "batch _y _x"]:
    """Return the cells that are ignored with all of their neighbours; beyond the edge nothing counts."""
    counted = (~ignored).float()[:, None]
    cells = torch.nn.functional.max_pool2d(counted, stride, ceil_mode=True)
    return torch.nn.functional.max_pool2d(cells, 3, stride=1, padding=1)[:, 0] == 0
