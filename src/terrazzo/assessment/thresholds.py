"""Thresholds of maps, from whole images as a map would be made of them: when to abstain, class sets, two classes.

What is counted is what the map's layers show: the same windows, blending, temperature and decision threshold, and
thresholds that are compared with the same bits. Memory is of the order of a row of windows; of each image a few
thousand counts are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from terrazzo.assessment.judged_rows import Answering, JudgedRows
from terrazzo.bundle import Bundle
from terrazzo.calibration.abstention import AbstentionLosses, KeptCounts, KeptPixels
from terrazzo.calibration.decision import DecisionPixels, Figure
from terrazzo.calibration.record import DecisionThreshold, Origin
from terrazzo.calibration.sets import SetCounts, SetLosses, SetPixels
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, LabelError
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.settings import PredictSettings

__all__ = ["ThresholdLosses", "choose_decision", "measure_thresholds"]


@dataclass(frozen=True, eq=False)
class ThresholdLosses:
    """What images lose by thresholds that might be chosen.

    Attributes:
        abstention: By each confidence below which the map abstains.
        sets: By each probability from which on a class belongs to a pixel's set.
        images: Names of the images that count: n of what is promised.
        unlabelled: Names of those without a labelled pixel, which do not.
    """

    abstention: AbstentionLosses
    sets: SetLosses
    images: tuple[str, ...]
    unlabelled: tuple[str, ...]


def choose_decision(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    figure: Figure,
    origin: Origin,
    settings: PredictSettings,
    machine: MachineSettings,
    listener: Listener = silent,
) -> DecisionThreshold:
    """Return from which probability on the second of two classes is chosen.

    A promise about abstention or sets should be made on other images than these: it holds of a map whose decision
    threshold was fixed before.

    Args:
        bundle: The network; its temperature is applied, its decision threshold makes no difference.
        entries: Images with labels.
        bands: Their bands, in the network's order.
        classes: How their labels name classes.
        figure: What is maximised, over the pixels of all images.
        origin: What the images are.
        settings: How images are cut and blended.
        machine: What is computed on.
        listener: Told of each image.

    Raises:
        ConfigError: There are not two classes.
        LabelError: No pixel is of the second class.
        DataError: Image or label cannot be read.
    """
    if len(classes) != 2:
        raise ConfigError(f"A decision threshold tells two classes apart, not {len(classes)}; leave out `decision`.")
    counts = DecisionPixels.zero()
    answering = _answering(bundle, settings, machine, bands, classes)
    with Progress("count probabilities", listener=listener, total=len(entries), unit="images") as progress:
        for entry in progress.each(entries):
            for rows in answering.rows(entry):
                counts += DecisionPixels.of(rows.probabilities, rows.target, rows.ignored)
    return counts.best(figure, origin)


def measure_thresholds(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    settings: PredictSettings,
    machine: MachineSettings,
    listener: Listener = silent,
) -> ThresholdLosses:
    """Return what images lose by each threshold of abstention and of class sets, in one pass over them.

    Args:
        bundle: The network; its temperature and its decision threshold are applied.
        entries: Images with labels that neither trained nor selected the model, and that no temperature was fitted on.
        bands: Their bands, in the network's order.
        classes: How their labels name classes.
        settings: How images are cut and blended.
        machine: What is computed on.
        listener: Told of each image.

    Raises:
        LabelError: No image has a labelled pixel.
        DataError: Image or label cannot be read.
    """
    kept: dict[str, KeptCounts] = {}
    sets: dict[str, SetCounts] = {}
    answering = _answering(bundle, settings, machine, bands, classes)
    with Progress("count confidences", listener=listener, total=len(entries), unit="images") as progress:
        for entry in progress.each(entries):
            kept[entry.image_id], sets[entry.image_id] = image_counts(answering.rows(entry))
    labelled = tuple(name for name, counts in sets.items() if counts.pixels)
    if not labelled:
        raise LabelError(
            f"None of {len(entries)} images has a labelled pixel whose bands were all measured, so that nothing can be "
            "promised of them."
        )
    return ThresholdLosses(
        abstention=AbstentionLosses.of(kept),
        sets=SetLosses.of(sets),
        images=labelled,
        unlabelled=tuple(name for name in sets if name not in set(labelled)),
    )


def image_counts(image: Iterator[JudgedRows]) -> tuple[KeptCounts, SetCounts]:
    """Return what is kept of an image at each confidence, and what its class sets are at each probability.

    Args:
        image: Its rows.
    """
    kept, sets = KeptPixels(), SetPixels()
    for rows in image:
        kept.add(rows.confidence, rows.number, rows.target, rows.ignored)
        sets.add(rows.probabilities, rows.number, rows.target, rows.ignored)
    return kept.counts(), sets.counts()


def _answering(
    bundle: Bundle, settings: PredictSettings, machine: MachineSettings, bands: Bands, classes: Classes
) -> Answering:
    """Return the bundle as maps with these layers are made from it: calibrated, whatever the settings say."""
    calibrated = settings.model_copy(update={"calibrated": True})
    return Answering(bundle, calibrated, machine, bands=bands, classes=classes)
