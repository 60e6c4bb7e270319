"""How a bundle answers images that took no part in its calibration: how sure, how often right, in how many steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.halting_losses import RunOutcome, halting_loss
from terrazzo.assessment.judged_rows import Answering
from terrazzo.assessment.judging import Measures, judge_image
from terrazzo.bundle import Bundle
from terrazzo.calibration.record import HaltingPromise
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
    reliability = Reliability.zero(len(classes))
    confusions: list[torch.Tensor] = []
    steps = 0.0
    with Progress(name, listener=listener, total=len(entries), unit="images") as progress:
        for entry in entries:
            found = judge_image(answering, entry, Measures(reliability=True))
            if found.reliability is not None:
                reliability = reliability + found.reliability
            confusions.append(found.confusion)
            steps += found.steps
            progress.advance()
    counts = torch.stack(confusions).numpy()
    labelled = int(counts.sum())
    return Judged(
        reliability=reliability,
        confusions=counts,
        mean_steps=steps / labelled if labelled and answering.in_steps else None,
        names=tuple(classes.names),
    )


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

    def judged(bundle: Bundle, name: str, how: PredictSettings) -> Judged:
        return judge(
            bundle, entries, bands=bands, classes=classes, settings=how, machine=machine, name=name, listener=listener
        )

    first, second = judged(before, "judge before", settings), judged(after, "judge after", settings)
    promise = after.calibration.halting if after.calibration is not None else None
    if promise is None or promise.tau >= 1:
        return Comparison(first, second, {})
    full = judged(after, "judge all steps", settings.model_copy(update={"tau": 1.0}))
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
