"""How a bundle answers images that took no part in its calibration: how sure, how often right, in how many steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.halting_losses import RunOutcome, halting_loss
from terrazzo.assessment.judged_rows import Answering
from terrazzo.assessment.judging import ImageRecord, Measures, judge_image
from terrazzo.bundle import Bundle
from terrazzo.calibration.exact_sum import FRACTION_BITS
from terrazzo.calibration.record import Calibration, HaltingPromise
from terrazzo.calibration.reliability import Reliability
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.metrics import Confusion
from terrazzo.metrics.intervals import paired_comparison
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.settings import PredictSettings

__all__ = ["Comparison", "Judged", "compare", "judge", "worse_words"]

_MEASURES = Measures(reliability=True)


@dataclass(frozen=True)
class Judged:
    """What a bundle answered to images.

    Attributes:
        reliability: Confidence against how often it was right, over all labelled pixels.
        confusions: Of each image, rows label, columns answer.
        mean_steps: Mean over labelled pixels of the steps that they took; None for a network that answers once.
        names: Of the classes.
    """

    reliability: Reliability
    confusions: Int64[np.ndarray, "image class class"]
    mean_steps: float | None
    names: tuple[str, ...]

    def figures(self) -> dict[str, float | None]:
        """Return its main figures by name."""
        scores = self.reliability.scores()
        confusion = Confusion(torch.from_numpy(self.confusions.sum(axis=0))).scores(self.names)
        found: dict[str, float | None] = {
            "nll": scores.nll,
            "ece": scores.ece,
            "classwise_ece": scores.classwise_ece,
            "ace": scores.ace,
            "brier": scores.brier,
            "confidence": scores.confidence,
            "accuracy": scores.accuracy,
            "miou": confusion.miou,
        }
        return found if self.mean_steps is None else {**found, "mean_steps": self.mean_steps}


def judge(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    settings: PredictSettings,
    machine: MachineSettings,
    name: str,
    listener: Listener = silent,
) -> Judged:
    """Pass images whole through a bundle as a map would.

    Args:
        bundle: With its calibration, or without one.
        entries: Labelled images.
        bands: Their bands, in the network's order.
        classes: How their labels name classes.
        settings: How images are cut and blended.
        machine: What is computed on.
        name: What the progress is called.
        listener: Hears of it.

    Raises:
        DataError: An image cannot be read.
    """
    answering = Answering(bundle, settings, machine, bands=bands, classes=classes)
    with Progress(name, listener=listener, total=len(entries), unit="images") as progress:
        records = [judge_image(answering, entry, _MEASURES) for entry in progress.each(entries)]
    return _judged(records, answering, earlier=False)


def _judged(records: Sequence[ImageRecord], answering: Answering, *, earlier: bool) -> Judged:
    """Return what images amount to, as they are answered or as they were without the calibration."""
    classes = len(answering.classes)
    trusts = [record.trust_before if earlier else record.trust for record in records]
    counts = torch.stack([_earlier(record) if earlier else record.confusion for record in records]).numpy()
    steps = sum(record.step_units_before if earlier else record.step_units for record in records) / 2**FRACTION_BITS
    labelled = int(counts.sum())
    return Judged(
        reliability=sum((one.everywhere for one in trusts if one is not None), Reliability.zero(classes)),
        confusions=counts,
        mean_steps=steps / labelled if labelled and answering.in_steps else None,
        names=tuple(answering.classes.names),
    )


def _earlier(record: ImageRecord) -> Int64[torch.Tensor, "class class"]:
    """Return the counts without the calibration."""
    if record.confusion_before is None:
        raise RuntimeError("an image was not judged without the calibration")
    return record.confusion_before


@dataclass(frozen=True)
class Comparison:
    """A bundle before and after it was calibrated, on the same images.

    Attributes:
        before: Without any calibration.
        after: As maps are made by default.
        early: What stopping early cost these images, against all steps; empty where nothing stops early.
    """

    before: Judged
    after: Judged
    early: Mapping[str, object]


def compare(
    before: Bundle,
    after: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    settings: PredictSettings,
    machine: MachineSettings,
    listener: Listener = silent,
) -> Comparison:
    """Judge a bundle before and after on images that took no part in calibrating it.

    Args:
        before: Without calibration.
        after: With it.
        entries: Labelled images.
        bands: Their bands, in the network's order.
        classes: How their labels name classes.
        settings: How images are cut and blended.
        machine: What is computed on.
        listener: Hears of the progress.

    Raises:
        DataError: An image cannot be read.
    """
    answering = Answering(after, settings, machine, bands=bands, classes=classes)
    plain = Answering(before, settings, machine, bands=bands, classes=classes)
    calibration = after.calibration or Calibration()
    blended = calibration.temperature is not None or calibration.decision is not None
    windows = calibration.window_temperature is not None or calibration.halting is not None
    with Progress("judge before and after", listener=listener, total=len(entries), unit="images") as progress:
        records = [
            # What is made of blended scores alone is told from one pass, with and without.
            judge_image(answering, entry, _MEASURES, before=plain if windows else None)
            for entry in progress.each(entries)
        ]
    second = _judged(records, answering, earlier=False)
    first = _judged(records, answering, earlier=True) if blended or windows else second
    promise = calibration.halting
    if promise is None or promise.tau >= 1:
        return Comparison(first, second, {})
    full = judge(
        after,
        entries,
        bands=bands,
        classes=classes,
        settings=settings.model_copy(update={"tau": 1.0}),
        machine=machine,
        name="judge all steps",
        listener=listener,
    )
    return Comparison(first, second, _early(second, full, promise))


def _early(early: Judged, full: Judged, promise: HaltingPromise) -> dict[str, object]:
    """Return what stopping early cost images that the threshold was not chosen on."""
    labelled = [place for place in range(len(early.confusions)) if early.confusions[place].any()]
    found: dict[str, object] = {"reported_images": len(labelled)}
    if promise.loss in ("error", "iou") and labelled:
        losses = [
            halting_loss(promise.loss, *(RunOutcome(0, 0, one.confusions[place]) for one in (early, full)))
            for place in labelled
        ]
        found["reported_risk"] = float(np.minimum(losses, promise.bound).mean())
    if labelled:
        # No promise covers the mIoU of a whole data set, so that its drop is told with an interval instead.
        drop = paired_comparison(full.confusions, early.confusions).miou
        found |= {"miou_drop": drop.value, "miou_drop_low": drop.low, "miou_drop_high": drop.high}
    return found


def worse_words(comparison: Comparison, split: str) -> str | None:
    """Return a warning where probabilities fit images that took no part worse than before; None where they do not.

    Args:
        comparison: Before and after, on these images.
        split: Their role.
    """
    before, after = (one.reliability.scores() for one in (comparison.before, comparison.after))
    if before.nll is None or after.nll is None or not after.nll > before.nll:
        return None
    return (
        f"on the images of {split}, which took no part, the calibrated probabilities fit worse than before (NLL "
        f"{before.nll:.3f} to {after.nll:.3f}): there were too few images to calibrate on, or they are unlike these; "
        "give more, from the places that maps are made of"
    )
