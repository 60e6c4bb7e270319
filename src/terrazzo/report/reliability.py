"""How far the probabilities of an evaluated split can be believed, as a part of a run's page.

It is made from `evaluate/<name>/reliability.json`, in which whatever is missing or null is said to be missing:

    {
      "images": 101,                  images with labelled pixels
      "boundary_width": 5,            pixels on each side of a border that count as near it
      "fitted_on_these": false,       true where calibration was fitted on these very images: the page warns
      "classes": [{"name": "forest", "colour": [0, 120, 0]}, ...],
      "before": {                     as the network answers
        "scores": Reliability.as_dict(),
        "boundary": Reliability.as_dict(),            of the pixels near a border
        "intervals": ReliabilityIntervals.as_dict(),
        "regions": [{"name": "Lyon", "images": 12,
                     "scores": Reliability.as_dict(), "intervals": ReliabilityIntervals.as_dict()}, ...]
      },
      "after": {...},                 the same, calibrated; null where nothing is
      "difference": ReliabilityIntervals.as_dict()    of reliability_differences(before, after); null likewise
    }

`Reliability` and the intervals are those of `terrazzo.calibration`. A region names the same place in `before` and
`after`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.figures import swatch
from terrazzo.report.html import Markup, tag
from terrazzo.report.reliability_facts import (
    EstimateFacts,
    GroupFacts,
    MeasuredFacts,
    ReliabilityFacts,
    reliability_facts,
)
from terrazzo.report.reliability_figures import (
    AFTER,
    BEFORE,
    class_diagram,
    diagram_legend,
    reliability_diagram,
    whisker_axis,
    whiskers,
)
from terrazzo.report.words import ABSENT, quantity

__all__ = ["reliability_block", "reliability_section"]

_ROWS = (
    ("ece", "ECE", "calibration error of the class shown, in 15 bins of equal width"),
    ("ace", "ACE", "the same in bins of equal mass"),
    ("classwise_ece", "class-wise ECE", "mean over classes of the error of each class's own probability"),
    ("classwise_ace", "class-wise ACE", "the same in bins of equal mass"),
    ("brier", "Brier score", "mean squared difference of probabilities and label"),
    ("nll", "NLL", "mean negative log-likelihood of the label, in nats"),
    ("accuracy", "accuracy", "share of pixels that are right"),
    ("confidence", "confidence", "mean probability of the class shown"),
)
_BOUNDARY_ROWS = ("ece", "nll", "accuracy", "confidence")
_READING = (
    "Of the pixels that are stated to be right with some probability, so many should be right: bars should end on the "
    "dotted line. Orange is what is missing where the network is too sure; green is what it has right beyond what it "
    "states. Pale bars hold less than 1 in 10,000 pixels."
)
_READING_CLASSES = (
    "Of the pixels that are given a class with some probability (rightwards, in per cent), so many should be of that "
    "class (upwards). Bins of less than 1 in 10,000 pixels are left out."
)


def reliability_section(contents: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup:
    """Return the part of the page about reliability.

    Args:
        contents: Name of each evaluated split, and its reliability.json.
    """
    if not contents:
        return section("Reliability", missing("No reliability has been measured; `terrazzo evaluate` adds it."))
    return section("Reliability", *(reliability_block(name, content) for name, content in contents))


def reliability_block(name: str, content: Mapping[str, Any]) -> Markup:
    """Return the reliability of one evaluated split.

    Args:
        name: Of the split.
        content: Its reliability.json.
    """
    facts = reliability_facts(content)
    ways = _ways(facts)
    if not ways:
        return tag("div", tag("h3", name), missing("Its reliability.json holds no scores."), class_="split")
    parts = [tag("h3", name), tag("p", _sentence(facts, ways), class_="note")]
    if facts.fitted_on_these:
        told = "Calibration was fitted on these very images, so what stands here is too good; judge it on others."
        parts.append(tag("ul", tag("li", told), class_="warnings"))
    diagrams = [reliability_diagram(_title(word, measured), measured.bins) for word, measured, _ in ways]
    parts += [_figure_table(name, facts, ways), tag("h4", "How often the class shown is right")]
    parts += [tag("p", _READING, class_="note"), tag("div", *diagrams, class_="charts level")]
    parts += _by_class(name, facts, ways)
    parts += _by_region(name, ways)
    return tag("div", *parts, class_="split")


_Ways = list[tuple[str, MeasuredFacts, str]]


def _ways(facts: ReliabilityFacts) -> _Ways:
    """Return word, measures and colour of each way to answer that was measured."""
    found = [("before calibration", facts.before, BEFORE), ("calibrated", facts.after, AFTER)]
    ways = [(word, measured, colour) for word, measured, colour in found if measured is not None]
    # A single one needs no word to be told apart, and wears the page's first colour.
    return [("as measured" if facts.after is None else ways[0][0], ways[0][1], AFTER)] if len(ways) == 1 else ways


def _sentence(facts: ReliabilityFacts, ways: _Ways) -> str:
    pixels = ways[0][1].figures["pixels"].value
    told = [] if facts.images is None else [f"{quantity(facts.images)} image{'' if facts.images == 1 else 's'}"]
    told.append(f"{quantity(pixels)} labelled pixels")
    if any(one.low is not None for _, measured, _ in ways for one in measured.figures.values()):
        told.append("intervals of 95 % from resampling whole images")
    return " · ".join(told)


def _title(word: str, measured: MeasuredFacts) -> str:
    return f"{word[0].upper()}{word[1:]}: ECE {_figure(measured.figures['ece'].value)}"


def _figure_table(name: str, facts: ReliabilityFacts, ways: _Ways) -> Markup:
    paired = len(ways) > 1
    heads = ["", *(word for word, _, _ in ways), *(["change"] if paired else [])]
    rows = []
    for key, title, meaning in _ROWS:
        if all(measured.figures[key].value is None for _, measured, _ in ways):
            continue
        cells = [_cell(measured.figures[key]) for _, measured, _ in ways]
        if paired:
            cells.append(_cell(facts.difference[key], signed=True))
        rows.append(tag("tr", tag("th", title, tag("small", meaning), scope="row"), *cells))
    width = "" if facts.boundary_width is None else f"{facts.boundary_width:g} "
    for key in _BOUNDARY_ROWS:
        if any(measured.boundary[key] is not None for _, measured, _ in ways):
            title = next(words for one, words, _ in _ROWS if one == key)
            near = tag("small", f"of pixels at most {width}pixels from another class")
            cells = [tag("td", _figure(measured.boundary[key])) for _, measured, _ in ways]
            rows.append(
                tag("tr", tag("th", f"{title} at borders", near, scope="row"), *cells, tag("td") if paired else "")
            )
    return table(f"Reliability on {name}", heads, rows, kind="figures reliability")


def _cell(one: EstimateFacts, *, signed: bool = False) -> Markup:
    if one.low is None or one.high is None:
        return tag("td", _figure(one.value, signed=signed) if one.value is not None or not signed else "")
    ends = f"{_figure(one.low, signed=signed)} to {_figure(one.high, signed=signed)}"
    return tag("td", _figure(one.value, signed=signed), tag("small", ends))


def _by_class(name: str, facts: ReliabilityFacts, ways: _Ways) -> list[Markup]:
    count = max(len(measured.classes) for _, measured, _ in ways)
    names = [*facts.classes, *((f"class {place}", (128, 128, 128)) for place in range(len(facts.classes), count))]
    if not count:
        return []
    columns = [
        [measured.classes[place] if place < len(measured.classes) else None for _, measured, _ in ways]
        for place in range(count)
    ]
    parts: list[Markup] = []
    if any(group is not None and group.bins for groups in columns for group in groups):
        charts = []
        for (word, colour), groups in zip(names, columns, strict=False):
            note = " → ".join(_figure(None if group is None else group.probability_ece) for group in groups)
            curves = [
                (way, () if group is None else group.bins, line)
                for (way, _, line), group in zip(ways, groups, strict=True)
            ]
            charts.append(class_diagram(word, colour, f"ECE {note}", curves))
        parts += [tag("h4", "How often each class is where its probability says so")]
        parts += [tag("p", _READING_CLASSES, class_="note")]
        if len(ways) > 1:
            parts.append(diagram_legend([(word, colour) for word, _, colour in ways]))
        parts.append(tag("div", *charts, class_="multiples"))
    heads = [(tag("th", swatch(colour), word, scope="row")) for word, colour in names[:count]]
    parts += [tag("h4", "ECE of the pixels of each label"), _whisker_table(name, "class", heads, columns, ways)]
    return parts


def _by_region(name: str, ways: _Ways) -> list[Markup]:
    regions = list(dict.fromkeys(region for _, measured, _ in ways for region in measured.regions))
    if not regions:
        return []
    columns = [[measured.regions.get(region) for _, measured, _ in ways] for region in regions]
    heads = [tag("th", region, scope="row") for region in regions]
    return [tag("h4", "ECE by region"), _whisker_table(name, "region", heads, columns, ways)]


def _whisker_table(
    name: str, kind: str, heads: Sequence[Markup], columns: Sequence[Sequence[GroupFacts | None]], ways: _Ways
) -> Markup:
    """Return a row for each group with its ECE drawn on a common scale, and in numbers."""
    ends = [
        value
        for groups in columns
        for group in groups
        if group is not None
        for value in (group.ece.value, group.ece.high)
        if value is not None
    ]
    highest = 1.04 * max(ends, default=0.0) or 1.0
    counted = any(group is not None and group.images is not None for groups in columns for group in groups)
    titles = [
        tag("th", kind, scope="col"),
        *([tag("th", "images", scope="col")] if counted else []),
        tag("th", "pixels", scope="col"),
        tag("td", whisker_axis(highest)),
        *(tag("th", _key(colour), word, scope="col") for word, _, colour in ways),
    ]
    rows = []
    for head, groups in zip(heads, columns, strict=True):
        known = next((group for group in groups if group is not None), None)
        points = [
            (EstimateFacts() if group is None else group.ece, colour)
            for group, (_, _, colour) in zip(groups, ways, strict=True)
        ]
        cells = [tag("td", quantity(None if known is None else known.images))] if counted else []
        cells.append(tag("td", quantity(None if known is None else known.pixels)))
        cells.append(tag("td", whiskers(points, highest)))
        cells += [_cell(one) for one, _ in points]
        rows.append(tag("tr", head, *cells))
    return table(f"ECE by {kind} on {name}", titles, rows, kind="figures reliability")


def _key(colour: str) -> Markup:
    return tag("span", class_="swatch dot", style=f"background:{colour}", aria_hidden="true")


def _figure(value: float | None, *, signed: bool = False) -> str:
    """Return a figure with four decimals."""
    if value is None:
        return ABSENT
    written = f"{value:+.4f}" if signed else f"{value:.4f}"
    return "0" if float(written) == 0 and signed else written.replace("-", "−")
