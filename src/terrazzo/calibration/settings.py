"""How a bundle is calibrated."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from terrazzo.calibration.record import HaltingLoss, HaltingMethod
from terrazzo.record import Record

__all__ = ["AbstainSettings", "CalibrateSettings", "FittedTemperature", "HaltingSettings"]

FittedTemperature = Literal["none", "scalar", "vector", "step", "local"]
Inside = Annotated[float, Field(gt=0, lt=1)]
Role = Annotated[str, StringConstraints(pattern=r"^(train|val|calibrate|test|val_[a-z0-9_]+)$")]


class HaltingSettings(Record):
    """When the windows of a network that answers in steps may stop early."""

    epsilon: Inside = 0.01
    """Risk that is allowed: the mean over images of what stopping early loses."""
    delta: Inside = 0.1
    """Probability with which the promise may fail; the method crc promises of the mean and needs none."""
    loss: HaltingLoss | None = None
    """What an image loses: `error`, more wrong pixels; `disagreement`, pixels of another class than after all steps;
    `iou`, mean IoU of the classes present; `brier`, squared error of the probabilities. If not given, error where
    images have labels and disagreement where they have none."""
    method: HaltingMethod = "wsr"
    """`wsr` or `ltt`: with confidence 1 - delta the risk is at most epsilon; `crc`: on average over calibrations it is;
    `quantile`: the 1 - delta quantile of all probabilities to halt, without guarantee."""
    bound: Annotated[float, Field(gt=0, le=2)] = 0.2
    """B: losses are clipped at it, and the promise is about the clipped loss. It is declared before any loss is seen; a
    smaller one needs fewer images."""
    thresholds: Annotated[int, Field(ge=2, le=1001)] = 101
    """Thresholds that are tried, evenly from 1 (never early) down to 0."""

    @model_validator(mode="after")
    def _bound_is_reached(self) -> "HaltingSettings":
        if self.epsilon >= self.bound:
            raise ValueError(
                f"epsilon {self.epsilon:g} is not below bound {self.bound:g}, at which every loss is clipped: the "
                "promise would hold of anything"
            )
        return self

    @property
    def grid(self) -> tuple[float, ...]:
        """The thresholds, from the most careful down.

        >>> HaltingSettings(thresholds=5).grid
        (1.0, 0.75, 0.5, 0.25, 0.0)
        """
        last = self.thresholds - 1
        return tuple((last - place) / last for place in range(self.thresholds))


class AbstainSettings(Record):
    """Where a map abstains, so that few of the pixels that it keeps are wrong."""

    bare_fields: ClassVar[tuple[str, ...]] = ("epsilon",)

    epsilon: Inside
    """Share of wrong pixels among those kept that is allowed, as a mean over images."""
    delta: Inside = 0.1
    """Probability with which the promise may fail; the method crc promises of the mean and needs none."""
    method: Literal["crc", "wsr", "ltt"] = "wsr"
    """As of the halting threshold."""

    @model_validator(mode="before")
    @classmethod
    def _bare_epsilon(cls, value: object) -> object:
        """Accept `abstain: 0.05` for `abstain: {epsilon: 0.05}`."""
        return {"epsilon": value} if isinstance(value, float) else value


class CalibrateSettings(Record):
    """How a bundle is calibrated, and on which images."""

    enable: bool = False
    """Whether `terrazzo run` calibrates between training and judging."""
    split: Role = "calibrate"
    """Role of the images; those of train and val chose the model and are refused."""
    allow_selected: bool = False
    """Accept images that trained or selected the model. What is found then holds for them; nothing is promised."""
    report_split: Role | None = None
    """Role of the images on which before and after are reported; test where there is one, else `report_share` of the
    images, if not given."""
    report_share: Inside = 0.25
    """Share of the images that is held back to report on where no other role is."""
    fit_share: Inside = 0.4
    """Share of the other images that temperature and decision threshold are fitted on; thresholds with a promise are
    chosen on the rest, which they have not seen."""
    seed: int = 0
    """Draws another division into these parts; it goes by a hash of the images' names."""
    temperature: Literal["auto", "none", "scalar", "vector", "step", "local"] = "auto"
    """`scalar`, one for all classes; `vector`, a factor and an offset for each; `step`, one for each step; `local`, one
    for each pixel; none leaves it; auto is step for a network that answers in steps, else scalar."""
    pixels_per_image: Annotated[int, Field(ge=1)] = 4096
    """Labelled pixels of each image that temperatures are fitted on."""
    halting: HaltingSettings | None = HaltingSettings()
    """When windows of a network that stops by itself are done; other networks have nothing to halt. null leaves it."""
    decision: Literal["f1", "iou"] | None = None
    """Of two classes: choose the probability from which on a pixel is of the second, so that this figure of it is
    largest."""
    abstain: AbstainSettings | None = None
    """Choose below which confidence maps abstain (predict.layers: abstain), or just the share of errors allowed."""
    sets: Inside | None = None
    """Alpha: choose class sets (predict.layers: sets) that miss a pixel's class in at most this mean share of
    pixels."""
    unlabelled: tuple[str, ...] = ()
    """Scenes without labels, as predict takes them: the halting threshold is chosen by disagreement on these, a scene
    being the unit, and nothing else is calibrated."""
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """Day that the bundle states; today's in UTC if not given."""

    @model_validator(mode="after")
    def _labels_are_there(self) -> "CalibrateSettings":
        if not self.unlabelled:
            return self
        given = [name for name in ("decision", "abstain", "sets") if getattr(self, name) is not None]
        if self.temperature not in ("auto", "none"):
            given.insert(0, "temperature")
        if given:
            raise ValueError(
                f"{' and '.join(given)} cannot be calibrated on scenes without labels; do it first on images with "
                "labels, then give that bundle with `unlabelled`"
            )
        if self.halting is None:
            raise ValueError("without `halting` there is nothing to calibrate on scenes without labels")
        if self.halting.loss not in (None, "disagreement"):
            raise ValueError(
                f"halting.loss {self.halting.loss} needs labels; scenes without them tell disagreement alone"
            )
        return self

    @property
    def halting_loss(self) -> HaltingLoss:
        """What stopping early loses, as said or by whether there are labels."""
        said = None if self.halting is None else self.halting.loss
        return said or ("disagreement" if self.unlabelled else "error")
