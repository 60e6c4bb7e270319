"""What the model learned from: warnings, class shares by split, bands and their statistics."""

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.contents import RunContents
from terrazzo.report.data_page import findings_part, map_part, samples_part
from terrazzo.report.facts import BandFacts, DataFacts
from terrazzo.report.figures import bar, swatch
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import percent, quantity, short

__all__ = ["data_section"]


def data_section(run: RunContents) -> Markup:
    """Return warnings, findings, the map of splits, class shares by split, samples of classes, and bands."""
    data = run.data
    checked = [*findings_part(run), *map_part(run)]
    if data is None:
        gap = missing("Nothing is known about the data: the run folder has no data.json.")
        return section("Data", *checked, gap, *samples_part(run))
    listed = tag("ul", *(tag("li", warning) for warning in data.warnings), class_="warnings")
    return section(
        "Data",
        tag("h4", "Warnings"),
        listed if data.warnings else tag("p", "None.", class_="note"),
        *checked,
        tag("h4", "Class shares of labelled pixels by split"),
        _shares(data) if data.pixels else missing("data.json holds no pixel counts of these classes."),
        *samples_part(run),
        tag("h4", "Bands and normalisation"),
        tag("p", _grid(data), class_="note"),
        _bands(data.bands) if data.bands else missing("data.json names no bands."),
    )


def _shares(data: DataFacts) -> Markup:
    heads = [tag("th", "class", scope="col")]
    for split in data.pixels:
        heads += [tag("th", split, scope="col"), tag("td")]
    rows = []
    for index, entry in enumerate(data.classes):
        cells = [tag("th", swatch(entry.colour), entry.name, scope="row")]
        for counts in data.pixels.values():
            share = counts[index] / sum(counts) if sum(counts) else None
            cells += [tag("td", _exact_percent(share)), tag("td", bar(share, entry.colour))]
        rows.append(tag("tr", *cells))
    for title, values in data.counts.items():
        if any(values.values()):
            cells = [cell for split in data.pixels for cell in (tag("td", quantity(values.get(split))), tag("td"))]
            rows.append(tag("tr", tag("th", title, scope="row"), *cells, class_="total"))
    return table("Class shares by split", heads, rows)


def _exact_percent(share: float | None) -> str:
    """Return a share with one decimal: rare classes matter here."""
    if share is None or share == 0:
        return percent(share)
    return "<0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _grid(data: DataFacts) -> str:
    told = ["Values are normalised as (raw value - mean) / deviation, both measured on the training pixels."]
    if data.patch_size is not None:
        told.append(f"Patches are {data.patch_size:g} x {data.patch_size:g} pixels.")
    if data.resolution_m is not None:
        told.append(f"A pixel is {data.resolution_m:.4g} m wide.")
    return " ".join(told)


def _bands(bands: tuple[BandFacts, ...]) -> Markup:
    heads = ("band", "type", "unit", "nodata", "mean", "deviation")
    return table("Bands", heads, [_band_row(band) for band in bands])


def _band_row(band: BandFacts) -> Markup:
    figures = ["–" if value is None else short(value) for value in (band.nodata, band.mean, band.deviation)]
    cells = [tag("td", text) for text in (band.dtype or "–", band.unit or "–", *figures)]
    return tag("tr", tag("th", band.name, scope="row"), *cells)
