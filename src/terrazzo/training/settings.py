"""Settings of training and of evaluation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from terrazzo.record import Record

__all__ = ["EmaSettings", "EvaluateSettings", "KeepSettings", "Monitor", "TrainSettings"]

AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastZero = Annotated[int, Field(ge=0)]
Split = Annotated[str, StringConstraints(pattern=r"^(train|val|calibrate|test|val_\*|val_[a-z0-9_]+)$")]


class Monitor(Record):
    """The figure that says which epoch is best."""

    bare_fields: ClassVar[tuple[str, ...]] = ("figure",)

    figure: str = "val_miou"
    """Any figure of log.csv, such as val_miou, val_loss, val_accuracy, val_iou_<class>, or val_bf1_<pixels> where
    boundary_tolerances has them; val_<set>_miou and the like for a named validation set, val_mean_miou for the mean
    over all sets that are validated on."""
    mode: Literal["auto", "max", "min"] = "auto"
    """Whether more or less is better; auto takes less for a figure that ends in `loss`, else more."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """An epoch counts as better for early stopping only by more than this."""
    patience: AtLeastOne | None = None
    """Stop after so many epochs without a better one, of those in which the figure is measured; null never stops
    early."""

    @model_validator(mode="before")
    @classmethod
    def _bare_figure(cls, value: object) -> object:
        """Accept `monitor: val_loss` for `monitor: {figure: val_loss}`."""
        return {"figure": value} if isinstance(value, str) else value

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        if self.mode == "auto":
            return -1 if self.figure.endswith("loss") else 1
        return 1 if self.mode == "max" else -1


class KeepSettings(Record):
    """Which checkpoints stay, besides the last."""

    best: AtLeastOne = 1
    """How many of the best epochs."""
    every: AtLeastOne | None = None
    """Every so many epochs; null keeps none of them."""


class EmaSettings(Record):
    """A running mean of the weights, evaluated, chosen by and exported in their place."""

    bare_fields: ClassVar[tuple[str, ...]] = ("decay",)

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Share of the mean that an update keeps; 1 / (1 - decay) updates should be 5 to 10 % of the run."""
    warmup: bool = True
    """Keep less at first: at most 1 - (1 + updates) ** (-2/3), so that short runs have a mean worth having."""

    @model_validator(mode="before")
    @classmethod
    def _bare_decay(cls, value: object) -> object:
        """Accept `ema: 0.999` for `ema: {decay: 0.999}`."""
        return {"decay": value} if isinstance(value, float) else value


class TrainSettings(Record):
    """How a model is trained."""

    enable: bool = True
    """Whether `run` trains."""
    epochs: AtLeastOne = 50
    """Passes over the training patches."""
    batch_size: AtLeastOne = 8
    """Patches of one batch of one process."""
    accumulate: AtLeastOne = 1
    """Batches of one update of the weights; an epoch's last update may have fewer."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of all gradients together; longer ones are shortened to it. null leaves them."""
    ema: EmaSettings | None = None
    """A running mean of the weights, or just its decay; null trains and exports the weights themselves."""
    compile: bool = False
    """Compile the network's training forward (torch.compile); the first updates take minutes, bits differ from those
    without, and validation runs as it is."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third more time."""
    sampling: Literal["uniform", "balanced"] = "uniform"
    """How patches are drawn: each once an epoch, or rare classes more often."""
    class_weights: Literal["none", "inverse", "median"] = "none"
    """Weights of the classes in the loss, from the labelled pixels of the training split."""
    evaluation_batch_size: AtLeastOne | None = None
    """Patches of one validation batch; null takes batch_size."""
    validate_on: Literal["all", "val", "named"] = "all"
    """Sets to validate on: the split val and the named sets of data.validation, or only one of the two."""
    boundary_tolerances: tuple[AtLeastZero, ...] = ()
    """Pixels at which validation measures the boundary F1, in the cores of its patches, as val_bf1_<pixels>; 0 is
    strict, and none measures nothing. `evaluate` measures whole images."""
    monitor: Monitor = Monitor()
    """What chooses the best epoch, and when to stop early."""
    keep: KeepSettings = KeepSettings()
    """Which checkpoints stay."""
    checkpoint_every_steps: AtLeastOne | None = None
    """Also save within an epoch, every so many updates; null saves at its end only."""
    worst_samples: AtLeastZero = 4
    """Worst validation samples shown each epoch (image, label, prediction, error)."""
    log_every: AtLeastOne = 20
    """Updates between two points of the curves in TensorBoard."""
    sanity_batches: AtLeastZero = 1
    """Validation batches tried before the first epoch, so that what is broken there shows at once."""
    debug: bool = False
    """A debug-size run: at most 2 epochs of 4 updates and 2 validation batches."""
    profile: AtLeastZero = 0
    """Updates of the first epoch to profile into trace.json (Chrome trace); 0 for none."""

    @model_validator(mode="after")
    def _monitor_is_measured(self) -> "TrainSettings":
        if self.monitor.figure in ("epoch", "lr", "seconds", ""):
            raise ValueError(f"monitor.figure {self.monitor.figure!r} says nothing about a model; use val_miou")
        return self

    @field_validator("boundary_tolerances")
    @classmethod
    def _each_tolerance_once(cls, tolerances: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(tolerances)) < len(tolerances):
            raise ValueError("names a tolerance twice; each is a column of log.csv, so name it once")
        return tolerances

    @model_validator(mode="after")
    def _compiled_or_checkpointed(self) -> "TrainSettings":
        if self.compile and self.gradient_checkpointing:
            raise ValueError(
                "compile and gradient_checkpointing exclude each other, since a compiled pass cannot be run again in "
                "parts; set one of them to false"
            )
        return self

    @property
    def epochs_to_run(self) -> int:
        """Epochs of this run, `debug` considered."""
        return min(self.epochs, 2) if self.debug else self.epochs


