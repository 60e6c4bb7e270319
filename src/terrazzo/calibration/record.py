"""What calibrating found, as a bundle keeps it: each part with all that makes it checkable."""

from typing import Annotated, Literal

from pydantic import Field

from terrazzo.calibration.temperature import BlendedTemperature
from terrazzo.calibration.window_temperature import WindowTemperature
from terrazzo.record import Record

__all__ = [
    "AbstentionPromise",
    "Calibration",
    "Conditions",
    "ConformalSets",
    "DecisionThreshold",
    "HaltingLoss",
    "HaltingMethod",
    "HaltingPromise",
    "Origin",
]

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
HaltingMethod = Literal["crc", "wsr", "ltt", "quantile"]
HaltingLoss = Literal["disagreement", "error", "iou", "brier"]


class Conditions(Record):
    """How windows were laid, seen and blended: what was calibrated so holds for maps that are made so."""

    window: Annotated[int, Field(ge=1)]
    """Side of a window in pixels."""
    stride: Annotated[int, Field(ge=1)]
    """Largest step between windows in pixels."""
    margin: Count
    """Pixels of context around each window."""
    blend: Literal["probabilities", "logits"]
    """What was averaged where windows overlap."""
    views: tuple[str, ...]
    """Views of each window whose answers were averaged."""
    scales: tuple[float, ...]
    """Scales at which each view was seen."""
    steps: Annotated[int, Field(ge=1)] | None
    """Most steps of a network that answers in steps; None for one that answers at once."""

    def differences(self, other: "Conditions") -> list[str]:
        """Return a line for each condition that differs, such as `window 256 (calibrated) -> 512`."""
        return [
            f"{name} {getattr(self, name)} (calibrated) -> {getattr(other, name)}"
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
        ]


class Origin(Record):
    """What something was calibrated on."""

    split: str
    """Role of the images, or `unlabelled` for scenes without labels."""
    split_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the names and pixels' hashes of these images."""
    images: Annotated[int, Field(ge=1)]
    """Images or scenes: n of every promise, since pixels and windows of one image are not independent."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """Day, in UTC."""
    conditions: Conditions
    """How windows were laid, seen and blended."""


class HaltingPromise(Record):
    """The halting threshold, and what is promised of it."""

    tau: Share
    """A window is done where its probability to halt is at least this; 1 never stops early."""
    method: HaltingMethod
    """`crc`: the mean risk of new images is at most epsilon; `wsr`, `ltt`: with confidence 1 - delta it is; `quantile`:
    no promise at all."""
    loss: HaltingLoss
    """What is lost on an image by stopping early."""
    epsilon: Positive
    """Risk that is allowed."""
    delta: Share | None
    """Probability with which the promise may fail; None for `crc`."""
    bound: Positive
    """B: losses are clipped at it, and the promise is about the clipped loss."""
    clipped: Count
    """Images whose loss was clipped at tau."""
    grid: Annotated[tuple[Share, ...], Field(min_length=1)]
    """Thresholds that were tried, from the most careful down."""
    risk: Annotated[float, Field(allow_inf_nan=False)]
    """Mean clipped loss of the calibration images at tau."""
    upper: Annotated[float, Field(allow_inf_nan=False)] | None
    """What the method bounds the risk at tau by; None for `quantile`."""
    mean_steps: Positive
    """Mean steps of the calibration images at tau."""
    origin: Origin
    """What it was calibrated on."""


class DecisionThreshold(Record):
    """Of two classes the second is chosen where its probability is at least this."""

    threshold: Share
    """The probability."""
    figure: Literal["f1", "iou"]
    """What it maximises on the calibration images."""
    value: Share
    """What that is there."""
    origin: Origin
    """What it was calibrated on."""


class AbstentionPromise(Record):
    """Below which confidence the map abstains, and how often the pixels that it keeps are wrong."""

    least_confidence: Annotated[float, Field(ge=0, le=2)]
    """Pixels of less confidence are abstained from; above 1 all are."""
    method: Literal["crc", "wsr", "ltt"]
    """As of the halting threshold."""
    epsilon: Positive
    """Share of wrong pixels among those kept that is allowed, as a mean over images."""
    delta: Share | None
    """Probability with which the promise may fail; None for `crc`."""
    kept: Share
    """Share of the calibration images' labelled pixels that is kept."""
    grid: Annotated[tuple[Annotated[float, Field(ge=0, le=2)], ...], Field(min_length=1)]
    """Confidences that were tried, from the most careful down."""
    risk: Share
    """Mean over calibration images of the share of kept pixels that are wrong."""
    upper: Annotated[float, Field(allow_inf_nan=False)] | None
    """What the method bounds that risk by."""
    origin: Origin
    """What it was calibrated on."""


class ConformalSets(Record):
    """From which probability on a class belongs to a pixel's set; the most probable one always does."""

    least_probability: Share
    """The probability."""
    alpha: Positive
    """Mean share of pixels whose class is missing in their set that is allowed."""
    missing: Share
    """That share on the calibration images."""
    mean_size: Annotated[float, Field(ge=1)]
    """Mean number of classes in a set there."""
    grid: Annotated[tuple[Share, ...], Field(min_length=1)]
    """Probabilities that were tried, from the most careful up."""
    upper: Annotated[float, Field(allow_inf_nan=False)] | None
    """What conformal risk control bounds the mean share on new images by."""
    origin: Origin
    """What it was calibrated on."""


class Calibration(Record):
    """All that a bundle knows of how far it can be believed."""

    source: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Fingerprint of the bundle before it was calibrated; a run folder stands for a calibrated bundle only where this
    is its best bundle's."""
    window_temperature: WindowTemperature | None = None
    """Applied to the logits of each window."""
    temperature: BlendedTemperature | None = None
    """Applied to blended log-probabilities."""
    fitted: Origin | None = None
    """What the temperatures were fitted on; None without any."""
    halting: HaltingPromise | None = None
    """When windows stop."""
    decision: DecisionThreshold | None = None
    """How two classes are told apart."""
    abstention: AbstentionPromise | None = None
    """Where the map abstains."""
    sets: ConformalSets | None = None
    """Which classes a pixel may have."""
