"""Many images judged whole, dealt to processes; what is found does not depend on how many there are.

Each image is judged by one process alone, and only integers are summed over images.
"""

import heapq
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from terrazzo.assessment.answer_files import MaskFile, ProbabilityFile, mask_path, probability_path
from terrazzo.assessment.gathering import gathered
from terrazzo.assessment.judged_rows import Answering
from terrazzo.assessment.judging import ImageRecord, Measures, Trust, Watcher, judge_image
from terrazzo.assessment.packing import packed, unpacked
from terrazzo.assessment.plots import plain_panel, plot
from terrazzo.assessment.thinned import Thinned, Thinning
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.pictures.picture import write_png
from terrazzo.metrics.boundary import BoundaryCounts
from terrazzo.progress import Listener, Progress, silent
from terrazzo.training.distributed import Processes

__all__ = ["Drawn", "JudgedSplit", "judge_split"]

SAMPLE_SIDE = 768
"""Pixels of a worst sample's longest side at most: of all of them little is kept until it is known which are worst."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn and written of each image.

    Attributes:
        names: Of its files, one an image.
        plots: Folder of the figures; None for none.
        masks: Folder of the predicted classes; None for none.
        probabilities: Folder of the probabilities; None for none.
        samples: Folder of the worst images; None for none.
        worst: How many of them.
        plot_pixels: Longest side of an image in a figure.
        threshold: Of two classes the probability of the second, of more the confidence, below which figures are grey.
    """

    names: tuple[str, ...]
    plots: Path | None = None
    masks: Path | None = None
    probabilities: Path | None = None
    samples: Path | None = None
    worst: int = 0
    plot_pixels: int = 1024
    threshold: float = 0.5


@dataclass(frozen=True)
class JudgedSplit:
    """What was found on images, in their order.

    Attributes:
        entries: The images.
        records: What was found on each; of reliability only what fits in a few KiB.
        regions: How far confidence can be believed in each region, and under "" in all images; empty where that was
            not measured.
        before: Likewise without the bundle's calibration; empty where it has none.
        seconds: Wall time.
    """

    entries: tuple[ImageEntry, ...]
    records: tuple[ImageRecord, ...]
    regions: dict[str, Trust]
    before: dict[str, Trust]
    seconds: float


def judge_split(
    answering: Answering,
    entries: Sequence[ImageEntry],
    measures: Measures,
    drawn: Drawn,
    *,
    processes: Processes,
    before: Answering | None = None,
    title: str = "evaluate",
    listener: Listener = silent,
) -> JudgedSplit:
    """Judge images whole; each process must call this, and each returns the same.

    Args:
        answering: What answers.
        entries: At least one image.
        measures: What is measured.
        drawn: What is drawn and written.
        processes: Who takes part.
        before: The bundle without its calibration, where that takes a pass of its own.
        title: Name of the job.
        listener: Told of the first process's progress.

    Raises:
        DataError: An image or its label cannot be read.
        ModelError: The network answered wrong shapes, or what is no number.
        StorageError: A picture or raster cannot be written.
    """
    begun = time.monotonic()
    # All processes decide precision and batch on the same image, so that all compute the same bits.
    for one in (answering, *([before] if before is not None else [])):
        one.decide_on(entries[0])
    classes = len(answering.classes)
    own: dict[int, ImageRecord] = {}
    sums = _Sums(classes)
    worst = _Worst(drawn.worst if drawn.samples is not None else 0)
    mine = range(processes.rank, len(entries), processes.world_size)
    told = listener if processes.first else silent
    with Progress(title, listener=told, total=len(mine), unit="images") as progress:
        for position in mine:
            record, thinned = _one(answering, entries[position], measures, drawn, position, before)
            sums.add(entries[position], record)
            worst.add(position, record, thinned)
            own[position] = _light(record)
            progress.advance()
    records = _together(own, len(entries), classes, measures, processes)
    _draw_worst(answering, entries, records, worst, drawn, processes)
    regions = sorted({entry.region for entry in entries if entry.region is not None} | {""})
    return JudgedSplit(
        entries=tuple(entries),
        records=tuple(records),
        regions=sums.together(sums.after, regions, processes) if measures.reliability else {},
        before=sums.together(sums.before, regions, processes)
        if measures.reliability and records[0].confusion_before is not None
        else {},
        seconds=time.monotonic() - begun,
    )


def _one(
    answering: Answering,
    entry: ImageEntry,
    measures: Measures,
    drawn: Drawn,
    position: int,
    before: Answering | None,
) -> tuple[ImageRecord, Thinned | None]:
    """Judge an image and write what is asked for; return also what a picture of a worst one shows."""
    name, classes = drawn.names[position], answering.classes
    watchers: list[Watcher] = []
    large = Thinning(entry, longest=drawn.plot_pixels) if drawn.plots is not None else None
    small = Thinning(entry, longest=SAMPLE_SIDE) if drawn.samples is not None and drawn.worst else None
    watchers += [thinning for thinning in (large, small) if thinning is not None]
    with ExitStack() as opened:
        if drawn.masks is not None:
            path = mask_path(drawn.masks, name, entry)
            watchers.append(opened.enter_context(MaskFile.open(path, entry, classes)))
        if drawn.probabilities is not None:
            path = probability_path(drawn.probabilities, name)
            watchers.append(opened.enter_context(ProbabilityFile.open(path, entry, classes)))
        record = judge_image(answering, entry, measures, before=before, watchers=watchers)
    if large is not None and drawn.plots is not None:
        picture = plot(
            entry,
            large.result(),
            bands=answering.bands,
            classes=classes,
            threshold=drawn.threshold,
            note=_note(record),
        )
        write_png(drawn.plots / f"{name}.png", picture)
    return record, None if small is None else small.result()


