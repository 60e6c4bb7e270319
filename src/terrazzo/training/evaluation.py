"""Evaluation of a network on one split: every labelled pixel counts exactly once, on any number of processes.

Patches are taken as they are, never padded, and only their cores count: the cores of an image's patches tile it. Whole
batches are dealt to processes; counts are summed as integers and losses in the global order of the batches, so that one
process and several give the same figures.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64

from terrazzo.data.augment.geometry import Resize
from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import Batch, PatchKey
from terrazzo.data.sampler import evaluation_batches
from terrazzo.errors import DataError, ModelError
from terrazzo.losses import Loss
from terrazzo.metrics import BoundaryCounts, Confusion
from terrazzo.models.architecture import Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Steps
from terrazzo.progress import Listener, Progress, silent
from terrazzo.training.distributed import Processes
from terrazzo.training.objective import forward
from terrazzo.training.resized_answers import unresized

__all__ = ["Evaluation", "Examination", "PatchScore", "answer", "counted", "evaluate_split"]


@dataclass(frozen=True)
class Examination:
    """What to measure a network on.

    Attributes:
        split: Role: train, val, val_<name>, calibrate or test. All its labelled pixels count, however many are ignored
            around them.
        normalisation: What the network was trained with.
        batch_size: At most this many patches in a batch.
        loss: Loss to report; None for none.
        class_weights: Weight of each class in that loss; None for equal ones.
        resize: The training's explicit resize; answers are brought back before anything is counted.
        worst: How many of the worst patches to name.
        limit: Batches of all processes to look at; None for the whole split.
        images: Names of the images to look at; None for all of the split.
        halting_rule: When a network that answers in steps is done with a tile; its steps are counted one by one. None
            for a network that answers once.
        features: Cache of the network's frozen features; None where it computes its own. It does so too for a split of
            which a patch is missing there.
        boundary_tolerances: Pixels at which boundaries in the cores of patches are matched; none matches none.
    """

    split: str
    normalisation: Normalisation
    batch_size: int
    loss: Loss | None = None
    class_weights: torch.Tensor | None = None
    resize: Resize | None = None
    worst: int = 0
    limit: int | None = None
    images: frozenset[str] | None = None
    halting_rule: HaltingRule | None = None
    features: FeatureCache | None = None
    boundary_tolerances: tuple[int, ...] = ()

    def features_of(self, prepared: Prepared) -> FeatureCache | None:
        """Return the cache if it holds every labelled patch of the split: all samples have features, or none has."""
        rows = (row for row in prepared.index.rows(self.split) if any(prepared.index.counts(row)))
        return self.features if self.features is not None and self.features.holds(rows) else None


@dataclass(frozen=True)
class PatchScore:
    """How wrong a network is on a patch.

    Attributes:
        row: Row of the patch index.
        error: Share of the labelled pixels of its core that are wrong, 0..1.
        pixels: Labelled pixels of its core.
    """

    row: int
    error: float
    pixels: int


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        confusion: Counts over the labelled pixels of the split, each once; on the CPU.
        loss: Mean over the labelled pixels of their batches' losses; None without a loss or a labelled pixel.
        batches: Batches of all processes.
        seconds: Wall time.
        worst: The patches with the largest error, worst first; equal ones in the order of the index.
        steps: Counts of each step's answer, first to last, where the network answers in steps.
        average_steps: Mean over labelled pixels of the steps that their tile needs by the halting rule; None without
            steps or without a labelled pixel.
        boundaries: Boundary pixels in the cores of patches, each core counted as an image of its own: no boundary is
            seen between two cores. None without tolerances.
    """

    confusion: Confusion
    loss: float | None
    batches: int
    seconds: float
    worst: tuple[PatchScore, ...]
    steps: tuple[Confusion, ...] = ()
    average_steps: float | None = None
    boundaries: BoundaryCounts | None = None


