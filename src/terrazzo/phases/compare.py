"""The verb `compare`: whether two bundles, or two finished evaluations, differ on the same images."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, ImageConfusions, load_confusions
from terrazzo.config import RunConfig
from terrazzo.errors import ConfigError, ContractError
from terrazzo.metrics.intervals import paired_comparison
from terrazzo.phases.evaluated_data import splits_of
from terrazzo.phases.judge import Judge
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import CompareSummary
from terrazzo.progress import Listener, silent
from terrazzo.storage import write_json
from terrazzo.training.settings import EvaluateSettings

__all__ = ["COMPARE_FILE", "compare"]

COMPARE_FILE = "compare.json"
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


def compare(
    first: Path,
    second: Path,
    config: RunConfig | None = None,
    *,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    settings: EvaluateSettings | None = None,
    listener: Listener = silent,
) -> CompareSummary:
    """Compare two systems on the same images, pair by pair.

    Args:
        first: A bundle, a run folder, or the folder of a finished evaluation of whole images.
        second: Likewise.
        config: Names the data that bundles are judged on, and how; the configuration of the first run if None. Both
            are judged alike; each keeps its own window.
        data: A folder of images and labels, or of prepared data, to judge bundles on instead.
        split: Role to judge bundles on; that of a finished evaluation, else `test` where the data has it, else `val`.
        out: Folder for `compare.json`; `evaluate/compare/<second>` beside the first if None.
        settings: How bundles are judged; the configuration's if None.
        listener: Receives progress.

    Returns:
        First less second: differences of mIoU, accuracy and each class's IoU with 95 % intervals and p-values.

    Raises:
        ConfigError: Nothing names the data, or the split does not exist.
        ContractError: The two were judged on other images, other labels or other classes.
        DataError: A finished evaluation has no counts of its images.
    """
    begun = time.monotonic()
    for path in (first, second):
        if path.is_dir() and (path / "confusion.csv").is_file() and not (path / CONFUSIONS_FILE).is_file():
            raise ConfigError(
                f"{path} is an evaluation without counts of single images, as of patches; evaluate whole images again."
            )
    finished = [load_confusions(path / CONFUSIONS_FILE) if _is_finished(path) else None for path in (first, second)]
    known = [found.split for found in finished if found is not None]
    asked = split or (known[0] if known else None)
    used = config or _config_of([path for path, found in zip((first, second), finished, strict=True) if found is None])

    def judged(path: Path, found: ImageConfusions | None) -> ImageConfusions:
        return found or _judged(path, used, data, asked, settings, listener)

    one, other = judged(first, finished[0]), judged(second, finished[1])
    aligned = _aligned(one, other, first, second)
    found = paired_comparison(one.counts, aligned, one.classes)
    folder = out or _place(first) / "compare" / _label(second)
    summary = CompareSummary(
        folder=folder,
        seconds=time.monotonic() - begun,
        first=first,
        second=second,
        split=one.split if one.split == other.split else f"{one.split}, {other.split}",
        images=len(one.images),
        comparison=found.as_dict(),
    )
    write_json(folder / COMPARE_FILE, summary.as_dict())
    return summary


def _is_finished(path: Path) -> bool:
    return (path / CONFUSIONS_FILE).is_file()


def _config_of(paths: Sequence[Path]) -> RunConfig | None:
    return next((found for path in paths if (found := run_config_of(path)) is not None), None)


def _judged(
    path: Path,
    config: RunConfig | None,
    data: Path | None,
    split: str | None,
    settings: EvaluateSettings | None,
    listener: Listener,
) -> ImageConfusions:
    judge = Judge.begin(ModelFiles(path), config, data=data, settings=settings, listener=listener)
    chosen = splits_of(judge.prepared, split)
    if len(chosen) > 1:
        raise ConfigError(f"Two systems are compared on one split; name one of {', '.join(chosen)}.")
    return judge.counts(chosen[0])


def _aligned(
    one: ImageConfusions, other: ImageConfusions, first: Path, second: Path
) -> Int64[np.ndarray, "image class class"]:
    """Return the other's counts in the order of the first's images."""
    if one.classes != other.classes:
        raise ContractError(
            f"{first} knows the classes {', '.join(one.classes)}, but {second} {', '.join(other.classes)}; only "
            "answers in the same classes can be compared."
        )
    missing = sorted(set(one.images) ^ set(other.images))
    if missing:
        raise ContractError(
            f"{first} was judged on {len(one.images)} images and {second} on {len(other.images)}, of which "
            f"{len(missing)} are not the same, such as {', '.join(missing[:3])}; judge both on the same images."
        )
    order = {name: position for position, name in enumerate(other.images)}
    counts: Int64[np.ndarray, "image class class"] = other.counts[[order[name] for name in one.images]]
    differing = (one.counts.sum(axis=2) != counts.sum(axis=2)).any(axis=1).nonzero()[0]
    if len(differing):
        raise ContractError(
            f"{first} and {second} were judged by other labels in {len(differing)} of {len(one.images)} images, such "
            f"as {one.images[differing[0]]}; judge both on the same labels."
        )
    return counts


def _place(path: Path) -> Path:
    """Return the folder of the evaluations that a system belongs to."""
    return path.parent if _is_finished(path) else ModelFiles(path).folder / "evaluate"


def _label(path: Path) -> str:
    """Return what a system is called in the name of a folder."""
    resolved = path.resolve()
    if _is_finished(path):
        run = resolved.parent.parent if resolved.parent.name == "evaluate" else resolved.parent
        return _FORBIDDEN.sub("-", f"{run.name}-{resolved.name}")
    return _FORBIDDEN.sub("-", resolved.name if resolved.is_dir() else f"{resolved.parent.name}-{resolved.stem}")
