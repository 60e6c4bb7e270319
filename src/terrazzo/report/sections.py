"""The parts of a run's page about the run itself; each takes what the run folder holds and says what is missing."""

from collections.abc import Mapping
from typing import Any

from terrazzo.report.blocks import embedded, missing, section
from terrazzo.report.contents import RunContents, number
from terrazzo.report.figures import Line, bar, line_chart
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import duration, quantity, score

__all__ = ["config_section", "curves_section", "environment_section", "header", "maps_section", "timing_section"]

MOST_CLASSES = 8
"""Curves of classes that one chart shows."""
TRAIN, VALIDATION = "var(--first)", "var(--second)"


def header(run: RunContents) -> Markup:
    """Return the run's name and its main figures."""
    best = _best(run)
    tiles = [(f"mIoU, {found.split}", score(number(found.summary.get("miou")))) for found in run.evaluated[:2]]
    if run.evaluated:
        first = run.evaluated[0]
        if number(first.summary.get("foreground_iou")) is not None:
            tiles.append((f"foreground IoU, {first.split}", score(number(first.summary["foreground_iou"]))))
        tiles.append((f"pixel accuracy, {first.split}", score(number(first.summary.get("accuracy")))))
    if best is not None:
        tiles.append((f"best validation mIoU, epoch {best[0]:g}", score(best[1])))
    if run.history:
        tiles.append(("epochs", quantity(max((row.get("epoch") or 0.0) for row in run.history))))
    if number(run.summary.get("seconds")) is not None:
        tiles.append(("time in all", duration(number(run.summary["seconds"]))))
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles]
    time = str(run.metadata.get("time", ""))
    line = tag("p", f"Terrazzo run{', begun ' + time if time else ''}", class_="kind")
    found = tag("dl", *cells, class_="tiles") if cells else missing("This run has no figures yet.")
    return tag("header", line, tag("h1", _name(run)), found)


def _name(run: RunContents) -> str:
    return str(run.summary.get("name") or run.metadata.get("name") or run.folder.resolve().name)


def _best(run: RunContents) -> tuple[float, float] | None:
    """Epoch and value of the highest validation mIoU."""
    known = [(row.get("epoch"), row.get("val_miou")) for row in run.history]
    pairs = [(epoch, value) for epoch, value in known if epoch is not None and value is not None]
    return max(pairs, key=lambda pair: pair[1]) if pairs else None


def curves_section(run: RunContents) -> Markup:
    """Return training curves from log.csv."""
    if not run.history:
        return section("Training", missing("No training curves: the run folder has no log.csv with rows."))
    best = _best(run)
    mark = best[0] if best else None
    charts = [
        line_chart(
            "Loss",
            [
                _line(run, "train_loss", "training", TRAIN),
                _line(run, "val_loss", "validation", VALIDATION, dashed=True),
            ],
            mark=mark,
        ),
        line_chart(
            "Validation scores",
            [_line(run, "val_miou", "mIoU", VALIDATION), _line(run, "val_bf1", "boundary F1", TRAIN, dashed=True)],
            floor=0.0,
            mark=mark,
        ),
        line_chart("Learning rate", [_line(run, "lr", "learning rate", TRAIN)], floor=0.0),
    ]
    per_class = _class_lines(run)
    if per_class:
        shown = sorted(per_class, key=_last)[:MOST_CLASSES]
        few = len(shown) == len(per_class)
        title = "Validation IoU by class" if few else f"Validation IoU, the {MOST_CLASSES} weakest classes"
        charts.append(line_chart(title, per_class if few else shown, floor=0.0, mark=mark))
    if any(row.get("val_avg_steps") is not None for row in run.history):
        charts.append(line_chart("Steps per pixel", [_line(run, "val_avg_steps", "steps", TRAIN)], floor=0.0))
    note = f"The upright line marks epoch {mark:g}, the best by validation mIoU." if mark is not None else ""
    return section("Training", tag("div", *charts, class_="charts"), tag("p", note, class_="note"))


def _line(run: RunContents, column: str, name: str, colour: str, *, dashed: bool = False) -> Line:
    points = [(row.get("epoch") or float(index), row.get(column)) for index, row in enumerate(run.history, 1)]
    return Line(name, points, colour, dashed)


def _last(line: Line) -> float:
    """The last value of a curve."""
    return next((y for _, y in reversed(line.points) if y is not None), 0.0)


def _class_lines(run: RunContents) -> list[Line]:
    """One curve a class; every second one dashed, since colours may lie close."""
    lines = []
    for index, entry in enumerate(run.data.get("classes", [])):
        column = f"val_iou_{entry['name']}"
        if any(row.get(column) is not None for row in run.history):
            red, green, blue = entry["colour"]
            lines.append(_line(run, column, entry["name"], f"rgb({red},{green},{blue})", dashed=index % 2 == 1))
    return lines


def maps_section(run: RunContents) -> Markup:
    """Return maps: paths, sizes, and quick looks."""
    if not run.maps and not run.pictures:
        return section("Maps", missing("No scene has been mapped into this run folder; `terrazzo predict` does."))
    rows = []
    for entry in run.maps:
        pixels = number(entry.get("pixels"))
        facts = [str(entry.get("out", "")), quantity(pixels), duration(number(entry.get("seconds")))]
        rows.append(tag("tr", *(tag("td", fact) for fact in facts)))
    heads = [tag("th", title, scope="col") for title in ("map", "pixels", "time")]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="figures")
    shown, left = embedded(run.pictures)
    note = (
        tag("p", f"{left} pictures were too large to embed; see {run.folder / 'predict'}.", class_="note")
        if left
        else ""
    )
    return section(
        "Maps", tag("div", table, class_="scroll") if rows else "", tag("div", *shown, class_="pictures wide"), note
    )


def timing_section(run: RunContents) -> Markup:
    """Return how long each phase took, or why it was skipped."""
    phases = run.summary.get("phases", [])
    if not phases:
        return section("Timing", missing("No times by phase: they are written when `terrazzo run` ends."))
    longest = max(number(phase.get("seconds")) or 0.0 for phase in phases) or 1.0
    rows = []
    for phase in phases:
        seconds = number(phase.get("seconds"))
        skipped = phase.get("skipped")
        share = None if skipped or seconds is None else seconds / longest
        told = f"skipped: {skipped}" if skipped else duration(seconds)
        rows.append(
            tag("tr", tag("th", str(phase.get("name", "")), scope="row"), tag("td", told), tag("td", bar(share)))
        )
    return section("Timing", tag("div", tag("table", tag("tbody", *rows), class_="figures"), class_="scroll"))


def environment_section(run: RunContents) -> Markup:
    """Return machine, versions, commit and command."""
    if not run.metadata:
        return section("Environment", missing("Unknown: the run folder has no metadata.json."))
    facts = _flat({key: value for key, value in run.metadata.items() if key != "config"})
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in facts]
    return section("Environment", tag("div", tag("table", tag("tbody", *rows), class_="facts"), class_="scroll"))


def _flat(content: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Name and text of every value, nested names joined by dots."""
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{before}{key}.")
        elif value not in (None, "", []):
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((f"{before}{key}", text))
    return found


def config_section(run: RunContents) -> Markup:
    """Return config.yaml as it stands."""
    if not run.config:
        return section("Configuration", missing("The run folder has no config.yaml."))
    return section(
        "Configuration",
        tag(
            "details", tag("summary", "config.yaml: running this file again reproduces the run"), tag("pre", run.config)
        ),
    )
