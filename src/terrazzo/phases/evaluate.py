"""The verb `evaluate`: how well a bundle does on images, every labelled pixel counted exactly once."""

import time
from collections.abc import Sequence
from pathlib import Path

from terrazzo.config import RunConfig
from terrazzo.errors import ConfigError
from terrazzo.phases.evaluated_data import splits_of
from terrazzo.phases.judge import Judge
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import EvaluateSummary, EvaluationsSummary
from terrazzo.progress import Listener, silent
from terrazzo.training.settings import EvaluateSettings

__all__ = ["evaluate", "evaluate_splits", "run_config_of"]


def evaluate(
    model: Path | ModelFiles,
    config: RunConfig | None = None,
    *,
    data: Path | None = None,
    split: str | None = None,
    name: str | None = None,
    out: Path | None = None,
    show: str | None = None,
    settings: EvaluateSettings | None = None,
    listener: Listener = silent,
) -> EvaluateSummary:
    """Measure a bundle on one split.

    Args:
        model: A bundle, or a run folder, which stands for its best bundle; with its frozen backbone where it leans on
            one that lies elsewhere.
        config: Names the data; the run folder's own configuration if None.
        data: A folder of images and labels, or of prepared data, to judge on instead; all its images count as `test`
            unless its folders or prepared roles say otherwise.
        split: Role to judge on; `test` where the data has it, else `val`.
        name: What the result is called; the split if None.
        out: Folder for the results; `evaluate/<name>` beside the bundle if None.
        show: Name of a single image to draw, of any split unless `split` names one; no scores are written then.
        settings: How to judge; the configuration's if None.
        listener: Receives progress.

    Returns:
        Scores and confusion matrix; also `summary.json`, tables and pictures in `out`.

    Raises:
        ConfigError: Nothing names the data, the split or the image does not exist, or nothing is labelled.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    judge = Judge.begin(model, config, data=data, settings=settings, listener=listener)
    if show is not None:
        return judge.show(show, split, out)
    chosen = splits_of(judge.prepared, split)
    if len(chosen) > 1:
        raise ConfigError(f"The data has the splits {', '.join(chosen)}; `evaluate_splits` judges several.")
    return judge.judge(chosen[0], out or judge.place / "evaluate" / (name or chosen[0]))


def evaluate_splits(
    model: Path | ModelFiles,
    config: RunConfig | None = None,
    *,
    splits: Sequence[str],
    data: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    settings: EvaluateSettings | None = None,
    listener: Listener = silent,
) -> EvaluationsSummary:
    """Measure a bundle on several splits, each by itself.

    Args:
        model: As of `evaluate`.
        config: As of `evaluate`.
        splits: Roles to judge on, or `all`.
        data: As of `evaluate`.
        name: What the results are called, `<name>-<split>`; the split if None.
        out: Folder of a folder for each split; `evaluate` beside the bundle if None.
        settings: As of `evaluate`.
        listener: Receives progress.

    Raises:
        ConfigError: Nothing names the data, a split does not exist, or nothing in it is labelled.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    begun = time.monotonic()
    judge = Judge.begin(model, config, data=data, settings=settings, listener=listener)
    folder = out or judge.place / "evaluate"
    found = tuple(
        judge.judge(split, folder / (f"{name}-{split}" if name else split))
        for split in splits_of(judge.prepared, splits)
    )
    return EvaluationsSummary(folder=folder, seconds=time.monotonic() - begun, evaluations=found)