def _note(record: ImageRecord) -> str:
    """Return an image's figures in a few words."""
    pixels = record.pixels
    if not pixels:
        return "no labelled pixel"
    counts = record.confusion
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    iou = counts.diagonal()[union > 0].double() / union[union > 0]
    return f"mIoU {float(iou.mean()):.3f} · accuracy {100 * (1 - record.wrong):.1f} %"


def _light(record: ImageRecord) -> ImageRecord:
    """Return a record without the fine bins of its reliability, which are megabytes and are summed for all images."""
    trust, earlier = record.trust, record.trust_before
    return replace(
        record,
        trust=None if trust is None else _without_fine(trust),
        trust_before=None if earlier is None else _without_fine(earlier),
    )


def _without_fine(trust: Trust) -> Trust:
    return Trust(replace(trust.everywhere, fine=None), trust.band)


class _Sums:
    """How far confidence can be believed in each region, and under "" in all images, there with fine bins."""

    def __init__(self, classes: int) -> None:
        self.after: dict[str, Trust] = {}
        self.before: dict[str, Trust] = {}
        self._classes = classes

    def add(self, entry: ImageEntry, record: ImageRecord) -> None:
        for sums, trust in ((self.after, record.trust), (self.before, record.trust_before)):
            if trust is not None:
                sums[""] = sums[""] + trust if "" in sums else trust
                if entry.region is not None:
                    part = _without_fine(trust)
                    sums[entry.region] = sums[entry.region] + part if entry.region in sums else part

    def together(self, sums: dict[str, Trust], names: Sequence[str], processes: Processes) -> dict[str, Trust]:
        """Return the sums over all processes, region by region."""
        found = {}
        for name in names:
            nothing = Trust.zero(self._classes)
            own = sums.get(name) or (nothing if name == "" else _without_fine(nothing))
            tensors = {key: processes.total(tensor) for key, tensor in packed(own, "trust").items()}
            found[name] = _carried(unpacked(own, tensors, "trust"))
        return found


def _carried(trust: Trust) -> Trust:
    """Return the same sums with fractions below 1 again."""
    return trust + Trust.zero(trust.everywhere.classes)


class _Worst:
    """The images of this process with the largest error, thinned out."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, int, Thinned]] = []

    def add(self, position: int, record: ImageRecord, thinned: Thinned | None) -> None:
        """Keep an image if it is among the worst; one without a labelled pixel cannot be wrong."""
        if thinned is None or not self._count or not record.pixels:
            return
        heapq.heappush(self._heap, (record.wrong, -position, thinned))
        if len(self._heap) > self._count:
            heapq.heappop(self._heap)

    def kept(self) -> dict[int, Thinned]:
        """Return what is kept, by position."""
        return {-position: thinned for _, position, thinned in self._heap}


def _draw_worst(
    answering: Answering,
    entries: Sequence[ImageEntry],
    records: Sequence[ImageRecord],
    worst: _Worst,
    drawn: Drawn,
    processes: Processes,
) -> None:
    """Draw the worst images of all processes, each by the one that judged it."""
    if drawn.samples is None:
        return
    if processes.first:
        # An earlier evaluation may have drawn more; its pictures must not stand among this one's.
        for stale in drawn.samples.glob("*.png"):
            stale.unlink()
    processes.wait()
    labelled = [position for position, record in enumerate(records) if record.pixels]
    ranked = sorted(labelled, key=lambda position: (-records[position].wrong, position))[: drawn.worst]
    kept = worst.kept()
    for place, position in enumerate(ranked):
        if position in kept:
            picture = plain_panel(entries[position], kept[position], bands=answering.bands, classes=answering.classes)
            write_png(drawn.samples / f"{place:02d}.png", picture)
    processes.wait()


def _together(
    own: dict[int, ImageRecord], count: int, classes: int, measures: Measures, processes: Processes
) -> list[ImageRecord]:
    """Return the records of all processes, in the order of the images."""
    if processes.world_size == 1:
        return [own[position] for position in range(count)]
    tensors: dict[str, torch.Tensor] = {}
    compared = any(record.confusion_before is not None for record in own.values())
    for position, record in own.items():
        tensors |= packed(record, str(position))
    compared = bool(processes.each(torch.tensor([int(compared)])).any())
    template = _template(classes, measures, compared=compared)
    found = gathered(processes, tensors)
    return [unpacked(template, found, str(position)) for position in range(count)]


def _template(classes: int, measures: Measures, *, compared: bool) -> ImageRecord:
    """Return a record of nothing, with the parts that are measured."""
    counts = torch.zeros((classes, classes), dtype=torch.int64)

    def trust() -> Trust | None:
        if not measures.reliability:
            return None
        return _without_fine(Trust.zero(classes))

    return ImageRecord(
        confusion=counts,
        confidence_units=0,
        step_units=0,
        boundary=None if measures.tolerances is None else BoundaryCounts.zero(classes, measures.tolerances),
        trust=trust(),
        confusion_before=counts if compared else None,
        trust_before=trust() if compared else None,
    )
