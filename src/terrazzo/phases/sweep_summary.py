"""What `sweep` returns and writes: `sweep.json`, `results.csv` and the page, made anew from the trials' own folders."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.phases.summary import Summary, plain
from terrazzo.report.sweep_page import write_sweep_page
from terrazzo.storage import write_json, write_text
from terrazzo.sweep.groups import TRAINING, shown
from terrazzo.sweep.outcome import outcome
from terrazzo.sweep.trial import Finished, Trial

__all__ = ["RESULTS_FILE", "SWEEP_SUMMARY_FILE", "SweepSummary", "summarise"]

SWEEP_SUMMARY_FILE = "sweep.json"
RESULTS_FILE = "results.csv"
_MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class SweepSummary(Summary):
    """What a sweep came to.

    Attributes:
        outcome: Everything, as `terrazzo.sweep.outcome.outcome` gives it; the same stands in `sweep.json`.
        results: A table with a row for each trial.
        report: The page to look at.
    """

    outcome: Mapping[str, Any]
    results: Path
    report: Path

    @property
    def states(self) -> Mapping[str, int]:
        """How many trials are waiting, running, finished, failed and pruned."""
        states: Mapping[str, int] = self.outcome["states"]
        return states

    @property
    def best(self) -> str | None:
        """The best setting by the figure that settings are ordered by; None where none has finished."""
        return next(iter(self.outcome["ranked"]), None)

    def as_dict(self) -> dict[str, object]:
        """Return what stands in `sweep.json`, and where files lie."""
        return {
            **{key: plain(value) for key, value in self.outcome.items()},
            "seconds": self.seconds,
            "best": self.best,
            "results": str(self.results),
            "report": str(self.report),
        }

    def told(self) -> dict[str, object]:
        """Return what a reader at a terminal wants to know; the rest stands in the files and on the page."""
        states = ", ".join(f"{count} {state}" for state, count in self.states.items() if count)
        told: dict[str, object] = {
            "folder": str(self.folder),
            "seconds": self.seconds,
            "trials": states or "none",
        }
        ranking = self.outcome["ranking"]
        if self.best is not None:
            where = "training" if ranking["split"] == TRAINING else ranking["split"]
            told["best"] = f"{self.best} (by {ranking['figure']} of {where})"
        by_label = {one["label"]: one for one in self.outcome["settings"]}
        ranked = [by_label[label] for label in self.outcome["ranked"][:_MOST_LINES]]
        if ranked:
            told["settings"] = [self._setting_line(one) for one in ranked]
        known = [one for one in self.outcome["differences"] if one["refused"] or one["units"] > 1]
        differences = [self._difference_line(one) for one in known[:_MOST_LINES]]
        if differences:
            told["differences"] = differences
        ended_badly = [one for one in self.outcome["trials"] if one["state"] in {"failed", "pruned"}]
        if ended_badly:
            told["not finished"] = [
                {"trial": one["name"], "state": one["state"], "reason": _first_line(one["reason"])}
                for one in ended_badly[:_MOST_LINES]
            ]
        warnings = [f"{one['name']}: {problem}" for one in self.outcome["trials"] for problem in one["problems"]]
        return told | ({"warnings": warnings} if warnings else {}) | {"report": str(self.report)}

    def _setting_line(self, setting: Mapping[str, Any]) -> dict[str, object]:
        line: dict[str, object] = {"setting": setting["label"], "runs": f"{setting['finished']} of {setting['runs']}"}
        for split in (*self.outcome["splits"], *(() if self.outcome["splits"] else (TRAINING,))):
            figures = setting["figures"].get(split, {})
            name = self.outcome["figure"] if split != TRAINING else next(iter(figures), "")
            found = figures.get(name)
            line[f"{split} {name}"] = "-" if found is None else _with_deviation(found)
        return line

    def _difference_line(self, found: Mapping[str, Any]) -> dict[str, object]:
        pair = {"A": found["first"], "B": found["second"], "split": found["split"]}
        if found["refused"]:
            return {**pair, "A - B": f"not compared: {found['refused']}"}
        interval = "-" if found["low"] is None else f"{found['low']:+.4f} to {found['high']:+.4f}"
        p_value = "-" if found["p_holm"] is None else f"{found['p_holm']:.4f}"
        return {
            **pair,
            "A - B": f"{found['mean']:+.4f}",
            "95 % interval": interval,
            "p (Holm)": p_value,
            "wins": f"{found['wins']} of {found['pairs']}",
        }


def summarise(
    folder: Path, trials: Sequence[Trial], done: Sequence[Finished], *, seconds: float, figure: str = "miou"
) -> SweepSummary:
    """Read every trial of a sweep, and write its table, its machine-readable summary and its page.

    Args:
        folder: The sweep's.
        trials: All that are known, those that wait included.
        done: Those that have ended.
        seconds: Wall time of this start of the sweep.
        figure: What differences between settings are taken of: miou, accuracy, or `iou <class>`.

    Returns:
        The summary.

    Raises:
        StorageError: The files cannot be written.
    """
    found = outcome(folder, trials, done, seconds=seconds, figure=figure)
    write_text(folder / RESULTS_FILE, _table(found))
    write_json(folder / SWEEP_SUMMARY_FILE, plain(found))
    return SweepSummary(
        folder=folder,
        seconds=seconds,
        outcome=found,
        results=folder / RESULTS_FILE,
        report=write_sweep_page(folder),
    )


def _table(found: Mapping[str, Any]) -> str:
    """Return a table with a row for each trial, whatever became of it."""
    rows = found["trials"]
    keys = list(dict.fromkeys(key for row in rows for key in row["varied"]))
    figures = list(
        dict.fromkeys((split, name) for row in rows for split, values in row["figures"].items() for name in values)
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("number", "name", "state", *keys, "seconds", "epochs", "monitor", "best"),
            *(f"{split} {name}" for split, name in figures),
            "reason",
        ]
    )
    for row in rows:
        own = [row["figures"].get(split, {}).get(name) for split, name in figures]
        varied = [shown(row["varied"][key]) if key in row["varied"] else None for key in keys]
        writer.writerow(
            _cell(value)
            for value in (
                *(row["number"], row["name"], row["state"], *varied, row["seconds"], row["epochs"], row["monitor"]),
                *(row["best"], *own, row["reason"]),
            )
        )
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value


def _with_deviation(found: Mapping[str, Any]) -> str:
    """Return a mean with its standard deviation, where there are several runs."""
    if found["deviation"] is None:
        return f"{found['mean']:.4f}"
    return f"{found['mean']:.4f} ± {found['deviation']:.4f}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
