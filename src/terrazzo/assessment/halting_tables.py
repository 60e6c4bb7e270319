"""A halting sweep as rows of plain values: for CSV files, for a report, for whoever wants to choose otherwise."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.halting_results import HaltingSweep
from terrazzo.assessment.halting_samples import KAPPA, QUANTILES
from terrazzo.calibration.record import HaltingLoss
from terrazzo.metrics import Confusion
from terrazzo.storage import atomic_path

__all__ = ["exit_rows", "image_rows", "step_rows", "sweep_findings", "tau_rows", "write_rows"]

Row = dict[str, Any]


def tau_rows(
    sweep: HaltingSweep,
    names: Sequence[str],
    *,
    bound: float | None = None,
    uppers: Mapping[HaltingLoss, Sequence[float]] | None = None,
) -> list[Row]:
    """Return a row a threshold: `tau, miou, mean_steps, saving`, and for each loss `risk_*` and, if given, `upper_*`.

    `saving` is the share of the full run's multiplications, encoder included. `risk_*` is the mean over images of the
    loss, clipped at the bound where one is given; a loss may be negative where early answers are better.

    Args:
        sweep: All images at all thresholds.
        names: Of the classes, in order.
        bound: B.
        uppers: What a method bounds each risk by, one a threshold; NaN where it was not asked any more.
    """
    steps, savings = sweep.overall_steps, sweep.savings
    found: list[Row] = []
    for position, tau in enumerate(sweep.thresholds):
        row: Row = {
            "tau": tau,
            "miou": None if sweep.confusions is None else _miou(sweep.confusions[position], names),
            "mean_steps": float(steps[position]),
            "saving": float(savings[position]),
        }
        for loss, table in sweep.losses.items():
            lost = table.losses[:, position]
            row[f"risk_{loss}"] = float((lost if bound is None else np.minimum(lost, bound)).mean())
            if uppers is not None and loss in uppers:
                row[f"upper_{loss}"] = _known(uppers[loss][position])
        found.append(row)
    return found


def step_rows(sweep: HaltingSweep, names: Sequence[str], *, tau: float | int, kappa: float = KAPPA) -> list[Row]:
    """Return a row a step: what the halting head said, how well it knew, and what a map of just so many steps is worth.

    `q_*` are of the probability that more steps would not help, over all windows; `auroc` is how well a low q tells
    windows whose remaining gain is above kappa. `miou` is that of every window answered after this step: where it is
    the same after the first step as after the last, depth has collapsed, and stopping early saves nothing that a net of
    fewer steps would not save too.

    Args:
        sweep: All images.
        names: Of the classes, in order.
        tau: Threshold of `share_above_tau`.
        kappa: Gain above which a window should go on.
    """
    rows: list[Row] = []
    for number, one in enumerate(sweep.halting.statistics(tau=tau, kappa=kappa)):
        fixed = None if sweep.fixed is None else _miou(sweep.fixed[number], names)
        differing = [image.fixed[number] for image in sweep.sweeps]
        row: Row = {
            "step": one.step,
            "samples": one.samples,
            "q_mean": one.mean,
            "q_std": one.std,
            **{f"q_{round(100 * share):02d}": value for share, value in zip(QUANTILES, one.quantiles, strict=True)},
            "share_above_tau": one.share_above,
            "should_go_on": one.should_go_on,
            "auroc": one.auroc,
            "miou": fixed,
            "disagreement": float(np.mean([run.differing / run.pixels for run in differing])),
            "saving": float(sweep.fixed_savings[number]),
        }
        rows.append(row)
    return rows


def exit_rows(sweep: HaltingSweep) -> list[Row]:
    """Return a row a threshold: how many windows stop after each step."""
    return [
        {"tau": tau, **{f"step_{step}": int(count) for step, count in enumerate(counts.tolist(), 1)}}
        for tau, counts in zip(sweep.thresholds, sweep.exits, strict=True)
    ]


def image_rows(sweep: HaltingSweep, position: int) -> list[Row]:
    """Return a row an image at one threshold: `image, mean_steps` and each loss.

    Args:
        sweep: All images.
        position: Which threshold.
    """
    return [
        {
            "image": name,
            "mean_steps": float(sweep.mean_steps[number, position]),
            **{loss: float(table.losses[number, position]) for loss, table in sweep.losses.items()},
        }
        for number, name in enumerate(sweep.images)
    ]


def sweep_findings(
    sweep: HaltingSweep,
    names: Sequence[str],
    *,
    tau: float,
    loss: HaltingLoss,
    epsilon: float | None = None,
    bound: float | None = None,
    uppers: Sequence[float] | None = None,
    kappa: float = KAPPA,
) -> Row:
    """Return all that a page shows of a sweep, as plain JSON.

    Args:
        sweep: All images at all thresholds.
        names: Of the classes, in order.
        tau: The chosen threshold.
        loss: What is controlled.
        epsilon: Risk that is allowed; None where nothing was promised.
        bound: B.
        uppers: What the method bounds the risk of that loss by, one a threshold.
        kappa: Gain above which a window should go on.
    """
    return {
        "tau": tau,
        "loss": loss,
        "epsilon": epsilon,
        "bound": bound,
        "kappa": kappa,
        "images": len(sweep.images),
        "left_out": list(sweep.left_out),
        "thresholds": tau_rows(sweep, names, bound=bound, uppers=None if uppers is None else {loss: uppers}),
        "steps": step_rows(sweep, names, tau=tau, kappa=kappa),
        "exits": exit_rows(sweep),
    }


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, whole or not at all; what is None is left empty.

    Raises:
        StorageError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _miou(counts: Int64[np.ndarray, "class class"], names: Sequence[str]) -> float | None:
    return _known(Confusion(torch.from_numpy(counts)).scores(names).miou)


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
