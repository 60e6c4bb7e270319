"""One self-contained HTML page for a map: what it shows, how sure it is of it, and whether its windows agree."""

from collections.abc import Mapping
from pathlib import Path

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.document import contents, document
from terrazzo.report.figures import bar, swatch
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.pictures import embedded
from terrazzo.report.scene_figures import bars, heat_picture
from terrazzo.report.scene_run import drift_section, provenance_section, timing_section
from terrazzo.report.scene_windows import windows_section
from terrazzo.report.words import area, duration, fine_percent, percent, quantity
from terrazzo.scene.quality import ClassQuality, SceneQuality
from terrazzo.scene.summary import SceneSummary
from terrazzo.storage import write_text

__all__ = ["render_scene", "write_scene_page"]


def write_scene_page(
    path: Path,
    summary: SceneSummary,
    quality: SceneQuality,
    *,
    quick_look: Path | None = None,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write the page of a map.

    Args:
        path: Where to.
        summary: What mapping came to.
        quality: What the map says of itself.
        quick_look: Picture of the map as PNG; None where none was made.
        provenance: How the map came about, as its file's tags say.

    Raises:
        StorageError: The page cannot be written.
    """
    write_text(path, render_scene(summary, quality, quick_look=quick_look, provenance=provenance))


def render_scene(
    summary: SceneSummary,
    quality: SceneQuality,
    *,
    quick_look: Path | None = None,
    provenance: Mapping[str, str] | None = None,
) -> str:
    """Return the page's HTML; parameters as of `write_scene_page`."""
    steps = [("Steps", _steps_section(quality))] if quality.steps is not None else []
    sections = [
        ("Map", _map_section(quality, quick_look)),
        ("Confidence", _confidence_section(quality)),
        *steps,
        ("Windows", windows_section(quality)),
        ("Drift", drift_section(quality.drift)),
        ("Timing", timing_section(summary)),
        ("Provenance", provenance_section(provenance or {})),
    ]
    listed = [tag("li", warning) for warning in summary.warnings]
    warnings = tag("ul", *listed, class_="warnings") if listed else ""
    links = contents([title for title, _ in sections])
    parts = [_header(summary, quality), links, warnings, *(part for _, part in sections)]
    return document(f"{summary.out.name} · Terrazzo", *parts)


def _header(summary: SceneSummary, quality: SceneQuality) -> Markup:
    known = [one.hectares for one in quality.classes if one.hectares is not None]
    tiles: list[tuple[str, str]] = [
        ("mapped", area(sum(known)) if known else f"{quantity(sum(one.pixels for one in quality.classes))} pixels"),
        ("without data", percent(quality.nodata_share)),
    ]
    if quality.confidence is not None:
        tiles.append(("mean confidence", percent(quality.confidence.mean)))
    if quality.disagreement.share is not None:
        tiles.append(("windows disagree", fine_percent(quality.disagreement.share)))
    ratio = quality.seams.classes.ratio
    if ratio is not None:
        tiles.append(("seam energy", join([f"{ratio:.2f}", " ", tag("small", "1 is unseen")])))
    tiles.append(("time", duration(summary.seconds)))
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles]
    subject = (
        f"{quantity(summary.height)} x {quantity(summary.width)} pixels of {summary.scene}, in "
        f"{quantity(summary.windows)} windows of {quality.window[0]} x {quality.window[1]}"
    )
    return tag(
        "header",
        tag("p", "Terrazzo map", class_="kind"),
        tag("h1", summary.out.name),
        tag("p", subject, class_="subject"),
        tag("dl", *cells, class_="tiles"),
    )


def _map_section(quality: SceneQuality, quick_look: Path | None) -> Markup:
    shown: list[Markup] = []
    if quick_look is not None:
        shown, _ = embedded([quick_look], ["The map, each class in its colour; blank is without data."])
    picture = tag("div", *shown, class_="quick-look") if shown else missing("There is no quick look of this map.")
    return section("Map", picture, tag("h4", "Classes"), _legend(quality))


def _legend(quality: SceneQuality) -> Markup:
    confident = quality.confidence is not None
    heads = [
        tag("th", "class", scope="col"), tag("th", "share", scope="col"), tag("td"), tag("th", "area", scope="col"),
        tag("th", "pixels", scope="col"),
    ]  # fmt: skip
    if confident:
        heads.append(tag("th", "confidence", scope="col"))
    ordered = sorted(quality.classes, key=lambda one: -one.pixels)
    return table("Classes", heads, [_class_row(one, confident=confident) for one in ordered])


def _class_row(one: ClassQuality, *, confident: bool) -> Markup:
    share = "–" if one.share is None else fine_percent(one.share)
    cells = [tag("td", share), tag("td", bar(one.share, one.colour)), tag("td", area(one.hectares))]
    cells.append(tag("td", quantity(one.pixels)))
    if confident:
        cells.append(tag("td", "–" if one.confidence is None else percent(one.confidence)))
    return tag("tr", tag("th", swatch(one.colour), one.name, scope="row"), *cells)


def _confidence_section(quality: SceneQuality) -> Markup:
    found = quality.confidence
    if found is None:
        return section(
            "Confidence", missing("The map has no layer of confidence; predict.layers=[confidence] adds it.")
        )
    picture = heat_picture("Where the network is sure", found.map.values, low=0.0, high=1.0, labels=("0 %", "100 %"))
    histogram = bars("Pixels by confidence", found.histogram, (0.0, 1.0), axis="probability of the chosen class")
    note = tag(
        "p", f"Probability of the chosen class, from {quantity(quality.looked_at)} pixels; blank is without data.",
        class_="note",
    )  # fmt: skip
    return section("Confidence", note, tag("div", picture, histogram, class_="charts level"))


def _steps_section(quality: SceneQuality) -> Markup:
    found = quality.steps
    if found is None or found.mean is None:
        return section("Steps", missing("No step was taken: nothing was measured."))
    most = max(steps for steps, _ in found.histogram)
    whole = [0] * (int(most + 0.5) + 1)
    for steps, count in found.histogram:
        whole[int(steps + 0.5)] += count
    picture = heat_picture(
        "Where it took many steps", found.map.values, low=0.0, high=most, labels=("0 steps", f"{most:g} steps")
    )
    chart = bars("Pixels by steps", whole, (-0.5, len(whole) - 0.5), axis="steps, rounded")
    note = tag("p", f"{found.mean:.2f} steps a pixel in the mean.", class_="note")
    return section("Steps", note, tag("div", picture, chart, class_="charts level"))