class EvaluateSettings(Record):
    """How a trained model is judged."""

    enable: bool = True
    """Whether `run` evaluates."""
    splits: tuple[Split, ...] = ("val", "val_*", "test")
    """Splits to judge on, `val_*` for every named validation set; those that the data lacks are left out and named."""
    on: Literal["images", "patches"] = "images"
    """What the model sees: whole images through the engine that makes maps, windows blended, or the patches of
    training one by one, which may come from the feature cache and give the loss."""
    limit: AtLeastOne | None = None
    """Judge only so many images of a split, the first by name; null judges all."""
    batch_size: AtLeastOne = 8
    """Patches of one batch; the confusion counts do not depend on it. Whole images take predict.batch_size."""
    worst_samples: AtLeastZero = 8
    """Worst images, or patches, to draw for each split (image, label, prediction, error)."""
    by_step: bool = True
    """Whether a network that answers in steps is also judged after each of them, on patches."""

    scores: bool = True
    """Whether scores are written; false writes only the pictures and rasters that are asked for."""
    boundaries: bool = True
    """Whether boundary F1 and boundary IoU are measured; they need an image's classes in memory at once."""
    tolerances: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = (0.0, 1.0, 2.0, 3.0, 5.0)
    """Distances in pixels up to which a boundary counts as found, beside 0.75 % of the image's diagonal."""
    reliability: bool = True
    """Whether it is measured how far the model's confidence can be believed."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of two classes, the probability from which on the second is chosen; of more, the confidence below which plots
    are grey and nothing else changes. null takes the calibrated threshold, else 0.5."""
    plots: bool = False
    """Whether each image is drawn as image, label, output and error."""
    plot_pixels: Annotated[int, Field(ge=64, le=8192)] = 1024
    """Longest side of an image in a plot; larger ones are thinned out."""
    masks: bool = False
    """Whether each image's predicted classes are written, with a palette."""
    probabilities: bool = False
    """Whether each image's probabilities are written, a band each class."""

    @model_validator(mode="after")
    def _whole_images(self) -> "EvaluateSettings":
        asked = [name for name in ("plots", "masks", "probabilities") if getattr(self, name)]
        asked += ["threshold"] if self.threshold is not None else []
        if self.on == "patches" and asked:
            raise ValueError(f"`{asked[0]}` needs whole images, but `on` is patches; leave one of the two out")
        if not self.scores and not any((self.plots, self.masks, self.probabilities)):
            raise ValueError("`scores` is false, and neither plots, masks nor probabilities are asked for")
        return self