def evaluate_split(
    network: Network,
    prepared: Prepared,
    *,
    examination: Examination,
    processes: Processes,
    listener: Listener = silent,
) -> Evaluation:
    """Measure a network on a split.

    The network is put into evaluation mode and left in the mode it came in.

    Args:
        network: On the device of `processes`.
        prepared: The data; its own normalisation is not used.
        examination: What to measure.
        processes: Who takes part; each must call this.
        listener: Told of the first process's progress.

    Raises:
        DataError: The split has no patch.
    """
    begun = time.monotonic()
    rows = prepared.index.rows(examination.split)
    if not rows:
        raise DataError(
            f'The split "{examination.split}" of {prepared.folder} has no patch; splits are '
            f"{', '.join(prepared.catalog.splits) or 'none'}."
        )
    # A patch without a labelled pixel counts nothing, so it need not be read.
    rows = [row for row in rows if any(prepared.index.counts(row))]
    if examination.images is not None:
        rows = [row for row in rows if prepared.index.image_id(row) in examination.images]
    # All batches, then every world_size-th: each process knows how many there are in all.
    dealt = evaluation_batches(prepared, rows, batch_size=examination.batch_size)[: examination.limit]
    mine = dealt[processes.rank :: processes.world_size]
    was_training = network.training
    network.eval()
    processes.share_buffers(network)
    outlines = _no_boundaries(examination, len(prepared.classes))
    tally = _Tally.empty(prepared, batches=len(dealt), rule=examination.halting_rule, boundaries=outlines)
    told = listener if processes.first else silent
    with Progress(f"evaluate {examination.split}", listener=told, total=len(mine), unit="batches") as progress:
        _count(network, prepared, mine, examination=examination, processes=processes, tally=tally, progress=progress)
    network.train(was_training)
    tally = tally.together(processes)
    return Evaluation(
        confusion=Confusion(tally.confusion),
        loss=tally.mean_loss() if examination.loss is not None else None,
        batches=len(dealt),
        seconds=time.monotonic() - begun,
        worst=tally.worst(rows, examination.worst),
        steps=tuple(Confusion(counts) for counts in tally.steps),
        average_steps=tally.mean_steps(),
        boundaries=None if outlines is None else outlines.with_numbers(tally.boundaries.numpy()),
    )


@dataclass
class _Tally:
    """Sums in which every slot is written by one process alone, so that adding processes rounds nothing."""

    confusion: Int64[torch.Tensor, "class class"]
    losses: torch.Tensor
    weights: torch.Tensor
    wrong: torch.Tensor
    labelled: torch.Tensor
    steps: Int64[torch.Tensor, "step class class"]
    needed: torch.Tensor
    boundaries: Int64[torch.Tensor, " number"]

    @staticmethod
    def empty(
        prepared: Prepared, *, batches: int, rule: HaltingRule | None, boundaries: BoundaryCounts | None
    ) -> "_Tally":
        patches, classes = len(prepared.index), len(prepared.classes)
        return _Tally(
            confusion=torch.zeros((classes, classes), dtype=torch.int64),
            losses=torch.zeros(batches, dtype=torch.float64),
            weights=torch.zeros(batches, dtype=torch.int64),
            wrong=torch.zeros(patches, dtype=torch.int64),
            labelled=torch.zeros(patches, dtype=torch.int64),
            steps=torch.zeros((rule.last if rule is not None else 0, classes, classes), dtype=torch.int64),
            needed=torch.zeros(patches if rule is not None else 0, dtype=torch.int64),
            boundaries=torch.zeros(0 if boundaries is None else len(boundaries.numbers()), dtype=torch.int64),
        )

    def together(self, processes: Processes) -> "_Tally":
        """Return the sums over all processes."""
        return _Tally(*(processes.total(part) if part.numel() else part for part in vars(self).values()))

    def mean_loss(self) -> float | None:
        """Return the mean over labelled pixels, added in the global order of the batches."""
        pixels = sum(self.weights.tolist())
        if pixels == 0:
            return None
        pairs = zip(self.losses.tolist(), self.weights.tolist(), strict=True)
        return float(sum(loss * weight for loss, weight in pairs) / pixels)

    def mean_steps(self) -> float | None:
        """Return the mean over labelled pixels of the steps that their patch needs."""
        pixels = int(self.labelled.sum())
        return int((self.needed * self.labelled).sum()) / pixels if len(self.needed) and pixels else None

    def worst(self, rows: Sequence[int], count: int) -> tuple[PatchScore, ...]:
        """Return the patches with the largest error; a patch without labelled pixels cannot be wrong."""
        wrong, labelled = self.wrong.tolist(), self.labelled.tolist()
        scores = [PatchScore(row, wrong[row] / labelled[row], labelled[row]) for row in rows if labelled[row] > 0]
        return tuple(sorted(scores, key=lambda score: (-score.error, score.row))[:count])


