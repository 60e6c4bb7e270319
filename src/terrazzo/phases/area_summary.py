"""What `areas estimate` returns: estimates by class, in every unit a reader may want."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.assessment.area_references import References
from terrazzo.assessment.area_strata import Strata, Unit
from terrazzo.calibration.areas import AreaEstimates, Figures
from terrazzo.phases.summary import Summary

__all__ = ["AreasSummary", "summarise"]

_M2 = {"m2": 1.0, "ha": 1e-4, "km2": 1e-6}


@dataclass(frozen=True, kw_only=True)
class AreasSummary(Summary):
    """Estimated areas and accuracies.

    Attributes:
        source: The sample file, or the evaluated split's folder.
        basis: `sample` or `split`.
        caveat: Why the figures may not hold; None for a sample.
        unit: What areas count, `m2` or `pixels`.
        level: Confidence level of the intervals.
        points: Labelled points, or labelled pixels of a split.
        unfilled: Points without a reference class.
        total: Area that the estimates are about, by unit.
        overall: Overall accuracy: value, standard_error, low, high.
        classes: A row a class: mapped and adjusted area, intervals, accuracies, points.
        shares: Error matrix of shares of the area; rows map, columns reference.
        counts: Error matrix of points.
        notes: What a reader should know.
        report: The page to look at.
    """

    source: Path
    basis: str
    caveat: str | None
    unit: str
    level: float
    points: int
    unfilled: int
    total: Mapping[str, float]
    overall: Mapping[str, float]
    classes: tuple[Mapping[str, Any], ...]
    shares: list[list[float]]
    counts: list[list[int]]
    notes: tuple[str, ...]
    report: Path

    def told(self) -> dict[str, object]:
        """Return what a reader at a terminal wants to know."""
        unit = "ha" if self.unit == "m2" else "pixels"
        rows = [
            {
                "class": row["name"],
                f"mapped {unit}": row["mapped"][unit],
                f"adjusted {unit}": row["adjusted"][unit],
                "±": row["margin"][unit],
                "user's": _with_margin(row["user"]),
                "producer's": _with_margin(row["producer"]),
                "points": row["points"],
            }
            for row in self.classes
        ]
        told: dict[str, object] = {"folder": str(self.folder), "seconds": self.seconds}
        if self.caveat:
            told["caveat"] = self.caveat
        told |= {
            "level": f"{100 * self.level:g} %",
            "overall accuracy": _with_margin(self.overall),
            "points": self.points,
            "unfilled": self.unfilled,
            "report": str(self.report),
        }
        told |= {f"note {number}": note for number, note in enumerate(self.notes, 1)}
        return {**told, "areas": rows}


def summarise(
    found: AreaEstimates,
    references: References,
    strata: Strata,
    notes: tuple[str, ...],
    caveat: str | None,
    folder: Path,
    source: Path,
    seconds: float,
) -> AreasSummary:
    """Return estimates by class and unit.

    Args:
        found: Estimates.
        references: What they are made from.
        strata: What they are about.
        notes: What a reader should know.
        caveat: Why the figures may not hold; None for a sample.
        folder: Where the results lie.
        source: Where the references are from.
        seconds: Wall time.
    """
    legend = strata.legend
    rows = []
    for k, name in enumerate(references.names):
        own = k < len(legend.names)
        rows.append(
            {
                "name": name,
                "value": legend.values[k] if own else None,
                "colour": list(legend.colours[k]) if own and legend.colours else None,
                "points": int(references.counts[k].sum()),
                "unfilled": int(references.unfilled[k]),
                "found": int(references.counts[:, k].sum()),
                "mapped": _by_unit(found.mapped[k], strata.unit),
                "adjusted": _by_unit(found.areas.value[k], strata.unit),
                "standard_error": _by_unit(found.areas.error[k], strata.unit),
                "margin": _by_unit(found.areas.margin[k], strata.unit),
                "low": _by_unit(found.areas.low[k], strata.unit),
                "high": _by_unit(found.areas.high[k], strata.unit),
                "user": _figure(found.user, k),
                "producer": _figure(found.producer, k),
            }
        )
    return AreasSummary(
        folder=folder,
        seconds=seconds,
        source=source,
        basis="sample" if caveat is None else "split",
        caveat=caveat,
        unit=strata.unit,
        level=found.level,
        points=int(references.counts.sum()),
        unfilled=int(references.unfilled.sum()),
        total=_by_unit(found.total, strata.unit),
        overall=_figure(found.overall, 0),
        classes=tuple(rows),
        shares=found.shares.tolist(),
        counts=references.counts.tolist(),
        notes=notes,
        report=folder / "report.html",
    )


def _by_unit(value: float, unit: Unit) -> dict[str, float]:
    factors = _M2 if unit == "m2" else {"pixels": 1.0}
    return {name: float(value) * factor for name, factor in factors.items()}


def _figure(figures: Figures, place: int) -> dict[str, float]:
    return {
        "value": float(figures.value[place]),
        "standard_error": float(figures.error[place]),
        "margin": float(figures.margin[place]),
        "low": float(figures.low[place]),
        "high": float(figures.high[place]),
    }


def _with_margin(figure: Mapping[str, Any]) -> str:
    """Return an accuracy and half its interval."""
    value, margin = (math.nan if figure[key] is None else figure[key] for key in ("value", "margin"))
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f} ± {margin:.3f}" if math.isfinite(margin) else f"{value:.3f}"
