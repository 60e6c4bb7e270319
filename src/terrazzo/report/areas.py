"""Areas of classes, mapped and as a sample of reference labels adjusts them, with their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.errors import StorageError
from terrazzo.report.blocks import missing, section, table
from terrazzo.report.document import contents, document
from terrazzo.report.figures import css, swatch, tick_labels, ticks
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.words import fine_percent, quantity
from terrazzo.storage import read_json, write_text

__all__ = ["AREAS_PATH", "areas_part", "areas_section", "write_areas_page"]

AREAS_PATH = Path("areas", "summary.json")
"""Where a run folder keeps its areas."""
WIDTH, HEIGHT, AXIS = 380.0, 38.0, 34.0
LEFT, RIGHT = 8.0, 26.0
"""Room beside the bars, for the ends of whiskers and for half of the axis's last label."""
COUNTS_UP_TO = 8
"""Most classes whose counts stand inside the cells of the error matrix."""
STRONG = 0.68
"""As of the confusion matrix: from this share on the text changes its colour."""
_UNITS = (("m2", "m²", 1e5), ("ha", "ha", 1e5), ("km2", "km²", math.inf), ("pixels", "pixels", math.inf))
"""Units, how they are written, and the largest value that reads well in each."""


@dataclass(frozen=True)
class _Row:
    """A class.

    Attributes:
        name: The class.
        colour: CSS colour of its adjusted bar.
        swatch: The same as red, green, blue; None where the maps have no palette.
        mapped: Area on the map.
        adjusted: Estimated area.
        low: Lower end of its interval; None where there is none.
        high: Upper end.
        margin: Half its width before it was cut at 0.
        user: User's accuracy and half its interval.
        producer: Producer's accuracy and half its interval.
        points: Labelled points mapped as it.
        found: Points found to be it.
    """

    name: str
    colour: str
    swatch: tuple[int, int, int] | None
    mapped: float
    adjusted: float
    low: float | None
    high: float | None
    margin: float | None
    user: tuple[float | None, float | None]
    producer: tuple[float | None, float | None]
    points: int
    found: int