def _count(
    network: Network,
    prepared: Prepared,
    mine: Sequence[tuple[int, list[PatchKey]]],
    *,
    examination: Examination,
    processes: Processes,
    tally: _Tally,
    progress: Progress,
) -> None:
    """Add this process's batches to the tally."""
    features = examination.features_of(prepared)
    dataset = PatchDataset(prepared, normalisation=examination.normalisation, features=features)
    keys = [batch for _, batch in mine]
    pin = processes.execution.device == "cuda"
    batches = loader(dataset, keys, workers=min(processes.execution.workers, len(keys)), pin=pin)
    classes = len(prepared.classes)
    confusion = tally.confusion.to(processes.device)
    for (number, _), host_batch in zip(mine, batches, strict=True):
        batch = host_batch.to(processes.device)
        ignored = ~counted(batch, prepared.classes.ignore)
        with torch.inference_mode():
            output = answer(network, batch, resize=examination.resize, processes=processes)
            prediction = output.logits.argmax(dim=1)
            confusion = confusion + Confusion.of(prediction, batch.target, ignored, classes).counts
            labelled = (~ignored).sum(dim=(1, 2)).cpu()
            wrong = ((prediction != batch.target) & ~ignored).sum(dim=(1, 2)).cpu()
            if examination.loss is not None and int(labelled.sum()) > 0:
                weights = examination.class_weights
                on_device = None if weights is None else weights.to(processes.device)
                tally.losses[number] = float(examination.loss(output, batch.target, ignored, on_device))
            if examination.halting_rule is not None:
                counts, needed = _steps(output, batch, ignored, examination.halting_rule)
                tally.steps += counts
                tally.needed[torch.tensor(batch.rows)] = needed
        if examination.boundary_tolerances:
            tally.boundaries += _boundaries(prediction, batch, ignored, examination, classes)
        tally.weights[number] = int(labelled.sum())
        rows = torch.tensor(batch.rows)
        tally.labelled[rows], tally.wrong[rows] = labelled, wrong
        progress.advance()
    tally.confusion = confusion.cpu()


def _steps(
    output: Output, batch: Batch, ignored: Bool[torch.Tensor, "batch y x"], rule: HaltingRule
) -> tuple[Int64[torch.Tensor, "step class class"], Int64[torch.Tensor, " batch"]]:
    """Return the counts of each step's answer to a batch, and the steps that each patch needs.

    Raises:
        ModelError: The network does not answer the steps of its rule.
    """
    steps = output.find(Steps)
    if steps is None or len(steps.logits) != rule.last:
        found = "none" if steps is None else len(steps.logits)
        raise ModelError(f"A network whose rule has {rule.last} steps must answer that many, not {found}.")
    height, width = batch.target.shape[1:]
    classes = output.logits.shape[1]
    counts = []
    for logits in steps.logits:
        whole = enlarged(logits, stride=steps.stride, height=height, width=width)
        counts.append(Confusion.of(whole.argmax(dim=1), batch.target, ignored, classes).counts)
    every = torch.full((len(batch.target),), rule.last)
    return torch.stack(counts).cpu(), rule.steps(steps.halting).cpu() if steps.halting else every


def _no_boundaries(examination: Examination, classes: int) -> BoundaryCounts | None:
    """Return counts of no boundary, as an examination asks for them; None where it does not."""
    tolerances = examination.boundary_tolerances
    # A share of the diagonal, and bands along boundaries, mean something in whole images only.
    return BoundaryCounts.zero(classes, tolerances, diagonal=None, band=None) if tolerances else None


def _boundaries(
    prediction: Int64[torch.Tensor, "batch y x"],
    batch: Batch,
    ignored: Bool[torch.Tensor, "batch y x"],
    examination: Examination,
    classes: int,
) -> Int64[torch.Tensor, " number"]:
    """Return the boundary counts of a batch, summed over the cores of its patches."""
    answers, labels, outside = (values.cpu().numpy() for values in (prediction, batch.target, ignored))
    found = []
    for position, core in enumerate(batch.cores):
        inside = (position, *core.slices)
        counts = BoundaryCounts.of(
            answers[inside],
            labels[inside],
            outside[inside],
            classes,
            examination.boundary_tolerances,
            diagonal=None,
            band=None,
        )
        found.append(counts.numbers())
    return torch.from_numpy(np.sum(found, axis=0))


def counted(batch: Batch, ignore: int) -> Bool[torch.Tensor, "batch y x"]:
    """Return where evaluation counts: labelled, measured, and in the patch's core."""
    inside = torch.zeros_like(batch.valid)
    for position, core in enumerate(batch.cores):
        inside[(position, *core.slices)] = True
    return inside & ~batch.ignored(ignore)


def answer(network: Network, batch: Batch, *, resize: Resize | None, processes: Processes) -> Output:
    """Return a network's answer in the run's precision, in float32 at the batch's own size.

    Args:
        network: In evaluation mode.
        batch: On the network's device.
        resize: The training's explicit resize, made before and undone after.
        processes: Say device and precision.
    """
    execution = processes.execution
    image = batch.image
    if resize is not None:
        image, _ = resize.forward(image, batch.valid)
    with torch.autocast(execution.device, dtype=execution.dtype, enabled=execution.precision != "float32"):
        output = forward(network, image, batch.features).floating()
    if resize is None:
        return output
    height, width = batch.target.shape[1:]
    return unresized(output, seen=(resize.height, resize.width), size=(height, width))
