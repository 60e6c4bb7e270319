"""The verb `run`: every enabled phase of a configuration, in order and timed."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from terrazzo.bundle.file import bundle_file
from terrazzo.config import RunConfig
from terrazzo.data.pictures.gallery import draw_gallery
from terrazzo.data.prepare import open_prepared
from terrazzo.data.verify.results import VERIFY_FILE
from terrazzo.errors import ConfigError, UnfitDataError
from terrazzo.log_progress import logged
from terrazzo.logs import configure_logging, is_leader, timed
from terrazzo.phases.calibrate import calibrate
from terrazzo.phases.evaluate import evaluate
from terrazzo.phases.predict import predict
from terrazzo.phases.prepare import prepare
from terrazzo.phases.summary import PhaseTiming, RunSummary
from terrazzo.phases.train import train
from terrazzo.phases.verify import verify
from terrazzo.progress import Listener, silent
from terrazzo.report import write_report
from terrazzo.storage import write_bytes
from terrazzo.tracking import TrackedRun, require_trackers
from terrazzo.training.distributed import start
from terrazzo.training.track import track_phases

__all__ = ["run"]

Result = TypeVar("Result")


@dataclass
class _Story:
    """What has happened so far."""

    listener: Listener
    phases: list[PhaseTiming] = field(default_factory=list)

    @property
    def done(self) -> list[PhaseTiming]:
        """Phases that were not skipped."""
        return [phase for phase in self.phases if phase.skipped is None]

    def do(self, name: str, work: Callable[[], Result]) -> Result:
        """Do a phase and note its time."""
        with timed(name) as timing:
            result = work()
        self.phases.append(PhaseTiming(name, timing.seconds, None))
        return result

    def skip(self, name: str, reason: str) -> None:
        """Note why a phase was left out."""
        self.phases.append(PhaseTiming(name, 0.0, reason))


def run(config: RunConfig, *, listener: Listener = silent) -> RunSummary:
    """Do the enabled phases: verify, prepare, train, calibrate, evaluate, predict.

    Each can be done alone by its own verb. Calling `run` again goes on where it stopped: data that has not changed is
    neither verified nor prepared again, and training takes up its last checkpoint.

    Args:
        config: The configuration.
        listener: Receives progress.

    Returns:
        Each phase with its time or the reason it was skipped, scores, maps; also `summary.json` and `report.html` in
        the run folder.

    Raises:
        ConfigError: A phase needs what an earlier, disabled one would have made.
        UnfitDataError: Verifying found errors; they lie in `verify.json` of the run folder.
    """
    if config.train.enable:
        require_trackers(config.track)
    configure_logging(config.logging, config.folder)
    begun = time.monotonic()
    story = _Story(logged(listener))
    _verify(config, story)
    _prepare(config, story)
    bundle = _train(config, story)
    bundle = _calibrate(config, story, bundle)
    scores = _evaluate(config, story, bundle)
    maps = _predict(config, story, bundle)
    summary = RunSummary(
        folder=config.folder,
        seconds=time.monotonic() - begun,
        name=config.name,
        phases=tuple(story.phases),
        miou=scores,
        bundle=bundle,
        maps=maps,
        report=config.folder / "report.html",
    )
    if is_leader():
        summary.save()
        write_report(config.folder)
        tracked = TrackedRun(config.name, config.folder, config.as_dict(), config.train.monitor.figure)
        track_phases(config.track, tracked, [(phase.name, _told(phase, scores)) for phase in story.done])
    return summary


def _told(phase: PhaseTiming, scores: Mapping[str, float]) -> dict[str, float]:
    """Return what trackers are told of a phase: its seconds, and of a judgement the figure that is compared."""
    split = phase.name.removeprefix("evaluate ")
    found = {f"evaluate/{split}_miou": scores[split]} if phase.name != split and math.isfinite(scores[split]) else {}
    return {"seconds": phase.seconds, **found}


def _verify(config: RunConfig, story: _Story) -> None:
    """Look at the data before hours are spent on it; what was found goes into the run folder, for the report."""
    if not config.verify.enable:
        story.skip("verify", "verify.enable is false")
        return
    if not is_leader():
        return
    found = story.do("verify", lambda: verify(config, reuse=True, listener=story.listener))
    write_bytes(config.folder / VERIFY_FILE, (config.prepare.folder / VERIFY_FILE).read_bytes())
    if found.errors:
        write_report(config.folder)
        raise UnfitDataError(
            f"the data has {found.errors} error{'s' if found.errors > 1 else ''}, so nothing is trained on it; "
            f"{config.folder / VERIFY_FILE} tells more. Mend the data, leave out the files, or accept a kind of "
            "finding by verify.accept."
        )


def _prepare(config: RunConfig, story: _Story) -> None:
    if not config.prepare.enable:
        story.skip("prepare", "prepare.enable is false")
    elif is_leader():
        story.do("prepare", lambda: prepare(config, listener=story.listener))
        draw_gallery(open_prepared(config.prepare.folder), config.folder / "data")


def _train(config: RunConfig, story: _Story) -> Path | None:
    """Return the bundle that training left, now or earlier."""
    if config.train.enable:
        return story.do("train", lambda: train(config, listener=story.listener)).bundle
    story.skip("train", "train.enable is false")
    earlier = config.folder / "bundle.safetensors"
    return earlier if earlier.is_file() else None


def _calibrate(config: RunConfig, story: _Story, bundle: Path | None) -> Path | None:
    """Return the bundle that is judged and maps from here on; it is calibrated by the first process alone."""
    if not config.calibrate.enable:
        story.skip("calibrate", "calibrate.enable is false")
        return bundle
    _require_bundle(config, bundle, "calibrate")
    processes = start(config.machine)
    made: Path | None = None
    if processes.first:
        made = story.do("calibrate", lambda: calibrate(config.folder, config, listener=story.listener)).bundle
    # What judges must not read the bundle before it is written.
    processes.wait()
    return made or bundle_file(config.folder)


def _evaluate(config: RunConfig, story: _Story, bundle: Path | None) -> dict[str, float]:
    if not config.evaluate.enable:
        story.skip("evaluate", "evaluate.enable is false")
        return {}
    _require_bundle(config, bundle, "evaluate")
    present = _splits(config)
    scores: dict[str, float] = {}
    for split in _asked(config.evaluate.splits, present):
        if split in present:
            name = f"evaluate {split}"
            scores[split] = story.do(
                name,
                lambda: evaluate(config.folder, config, split=split, listener=story.listener),  # noqa: B023
            ).miou
        else:
            story.skip(f"evaluate {split}", "the data has no such split")
    return scores


def _splits(config: RunConfig) -> tuple[str, ...]:
    return open_prepared(config.prepare.folder).catalog.splits


def _asked(splits: Sequence[str], present: Sequence[str]) -> list[str]:
    """Return the splits to judge on, `val_*` replaced by the named validation sets that there are."""
    named = [split for split in present if split.startswith("val_")]
    return list(dict.fromkeys(one for split in splits for one in (named if split == "val_*" else [split])))


def _predict(config: RunConfig, story: _Story, bundle: Path | None) -> tuple[Path, ...]:
    """Map on the first process alone; the others have nothing to wait for."""
    settings = config.predict
    if not settings.enable:
        story.skip("predict", "predict.enable is false")
        return ()
    _require_bundle(config, bundle, "predict")
    if not is_leader():
        return ()
    out = settings.out or config.folder / "predict"
    found = story.do(
        "predict",
        lambda: predict(
            config.folder, settings.inputs, out, settings=settings, machine=config.machine, listener=story.listener
        ),
    )
    return tuple(scene.out for scene in found.maps)


def _require_bundle(config: RunConfig, bundle: Path | None, phase: str) -> None:
    if bundle is None:
        raise ConfigError(
            f"{phase}.enable is true, but {config.folder} holds no bundle and train.enable is false; train first."
        )
