"""The confusion matrix as a table with heat: rows label, columns prediction."""

from collections.abc import Sequence

from terrazzo.report.blocks import table
from terrazzo.report.facts import ClassFacts
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.words import percent, quantity

__all__ = ["confusion_table"]

COUNTS_UP_TO = 10
"""Most classes whose counts stand inside the cells."""
STRONG = 0.68
"""From this share on a cell is so dark (pale, on a dark page) that its text changes to the other end."""


def confusion_table(counts: Sequence[Sequence[int]], classes: Sequence[ClassFacts]) -> Markup:
    """Return a confusion matrix, each row's shares as heat.

    Cells hold the share of the row in per cent, and counts below it for up to ten classes; with more the sign is left
    out, and the counts follow in a table of their own. Pointing at a cell tells its label, prediction and count.

    Args:
        counts: Pixels; rows label, columns prediction.
        classes: One a row, in order.
    """
    inside = len(counts) <= COUNTS_UP_TO
    names = [entry.name for entry in classes]
    corner = tag("th", "label ↓ prediction →", class_="corner", scope="col")
    heads = [corner, *(tag("th", tag("span", name), class_="upright", scope="col") for name in names)]
    rows = [
        tag("tr", tag("th", names[index], scope="row"), *_cells(row, names[index], names, counts=inside))
        for index, row in enumerate(counts)
    ]
    caption = "Confusion in per cent of each label's pixels: rows are labels, columns what was predicted"
    shares = table(caption, heads, rows, kind="confusion" if inside else "confusion dense")
    if inside:
        return shares
    plain = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", quantity(count)) for count in row))
        for name, row in zip(names, counts, strict=True)
    ]
    caption = "Confusion in pixels: rows are labels, columns what was predicted"
    return join(
        [shares, tag("details", tag("summary", "Counts in pixels"), table(caption, heads, plain, kind="counts"))]
    )


def _cells(row: Sequence[int], label: str, names: Sequence[str], *, counts: bool) -> list[Markup]:
    """Return the cells of one label; a label without pixels has no shares."""
    total = sum(row)
    cells = []
    for name, count in zip(names, row, strict=True):
        share = count / total if total else None
        heat = 0.0 if share is None else share
        told = "–" if share is None else percent(share)
        figures = [tag("b", told if counts else told.removesuffix(" %"))]
        if counts:
            figures.append(tag("small", quantity(count)))
        note = f"label {label}, predicted {name}: {quantity(count)} pixels" + (f", {told}" if share is not None else "")
        kind = "heat strong" if heat > STRONG else "heat"
        cells.append(tag("td", *figures, class_=kind, style=f"--share:{100 * heat:.1f}%", title=note))
    return cells
