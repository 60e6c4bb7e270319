"""What the model learned from: warnings, class shares by split, bands and their statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

from terrazzo.report.blocks import missing, section
from terrazzo.report.contents import RunContents, number
from terrazzo.report.figures import bar, swatch
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import percent, quantity, short

__all__ = ["data_section"]


def data_section(run: RunContents) -> Markup:
    """Return class shares by split, bands and warnings."""
    data = run.data
    if not data:
        return section("Data", missing("Nothing is known about the data: the run folder has no data.json."))
    warnings = [str(warning) for warning in data.get("warnings", [])]
    listed = tag("ul", *(tag("li", warning) for warning in warnings), class_="warnings")
    return section(
        "Data",
        tag("h4", "Warnings"),
        listed if warnings else tag("p", "None.", class_="note"),
        tag("h4", "Class shares by split"),
        tag("div", _shares(data), class_="scroll"),
        tag("h4", "Bands"),
        tag("div", _bands(data), class_="scroll"),
    )


def _shares(data: Mapping[str, Any]) -> Markup:
    counts: Mapping[str, Sequence[int]] = data.get("pixel_counts", {})
    heads = [tag("th", "class", scope="col")]
    heads += [tag("th", split, scope="col", colspan="2") for split in counts]
    rows = []
    for index, entry in enumerate(data.get("classes", [])):
        cells = [tag("th", swatch(entry.get("colour", (128, 128, 128))), str(entry["name"]), scope="row")]
        for split in counts:
            total = sum(counts[split])
            share = counts[split][index] / total if total else None
            cells += [tag("td", _exact_percent(share)), tag("td", bar(share))]
        rows.append(tag("tr", *cells))
    for title, key in (("ignored pixels", "ignored_counts"), ("images", "images"), ("patches", "patches")):
        values: Mapping[str, Any] = data.get(key, {})
        if values:
            cells = [tag("td", quantity(number(values.get(split))), colspan="2") for split in counts]
            rows.append(tag("tr", tag("th", title, scope="row"), *cells, class_="total"))
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="figures")


def _exact_percent(share: float | None) -> str:
    """Shares with one decimal: rare classes matter here."""
    return percent(share) if share is None or 0 < share < 0.001 else f"{100 * share:.1f} %"


def _bands(data: Mapping[str, Any]) -> Markup:
    normalisation: Mapping[str, Sequence[float]] = data.get("normalisation") or {}
    means, deviations = normalisation.get("mean", ()), normalisation.get("std", ())
    rows = []
    for index, band in enumerate(data.get("bands", [])):
        name = str(band["name"]) if isinstance(band, Mapping) else str(band)
        cells = [tag("td", short(values[index]) if index < len(values) else "–") for values in (means, deviations)]
        rows.append(tag("tr", tag("th", name, scope="row"), *cells))
    heads = [tag("th", title, scope="col") for title in ("band", "training mean", "deviation")]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="figures")