def write_areas_page(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the page of estimated areas.

    Args:
        path: Where to.
        summary: As `terrazzo areas estimate` keeps it in `summary.json`.

    Raises:
        StorageError: The page cannot be written.
    """
    header = tag(
        "header",
        tag("p", "Terrazzo areas", class_="kind"),
        tag("h1", Path(str(summary["source"])).name),
        tag("p", _subject(summary), class_="subject"),
        tag("dl", *_tiles(summary), class_="tiles"),
    )
    page = document(
        f"Areas of {Path(str(summary['source'])).name} · Terrazzo",
        header,
        contents(["Areas", "Accuracy", "Errors"]),
        areas_section(summary),
        _accuracy_section(summary),
        _matrix_section(summary),
    )
    write_text(path, page)


def areas_part(run_folder: Path) -> Markup:
    """Return the section on areas of a run's page, or what is missing for it."""
    path = run_folder / AREAS_PATH
    if not path.is_file():
        return section("Areas", missing("No areas have been estimated; `terrazzo areas estimate` on this run does."))
    try:
        return areas_section(read_json(path))
    except (StorageError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return section("Areas", missing(f"{path} is damaged ({error}); estimate the areas again."))


def areas_section(summary: Mapping[str, Any]) -> Markup:
    """Return mapped and adjusted areas as bars with whiskers and in figures, with all that limits them.

    Args:
        summary: As `terrazzo areas estimate` keeps it.
    """
    unit, sign = _unit(summary)
    rows = [_row(entry, unit) for entry in summary["classes"]]
    parts: list[Markup] = []
    warnings = [tag("li", text) for text in (summary["caveat"], *summary["notes"]) if text]
    if warnings:
        parts.append(tag("ul", *warnings, class_="warnings"))
    level = f"{100 * summary['level']:g} %"
    note = (
        f"Upper bar, grey: as mapped. Lower bar: adjusted by the errors that the reference shows, with its {level} "
        f"interval. Areas in {sign}."
    )
    parts.append(tag("p", note, class_="note"))
    heads = (
        tag("th", "class", scope="col"), tag("td"), tag("th", f"mapped, {sign}", scope="col"),
        tag("th", f"adjusted, {sign}", scope="col"), tag("th", f"{level} interval", scope="col"),
    )  # fmt: skip
    highest = max([1e-12, *(value for row in rows for value in (row.mapped, row.adjusted, row.high or 0.0))])
    drawn = [_area_row(row, highest, sign) for row in rows]
    axis = tag("tr", tag("th"), tag("td", _axis(highest, sign)), tag("td"), tag("td"), tag("td"), class_="total")
    parts.append(table(f"Areas mapped and adjusted, in {sign}", heads, [*drawn, axis]))
    return section("Areas", *parts)


def _subject(summary: Mapping[str, Any]) -> str:
    if summary["basis"] == "split":
        return f"From {quantity(summary['points'])} labelled pixels of an evaluated split"
    left = f", {quantity(summary['unfilled'])} more are unfilled" if summary["unfilled"] else ""
    return f"From {quantity(summary['points'])} labelled points of a stratified random sample{left}"


def _tiles(summary: Mapping[str, Any]) -> list[Markup]:
    unit, sign = _unit(summary)
    overall = summary["overall"]
    tiles = [
        ("overall accuracy", _accuracy((overall["value"], overall["margin"]))),
        ("area", f"{_amount(summary['total'][unit])} {sign}"),
        ("classes", quantity(len(summary["classes"]))),
        ("confidence level", f"{100 * summary['level']:g} %"),
    ]
    return [tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles]


def _unit(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Return the unit in which the largest class reads well, and how it is written."""
    found = ("pixels", "pixels")
    for unit, sign, largest in _UNITS:
        if unit in summary["total"]:
            found = unit, sign
            values = [row[name][unit] for row in summary["classes"] for name in ("mapped", "adjusted")]
            if max(values, default=0.0) < largest:
                break
    return found


def _row(entry: Mapping[str, Any], unit: str) -> _Row:
    colour = None if entry["colour"] is None else (*map(int, entry["colour"]),)
    painted = colour if colour is not None and len(colour) == 3 else None
    return _Row(
        name=str(entry["name"]),
        colour="var(--first)" if painted is None else css(painted),
        swatch=painted,
        mapped=entry["mapped"][unit],
        adjusted=entry["adjusted"][unit],
        low=entry["low"][unit],
        high=entry["high"][unit],
        margin=entry["margin"][unit],
        user=(entry["user"]["value"], entry["user"]["margin"]),
        producer=(entry["producer"]["value"], entry["producer"]["margin"]),
        points=entry["points"],
        found=entry["found"],
    )


def _area_row(row: _Row, highest: float, sign: str) -> Markup:
    mapped, adjusted, margin, low, high = _amounts(
        (row.mapped, row.adjusted, row.margin, row.low, row.high), row.margin
    )
    interval = "–" if row.low is None or row.high is None else f"{low} to {high}"
    return tag(
        "tr",
        _name(row),
        tag("td", _bars(row, highest, sign)),
        tag("td", mapped),
        tag("td", adjusted if row.margin is None else f"{adjusted} ± {margin}"),
        tag("td", interval),
    )


def _name(row: _Row) -> Markup:
    return tag("th", swatch(row.swatch) if row.swatch else "", row.name, scope="row")


def _bars(row: _Row, highest: float, sign: str) -> Markup:
    """Return a class's two bars; the page's scroll box holds them, so that no name or label can meet them."""
    told = f"{row.name}: mapped {_amount(row.mapped)} {sign}, adjusted {_amount(row.adjusted)} {sign}"
    if row.low is not None and row.high is not None:
        told += f", between {_amount(row.low)} and {_amount(row.high)} {sign}"
    parts = [tag("title", told), *_grid(highest, HEIGHT)]
    parts.append(_bar(5.0, row.mapped, highest, "var(--quiet)", opacity=0.45))
    parts.append(_bar(20.0, row.adjusted, highest, row.colour, opacity=1.0))
    if row.low is not None and row.high is not None:
        low, high = _x(row.low, highest), _x(row.high, highest)
        for width, colour in ((4.5, "var(--surface)"), (1.6, "var(--ink)")):
            style = f"stroke:{colour};stroke-width:{width}"
            parts.append(tag("line", x1=low, x2=high, y1=26.5, y2=26.5, style=style))
            parts += [tag("line", x1=end, x2=end, y1=22, y2=31, style=style) for end in (low, high)]
    return _drawing(parts, HEIGHT, told)


def _bar(top: float, value: float, highest: float, colour: str, *, opacity: float) -> Markup:
    style = f"fill:{colour};fill-opacity:{opacity};stroke:var(--quiet);stroke-width:.6"
    return tag("rect", x=LEFT, y=top, width=_x(value, highest) - LEFT, height=13, style=style)


def _axis(highest: float, sign: str) -> Markup:
    values = _ticks(highest)
    style = "fill:var(--quiet);font-size:11px;font-variant-numeric:tabular-nums"
    parts = [
        tag("text", label, x=_x(value, highest), y=12, text_anchor="middle" if value else "start", style=style)
        for value, label in zip(values, _labels(values), strict=True)
    ]
    parts.append(tag("text", sign, x=WIDTH / 2, y=27, text_anchor="middle", style=style))
    return _drawing(parts, AXIS, f"axis of areas in {sign}, 0 to {_amount(values[-1])}")


def _labels(values: Sequence[float]) -> list[str]:
    """Return an axis's labels: large whole numbers in groups of three."""
    whole = all(value == int(value) for value in values)
    return [quantity(value) for value in values] if whole else tick_labels(values)


def _grid(highest: float, height: float) -> list[Markup]:
    return [
        tag("line", x1=_x(value, highest), x2=_x(value, highest), y1=0, y2=height, class_="grid")
        for value in _ticks(highest)
    ]


def _ticks(highest: float) -> list[float]:
    return ticks(0.0, highest, count=4)


def _x(value: float, highest: float) -> float:
    return LEFT + min(max(value / highest, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def _drawing(parts: Sequence[Markup], height: float, told: str) -> Markup:
    return tag(
        "svg", *parts, viewBox=f"0 0 {WIDTH:g} {height:g}", width=WIDTH, height=height, role="img", aria_label=told,
        style="display:block",
    )  # fmt: skip


def _amount(value: float | None) -> str:
    """Return an area with four digits that count.

    >>> _amount(235086.2), _amount(12.3456), _amount(0.0), _amount(None)
    ('235 086', '12.35', '0', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return quantity(value) if value == 0 or abs(value) >= 1000 else f"{value:.4g}"


def _amounts(values: Sequence[float | None], margin: float | None) -> list[str]:
    """Return areas with as many decimals as two digits of their margin need, since more say nothing.

    >>> _amounts((5.7259, 0.72648, 4.9994), 0.72648), _amounts((21157.8, None), 6157.5), _amounts((0.25,), None)
    (['5.73', '0.73', '5.00'], ['21 158', '–'], ['0.25'])
    """
    if not margin or not math.isfinite(margin):
        return [_amount(value) for value in values]
    decimals = max(0, 1 - math.floor(math.log10(margin)))
    return ["–" if value is None else f"{value:,.{decimals}f}".replace(",", " ") for value in values]


def _accuracy(figure: tuple[float | None, float | None]) -> str:
    """Return an accuracy and half its interval.

    >>> _accuracy((0.94651, 0.01848)), _accuracy((0.5, None)), _accuracy((None, None))
    ('0.947 ± 0.018', '0.500', '–')
    """
    value, margin = figure
    if value is None:
        return "–"
    return f"{value:.3f}" if margin is None else f"{value:.3f} ± {margin:.3f}"


def _accuracy_section(summary: Mapping[str, Any]) -> Markup:
    unit, _ = _unit(summary)
    split = summary["basis"] == "split"
    counted = "pixels" if split else "points"
    heads = ("class", "user's accuracy", "producer's accuracy", f"{counted} mapped as it", f"{counted} found to be it")
    rows = [
        tag(
            "tr",
            _name(row),
            tag("td", _accuracy(row.user)),
            tag("td", _accuracy(row.producer)),
            tag("td", quantity(row.points)),
            tag("td", quantity(row.found)),
        )
        for row in (_row(entry, unit) for entry in summary["classes"])
    ]
    told = (
        "User's accuracy: of what is mapped as a class, the share of the area that is that class. Producer's accuracy: "
        f"of what is a class, the share that is mapped as it. Each with half its {100 * summary['level']:g} % interval."
    )
    return section("Accuracy", tag("p", told, class_="note"), table("Accuracies by class", heads, rows))


def _matrix_section(summary: Mapping[str, Any]) -> Markup:
    names = [str(entry["name"]) for entry in summary["classes"]]
    inside = len(names) <= COUNTS_UP_TO
    counted = "pixels" if summary["basis"] == "split" else "points"
    corner = tag("th", "map ↓ reference →", class_="corner", scope="col")
    heads = [corner, *(tag("th", tag("span", name), class_="upright", scope="col") for name in names)]
    rows = []
    for name, shares, counts in zip(names, summary["shares"], summary["counts"], strict=True):
        total = sum(shares)
        cells = []
        for other, share, count in zip(names, shares, counts, strict=True):
            heat = share / total if total else 0.0
            text = fine_percent(share)
            figures = [tag("b", text if inside else text.removesuffix(" %"))]
            if inside:
                figures.append(tag("small", quantity(count)))
            cells.append(
                tag(
                    "td", *figures, class_="heat strong" if heat > STRONG else "heat",
                    style=f"--share:{100 * heat:.1f}%",
                    title=f"mapped {name}, reference {other}: {text} of the area, {quantity(count)} {counted}",
                )
            )  # fmt: skip
        rows.append(tag("tr", tag("th", name, scope="row"), *cells))
    caption = "Estimated share of the area in each pair of classes: rows are the map, columns the reference"
    below = f" and {counted}" if inside else ""
    note = tag("p", f"Per cent of the whole area{below}; rows are the map, columns the reference.", class_="note")
    shown = table(caption, heads, rows, kind="confusion" if inside else "confusion dense")
    return section("Errors", join([note, shown]))
