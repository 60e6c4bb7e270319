"""The whole configuration of a run: the records of all rooms side by side, and what must hold between them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from terrazzo.calibration.settings import CalibrateSettings
from terrazzo.config.dump import Carried, differences, dumped, to_yaml
from terrazzo.config.issue import Path
from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.features.views import unsuited
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.logs import LoggingSettings
from terrazzo.losses import LOSSES, CrossEntropy, Loss
from terrazzo.losses.fitting import fitting
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import ARCHITECTURES, Architecture
from terrazzo.record import OneOrSeveral, Record, family, nearest
from terrazzo.scene.settings import PredictSettings
from terrazzo.tracking import TRACKERS, Tracker
from terrazzo.training.figures import split_figures
from terrazzo.training.optim import OPTIMIZERS, AdamW, Optimizer
from terrazzo.training.schedule import SCHEDULES, Cosine, Schedule
from terrazzo.training.settings import EvaluateSettings, TrainSettings

__all__ = ["DEFAULT_PATHS", "RunConfig", "violations"]

DEFAULT_PATHS: Mapping[str, str] = {"prepared": "prepared", "runs": "runs"}
"""Folders that every configuration names; others join them."""


def _each_once(trackers: tuple[Tracker, ...]) -> tuple[Tracker, ...]:
    """Refuse a tracker that is named twice: the two would write the same files."""
    names = [tracker.name for tracker in trackers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(twice)} twice; each tracker can be named once.")
    return trackers


def _as_list(value: object) -> object:
    """Accept `track: mlflow` and `track: {name: mlflow, ...}` for a list of one."""
    return [value] if isinstance(value, str | Mapping | Tracker) else value


Trackers = Annotated[
    tuple[Annotated[Tracker, family(TRACKERS)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_each_once),
    OneOrSeveral(),
]


class RunConfig(Record):
    """Everything that a run is told. `data` and `model` must be given, all else has defaults."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/\\\x00]*[^/\\\x00.][^/\\\x00]*$")] = "run"
    """Folder of the run below `paths.runs`; by default the file's name. `${now:%Y%m%d-%H%M%S}` puts the time in it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Start of every random draw: weights, order of patches, augmentation."""
    paths: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_PATHS))
    """Folders that sections share through `${paths.x}`; `prepared` and `runs` are where results go."""
    plugins: tuple[FilePath, ...] = ()
    """Python files that add components of your own; they run when the configuration is loaded."""
    data: DataSettings
    """Images, labels, bands, classes, patches and their split."""
    augment: Augmentation = Augmentation()
    """Random changes of training patches."""
    model: Annotated[Architecture, family(ARCHITECTURES)]
    """The network."""
    loss: Annotated[Loss, family(LOSSES)] = CrossEntropy()
    """What training makes small."""
    optimizer: Annotated[Optimizer, family(OPTIMIZERS)] = AdamW()
    """How weights are updated."""
    schedule: Annotated[Schedule, family(SCHEDULES)] = Cosine()
    """How the learning rate runs."""
    verify: VerifySettings = VerifySettings()
    """The phase that looks at every file of the data before anything is learned from it."""
    prepare: PrepareSettings = PrepareSettings()
    """The phase that cuts and measures the data."""
    train: TrainSettings = TrainSettings()
    """The phase that trains the model."""
    calibrate: CalibrateSettings = CalibrateSettings()
    """The phase that says how far the model can be believed, and when it may stop early."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """The phase that judges the model."""
    predict: PredictSettings = PredictSettings()
    """The phase that maps scenes."""
    # Plain, since files may refer to defaults.
    track: Trackers = cast("tuple[Tracker, ...]", ("tensorboard",))
    """Where figures and pictures of a training go besides the run folder's own files; one or several."""
    machine: MachineSettings = MachineSettings()
    """What all of it runs on."""
    logging: LoggingSettings = LoggingSettings()
    """Messages on the terminal and in a file."""

    _carried: tuple[Carried, ...] = PrivateAttr(default=())

    @field_validator("paths")
    @classmethod
    def _complete_paths(cls, paths: dict[str, str]) -> dict[str, str]:
        return {**DEFAULT_PATHS, **paths}

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunConfig":
        found = violations(dict(self))
        if found:
            details = [
                InitErrorDetails(
                    type=PydanticCustomError("rule", "{message}", {"message": message}), loc=path, input=None
                )
                for path, message in found
            ]
            raise ValidationError.from_exception_data("RunConfig", details)
        return self

    @property
    def folder(self) -> FilePath:
        """The run's folder, relative to the working directory unless `paths.runs` is absolute."""
        return FilePath(self.paths["runs"]) / self.name

    def carrying(self, carried: Sequence[Carried]) -> "RunConfig":
        """Return the same configuration, which remembers what came from the environment."""
        copy = self.model_copy()
        copy._carried = tuple(carried)  # noqa: SLF001 - its own
        return copy

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain data; what came from the environment is there as its reference."""
        return dumped(self, self._carried)

    def dump(self) -> str:
        """Return the resolved configuration as YAML; loading it gives this configuration.

        What came from the environment is written as its reference, such as `${oc.env:TOKEN}`, never as its value.
        """
        return to_yaml(self.as_dict())

    def differences(self, other: "RunConfig", *, ignore: Sequence[str] = ()) -> list[str]:
        """Return a line for each setting that differs: `train.epochs: 3 -> 5` (ours -> theirs).

        Args:
            other: The other configuration.
            ignore: Dotted keys that may differ, with all that is below them, such as `machine.workers`.
        """
        return differences(self.as_dict(), other.as_dict(), ignore=ignore)


Found = tuple[Path, str]


def violations(sections: Mapping[str, Any]) -> list[Found]:
    """Return what does not fit between sections, each with the setting to change.

    Args:
        sections: Checked records by section; a rule whose sections are not all there is left out.
    """
    found: list[Found] = []
    for needed, rule in _RULES:
        if all(name in sections for name in needed):
            found += rule(*(sections[name] for name in needed))
    return found


def _timing_is_random(machine: MachineSettings) -> list[Found]:
    if machine.deterministic and machine.cudnn_benchmark:
        return [(("machine", "cudnn_benchmark"), "true needs machine.deterministic: false.")]
    return []


def _roles_are_filled(data: DataSettings, train: TrainSettings) -> list[Found]:
    """Where roles are given one by one, those that training needs must be among them."""
    if not train.enable:
        return []
    found: list[Found] = []
    split = data.split
    ways: dict[str, Mapping[Any, Any] | None] = {
        name: getattr(split, name) for name in ("lists", "regions", "fractions")
    }
    ways["blocks"] = split.blocks.fractions if split.blocks else None
    needs_val = _is_of_val(train)
    for way, roles in ways.items():
        if roles is None:
            continue
        filled = {role for role, share in roles.items() if share}
        if split.folds is not None:
            # Folds divide what trains or selects anew.
            filled |= {"train", "val"} if filled & {"train", "val"} else set()
        if "train" not in filled:
            found.append((("data", "split", way), 'has nothing for "train"; training needs images of this role.'))
        # Beside fractions a folder called val may say the role.
        if way not in {"fractions", "blocks"} and "val" not in filled and needs_val:
            message = f'has nothing for "val", on which {train.monitor.figure} (train.monitor.figure) is measured.'
            found.append((("data", "split", way), message))
    return found


def _calibration_has_images(data: DataSettings, calibrate: CalibrateSettings) -> list[Found]:
    """What is calibrated in a run needs images of its own, and a decision threshold two classes."""
    if not calibrate.enable:
        return []
    found: list[Found] = []
    split, role = data.split, calibrate.split
    if not calibrate.unlabelled and (role in {"train", "val"} or role.startswith("val_")):
        if not calibrate.allow_selected:
            message = f"{role} trains or chooses the model; name calibrate, or set calibrate.allow_selected."
            found.append((("calibrate", "split"), message))
    elif not calibrate.unlabelled:
        # Beside fractions and blocks a folder may say the role; of polygons only their file knows.
        ways: dict[str, Mapping[Any, Any] | None] = {"lists": split.lists, "regions": split.regions}
        for way, roles in ways.items():
            if roles is not None and not roles.get(role):
                message = f'has nothing for "{role}", which calibrate.enable needs: images that train nothing.'
                found.append((("data", "split", way), message))
    if calibrate.decision is not None and len(data.classes) != 2:
        message = f"tells two classes apart, but data.classes has {len(data.classes)}; leave it out."
        found.append((("calibrate", "decision"), message))
    return found


def _loss_reads_the_answers(model: Architecture, loss: Loss) -> list[Found]:
    """A part of an answer that no loss reads would never be trained."""
    if loss.reads == model.answers:
        return []

    def told(kinds: frozenset[type]) -> str:
        return " and ".join(sorted(kind.__name__ for kind in kinds)) or "logits alone"

    fit = fitting(model.answers)
    advice = f"use {fit}; see docs/losses.md" if fit else "no loss reads that; see docs/losses.md"
    message = f"{loss.name} reads {told(loss.reads)}, but model {model.name} answers {told(model.answers)}: {advice}."
    return [(("loss",), message)]


def _is_of_val(train: TrainSettings) -> bool:
    """Whether the monitored figure is measured on the split val."""
    figures = split_figures("val", ("", ""), train.boundary_tolerances)
    return train.monitor.figure in figures or train.monitor.figure.startswith("val_iou_")


def _named_sets_exist(data: DataSettings, train: TrainSettings) -> list[Found]:
    """Validation on named sets alone needs some, and a figure of theirs."""
    if not train.enable or train.validate_on != "named":
        return []
    if not data.validation and data.validation_list is None:
        return [(("train", "validate_on"), "named needs data.validation or data.validation_list.")]
    figure = train.monitor.figure
    if _is_of_val(train):
        message = (
            f"{figure} is measured on the split val, which train.validate_on: named leaves out; name a figure such as"
        )
        example = next(iter(data.validation), "set")
        return [(("train", "monitor", "figure"), f"{message} val_{example}_miou.")]
    return []


def _monitored_class_exists(data: DataSettings, train: TrainSettings) -> list[Found]:
    figure = train.monitor.figure
    if not figure.startswith("val_iou_"):
        return []
    name, names = figure.removeprefix("val_iou_"), list(data.classes.names)
    if name in names:
        return []
    message = f'{figure} needs a class "{name}".{nearest(name, names)} Classes: {", ".join(names)}.'
    return [(("train", "monitor", "figure"), message)]


def _folders_are_apart(name: str, paths: Mapping[str, str], prepare: PrepareSettings) -> list[Found]:
    run = FilePath(paths["runs"]) / name
    if prepare.folder == run or run in prepare.folder.parents:
        return [(("prepare", "folder"), f"{prepare.folder} lies in the run's own folder, {run}; choose another.")]
    return []


def _features_can_be_cached(model: Architecture, augment: Augmentation, prepare: PrepareSettings) -> list[Found]:
    """A cache needs a frozen part, and an augmentation that is a draw of the cached views."""
    if prepare.cache == "none":
        return []
    found: list[Found] = []
    # Whether there is a frozen part does not depend on its weights, which may be large or not there yet.
    if model.without_pretraining().feature_key() is None:
        message = f"features needs a model with a frozen part, and {model.name} with these settings has none; set none."
        found.append((("prepare", "cache"), message))
    if reason := unsuited(augment, prepare.cache_views):
        found.append((("augment",), f"{reason}."))
    return found


_RULES: tuple[tuple[tuple[str, ...], Callable[..., list[Found]]], ...] = (
    (("machine",), _timing_is_random),
    (("data", "train"), _roles_are_filled),
    (("data", "calibrate"), _calibration_has_images),
    (("model", "loss"), _loss_reads_the_answers),
    (("data", "train"), _named_sets_exist),
    (("data", "train"), _monitored_class_exists),
    (("name", "paths", "prepare"), _folders_are_apart),
    (("model", "augment", "prepare"), _features_can_be_cached),
)
