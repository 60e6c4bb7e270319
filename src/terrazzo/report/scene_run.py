"""The parts of a map's page about how it came about: drift of its scene, time, and provenance."""

from collections.abc import Mapping

from terrazzo.data.distribution import QUANTILE_SHARES
from terrazzo.report.blocks import missing, section, table
from terrazzo.report.figures import bar
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import duration, percent, quantity, short
from terrazzo.scene.drift import BandDrift, DriftReport
from terrazzo.scene.summary import SceneSummary

__all__ = ["drift_section", "provenance_section", "timing_section"]

STAGES = {
    "probe": "reading a sample and trying the network",
    "check": "checking strips of an earlier start",
    "compute": "computing windows",
    "write": "joining strips and writing the files",
}
"""What the names of stages mean; others stand for themselves."""
MOST_UNREADABLE = 20
LOW, MIDDLE, HIGH = (QUANTILE_SHARES.index(share) for share in (0.05, 0.5, 0.95))


def drift_section(drift: DriftReport | None) -> Markup:
    """Return each band's values beside those of the training."""
    if drift is None:
        return section("Drift", missing("The scene's values were not compared with the training's."))
    if not drift.bands:
        return section("Drift", missing(f"{(drift.note or 'No band could be compared').capitalize()}."))
    note = (
        f"How far the scene's values lie from what the network was trained on, in standard deviations of the training; "
        f"from {quantity(drift.pixels)} pixels."
    )
    warning = tag("ul", tag("li", drift.warning), class_="warnings") if drift.warning else ""
    heads = ("band", "drift", "median here", "in training", "5 to 95 % here", "in training")
    return section(
        "Drift", tag("p", note, class_="note"), warning, table("Drift", heads, [_band(one) for one in drift.bands])
    )


def _band(one: BandDrift) -> Markup:
    spans = [f"{short(values[LOW])} to {short(values[HIGH])}" for values in (one.found, one.trained)]
    texts = [f"{one.drift:.2f}", short(one.found[MIDDLE]), short(one.trained[MIDDLE]), *spans]
    return tag("tr", tag("th", one.band, scope="row"), *(tag("td", text) for text in texts))


def timing_section(summary: SceneSummary) -> Markup:
    """Return the time of each stage, how busy the device was, and what was left out, resumed or unreadable."""
    rows = [_stage(name, seconds, summary.seconds) for name, seconds in summary.stage_seconds.items()]
    heads = [tag("th", "stage", scope="col"), tag("th", "time", scope="col"), tag("td")]
    chosen = summary.decisions
    facts = [
        ("all together", f"{duration(summary.seconds)}, {summary.pixels_per_second / 1e6:.3g} million pixels a second"),
        ("device", f"{chosen.device}, {chosen.computing}"),
        ("device at work", "nothing was computed" if summary.busy_share is None else percent(summary.busy_share)),
        ("batch", f"{chosen.batch_size} windows"),
        ("windows", f"{quantity(summary.windows)}, of which {quantity(summary.skipped_windows)} without data"),
        ("strips", f"{quantity(summary.strips)}, of which {quantity(summary.resumed_strips)} from an earlier start"),
    ]
    if summary.mean_steps is not None:
        facts.append(("steps of a window", f"{summary.mean_steps:.2f} in the mean"))
    listed = [tag("tr", tag("th", name, scope="row"), tag("td", text)) for name, text in facts]
    return section(
        "Timing",
        tag(
            "div",
            table("Time of each stage", heads, rows),
            table("Figures", (), listed, kind="facts"),
            class_="charts level",
        ),
        *_unreadable(summary),
    )


def _stage(name: str, seconds: float, total: float) -> Markup:
    share = seconds / total if total > 0 else None
    head = tag("th", STAGES.get(name, name), scope="row")
    return tag("tr", head, tag("td", duration(seconds)), tag("td", bar(share)))


def _unreadable(summary: SceneSummary) -> list[Markup]:
    if not summary.unreadable:
        return []
    told = f"{len(summary.unreadable)} parts of the scene could not be read; they are without data in the map."
    rows = [
        tag("tr", tag("th", reason, scope="row"), *(tag("td", quantity(value)) for value in (y, x, height, width)))
        for y, x, height, width, reason in summary.unreadable[:MOST_UNREADABLE]
    ]
    left = len(summary.unreadable) - len(rows)
    more = [tag("p", f"And {left} more.", class_="note")] if left > 0 else []
    heads = ("reason", "row", "column", "height", "width")
    return [tag("h4", "Unreadable parts"), tag("p", told, class_="note"), table("Unreadable", heads, rows), *more]


def provenance_section(provenance: Mapping[str, str]) -> Markup:
    """Return how the map came about, as its file's tags say it."""
    if not provenance:
        return section("Provenance", missing("Nothing is known of how the map came about."))
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", text)) for name, text in provenance.items()]
    note = tag("p", "The same stands in the tags of the map's file.", class_="note")
    return section("Provenance", note, table("Provenance", (), rows, kind="facts"))
