"""Run folders of trials as `terrazzo run` leaves them, written in a moment."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Int64

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, ImageConfusions, save_confusions
from terrazzo.metrics import Confusion
from terrazzo.sweep.trial import Finished, Trial, TrialState, trial_of

CLASSES = ("field", "forest", "open water")


def counts(
    labels: Sequence[Sequence[int]], right: float, generator: np.random.Generator
) -> Int64[np.ndarray, "image class class"]:
    """Return confusion matrices of images with these labelled pixels, about so many of them right."""
    found = np.zeros((len(labels), len(labels[0]), len(labels[0])), dtype=np.int64)
    for image, row in enumerate(labels):
        for label, pixels in enumerate(row):
            share = min(max(right + 0.02 * generator.standard_normal(), 0.0), 1.0)
            hits = round(pixels * share)
            found[image, label, label] = hits
            found[image, label, (label + 1) % len(row)] += pixels - hits
    return found


def labels_of(images: Sequence[str]) -> list[list[int]]:
    """Return labelled pixels of each class, a function of an image's name."""
    return [[900 + sum(name.encode()) % 97, 500, 200 + len(name)] for name in images]


def write_evaluation(
    folder: Path,
    per_image: Int64[np.ndarray, "image class class"],
    images: Sequence[str],
    *,
    classes: Sequence[str] = CLASSES,
    whole: bool = True,
) -> None:
    """Write `evaluate/<split>`."""
    folder.mkdir(parents=True, exist_ok=True)
    total = per_image.sum(axis=0)
    scores = Confusion(torch.from_numpy(total)).scores(classes).as_dict()
    content = {
        "split": folder.name,
        "images": len(images),
        "miou": scores["miou"],
        "scores": scores,
        "confusion": total.tolist(),
        "loss": None,
        "boundary": {"boundary_iou": 0.5},
        "reliability": {"ece": 0.05},
    }
    (folder / "summary.json").write_text(json.dumps(content))
    (folder / "confusion.csv").write_text("label \\ prediction\n")
    if whole:
        found = ImageConfusions(tuple(images), tuple(classes), per_image, folder.name)
        save_confusions(folder / CONFUSIONS_FILE, found)


def write_run(
    trial: Trial,
    *,
    level: float,
    splits: Mapping[str, Sequence[str]] | None = None,
    epochs: int = 6,
    whole: bool = True,
    monitor: str = "val_miou",
    images: tuple[int, int] = (8, 2),
    seed: int = 0,
) -> None:
    """Write a run folder whose figures lie near a level.

    Args:
        trial: Which one.
        level: Share of right pixels.
        splits: Names of the judged images by split; val and test of some if None.
        epochs: Rows of log.csv.
        whole: Whether whole images were judged.
        monitor: Watched figure.
        images: That train, and that validate.
        seed: Of what is random.
    """
    generator = np.random.default_rng(seed)
    trial.folder.mkdir(parents=True, exist_ok=True)
    trial.save()
    config = {"train": {"monitor": {"figure": monitor, "mode": "auto"}}}
    data = {"fingerprint": "abc", "folder": "prepared"}
    (trial.folder / "metadata.json").write_text(json.dumps({"config": config, "data": data}))
    train, val = images
    (trial.folder / "data.json").write_text(json.dumps({"images": {"train": train, "val": val}}))
    lines = [f"epoch,lr,train_loss,val_loss,{monitor},seconds"]
    for epoch in range(1, epochs + 1):
        value = level * (1 - math.exp(-epoch / 2)) + 0.004 * generator.standard_normal()
        lines.append(f"{epoch},0.001,{1 / epoch},{1.2 / epoch},{value:.6f},10.5")
    (trial.folder / "log.csv").write_text("\n".join(lines) + "\n")
    chosen = {"val": ["a", "b", "c"], "test": ["d", "e", "f", "g"]} if splits is None else splits
    for split, names in chosen.items():
        per_image = counts(labels_of(names), level, generator)
        write_evaluation(trial.folder / "evaluate" / split, per_image, names, whole=whole)
    (trial.folder / "report.html").write_text("<!doctype html>")


def ended(trial: Trial, state: TrialState = TrialState.finished, reason: str = "", seconds: float = 70.0) -> Finished:
    """Return how a trial ended."""
    return Finished(trial=trial, state=state, value=0.5, seconds=seconds, reason=reason)


def trials_of(folder: Path, varied: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """Return trials in order."""
    return [trial_of(number, one, folder) for number, one in enumerate(varied)]


@pytest.fixture
def folders() -> SimpleNamespace:
    """What writes run folders."""
    return SimpleNamespace(
        classes=CLASSES,
        counts=counts,
        labels_of=labels_of,
        write_evaluation=write_evaluation,
        write_run=write_run,
        ended=ended,
        trials_of=trials_of,
    )


Made = tuple[Path, list[Trial], list[Finished]]


@pytest.fixture
def make_sweep(tmp_path: Path) -> Callable[..., Made]:
    """Write the trials of a sweep; `states` says which have not finished, and why."""

    def make(
        varied: Sequence[Mapping[str, Any]],
        level: Callable[[Mapping[str, Any]], float],
        *,
        states: Mapping[int, tuple[str, str]] | None = None,
        splits: Callable[[Mapping[str, Any]], Mapping[str, Sequence[str]] | None] = lambda _: None,
        **settings: Any,
    ) -> Made:
        folder = tmp_path / "größe sweep"
        trials, done = trials_of(folder, varied), []
        for trial in trials:
            state, reason = (states or {}).get(trial.number, ("finished", ""))
            if state != "waiting":
                own = {"splits": splits(trial.varied), "seed": trial.number, **settings}
                write_run(trial, level=level(trial.varied), **own)
            if state in {"finished", "failed", "pruned"}:
                done.append(ended(trial, TrialState(state), reason))
        return folder, trials, done

    return make
