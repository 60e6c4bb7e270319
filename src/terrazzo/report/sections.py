"""The parts of a run's page about the run itself; each takes what the run folder holds and says what is missing."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.contents import RunContents, best_epoch
from terrazzo.report.facts import GREY, MapFacts, PhaseFacts, number
from terrazzo.report.figures import Line, bar, css, line_chart, stack
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.pictures import embedded
from terrazzo.report.scores import samples
from terrazzo.report.words import duration, percent, quantity, score

__all__ = [
    "config_section",
    "curves_section",
    "environment_section",
    "header",
    "maps_section",
    "run_name",
    "timing_section",
]

OVERVIEW = "overview.png"
"""What `terrazzo demo` calls its picture of scene, label and map."""
MOST_CLASSES = 8
"""Curves of classes that one chart shows."""
DIM, PALE = 0.08, 0.45
"""Outside these bounds of luminance a line has a contrast below 2 on a dark or a pale page."""
TRAIN, VALIDATION = "var(--first)", "var(--second)"
SET_LOSS = re.compile(r"val_(?!iou_)((?:(?!_iou_)[a-z0-9_])+)_loss")
"""Column of log.csv that each named validation set has."""
TOLERANCE = re.compile(r"val_bf1_(\d+)")
"""Column of log.csv that each tolerance of the boundary F1 has."""
SET_COLOURS = ("#2a9d5c", "#a259c4", "#b8860b", "#d1477a")
"""Of named validation sets; all are neither dim nor pale."""


def header(run: RunContents) -> Markup:
    """Return the run's name and its main figures."""
    tiles = _score_tiles(run)
    best = best_epoch(run.history, run.metadata)
    if best is not None:
        figure, epoch, value = best
        tiles.append((f"best {figure}", join([score(value), " ", tag("small", f"epoch {epoch:g}")])))
    if run.history:
        tiles.append(("epochs", quantity(run.history[-1].get("epoch"))))
        tiles.append(("training time", duration(_training_seconds(run))))
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles]
    begun = str(run.metadata.get("time") or "").replace("T", " ").removesuffix("+00:00")
    line = tag("p", f"Terrazzo run{', begun ' + begun + ' UTC' if begun else ''}", class_="kind")
    found = tag("dl", *cells, class_="tiles") if cells else missing("This run has no figures yet.")
    subject = ""
    if run.data is not None:
        bands = ", ".join(band.name for band in run.data.bands)
        subject = f"{len(run.data.classes)} classes from {len(run.data.bands)} bands: {bands}"
    return tag("header", line, tag("h1", run_name(run)), tag("p", subject, class_="subject"), found)


def _score_tiles(run: RunContents) -> list[tuple[str, str]]:
    tiles: list[tuple[str, str]] = [
        (f"mIoU, {found.facts.split}", score(found.facts.figures.get("miou"))) for found in run.evaluated
    ]
    for found in run.evaluated[:1]:
        foreground = found.facts.figures.get("foreground_iou")
        if foreground is not None:
            tiles.append((f"foreground IoU, {found.facts.split}", score(foreground)))
        tiles.append((f"pixel accuracy, {found.facts.split}", score(found.facts.figures.get("accuracy"))))
    return tiles


def run_name(run: RunContents) -> str:
    """Return the name of the run, or of its folder where none is written."""
    return str(run.summary.get("name") or run.metadata.get("run") or run.folder.resolve().name)


def _training_seconds(run: RunContents) -> float | None:
    """Return the wall time of all epochs; None where none was measured."""
    known = [seconds for row in run.history if (seconds := row.get("seconds")) is not None]
    return sum(known) if known else None


def curves_section(run: RunContents) -> Markup:
    """Return training curves from log.csv, and the worst validation samples where no split was evaluated."""
    if not run.history:
        return section("Training", missing("No training curves: the run folder has no log.csv with rows."))
    best = best_epoch(run.history, run.metadata)
    mark = best[1] if best else None
    validated = any(_has(run, column) for column in run.history[0] if column.startswith("val_"))
    parts = [tag("div", *_charts(run, mark), class_="charts")]
    if best is not None:
        parts.append(tag("p", f"The upright line marks epoch {best[1]:g}, the best by {best[0]}.", class_="note"))
    if not validated:
        parts.append(missing("Nothing was validated while training: log.csv holds no validation figures."))
    if run.samples and not run.evaluated:
        parts.append(tag("h4", "Worst validation samples of the last epoch"))
        parts += samples(run.samples, "Validation sample")
    return section("Training", *parts)


def _charts(run: RunContents, mark: float | None) -> list[Markup]:
    loss = [
        _line(run, "train_loss", "training", TRAIN),
        _line(run, "val_loss", "validation", VALIDATION, dashed=True),
        *_set_lines(run, "loss"),
    ]
    charts = [line_chart("Loss", loss, mark=mark)]
    means = [_line(run, "val_miou", "mIoU", VALIDATION), *_set_lines(run, "miou")]
    if any(y is not None for line in means for _, y in line.points):
        charts.append(line_chart("Validation mIoU", means, floor=0.0, mark=mark))
    per_class = _class_lines(run)
    if per_class:
        few = len(per_class) <= MOST_CLASSES
        title = "Validation IoU by class" if few else f"Validation IoU, the {MOST_CLASSES} weakest classes"
        shown = per_class if few else sorted(per_class, key=_last)[:MOST_CLASSES]
        charts.append(line_chart(title, shown, floor=0.0, mark=mark))
    charts.append(line_chart("Learning rate", [_line(run, "lr", "learning rate", TRAIN)], floor=0.0))
    if boundaries := _boundary_lines(run):
        charts.append(line_chart("Validation boundary F1", boundaries, floor=0.0, mark=mark))
    if _has(run, "val_avg_steps"):
        charts.append(line_chart("Steps per pixel", [_line(run, "val_avg_steps", "steps", TRAIN)], floor=0.0))
    return charts


def _has(run: RunContents, column: str) -> bool:
    return any(row.get(column) is not None for row in run.history)


def _line(run: RunContents, column: str, name: str, colour: str, *, dashed: bool = False) -> Line:
    points = [(row.get("epoch") or float(index), row.get(column)) for index, row in enumerate(run.history, 1)]
    return Line(name, points, colour, dashed)


def _boundary_lines(run: RunContents) -> list[Line]:
    """Return one curve a tolerance at which boundaries were measured; a log of one figure alone has one curve."""
    found = {
        column: match[1] for column in run.history[0] if (match := TOLERANCE.fullmatch(column)) and _has(run, column)
    }
    if not found:
        return [_line(run, "val_bf1", "boundary F1", VALIDATION)] if _has(run, "val_bf1") else []
    colours = (VALIDATION, TRAIN, *SET_COLOURS)
    return [
        _line(run, column, "exact" if pixels == "0" else f"within {pixels} px", colours[position % len(colours)])
        for position, (column, pixels) in enumerate(found.items())
    ]


def _set_lines(run: RunContents, figure: str) -> list[Line]:
    """Return one curve a named validation set, joined over the epochs in which it was not measured."""
    names = [found[1] for column in run.history[0] if (found := SET_LOSS.fullmatch(column))]
    columns = {f"val_{name}_{figure}": name for name in names} | {f"val_mean_{figure}": "mean of all sets"}
    lines = []
    for place, (column, name) in enumerate(columns.items()):
        line = _line(run, column, name, SET_COLOURS[place % len(SET_COLOURS)], dashed=place % 2 == 0)
        lines.append(replace(line, points=[point for point in line.points if point[1] is not None]))
    return lines


def _last(line: Line) -> float:
    """The last value of a curve."""
    return next((y for _, y in reversed(line.points) if y is not None), 0.0)


def _class_lines(run: RunContents) -> list[Line]:
    """Return one curve a class; every second one dashed, since colours may lie close."""
    known = run.data.classes if run.data is not None else ()
    colours = {entry.name: entry.colour for entry in (*known, *(one for e in run.evaluated for one in e.facts.classes))}
    names = [column.removeprefix("val_iou_") for column in run.history[0] if column.startswith("val_iou_")]
    lines = []
    for index, name in enumerate(names):
        if _has(run, f"val_iou_{name}"):
            colour = colours.get(name, GREY)
            line = _line(run, f"val_iou_{name}", name, css(colour), dashed=index % 2 == 1)
            lines.append(replace(line, halo=_halo(colour)))
    return lines


def _halo(colour: tuple[int, int, int]) -> str:
    """Return on which page a thin line in this colour is hard to see: "dim" on a dark one, "pale" on a pale one.

    Source: IEC 61966-2-1 (sRGB), its transfer function taken as a power of 2.2; luminance weights of ITU-R BT.709.
    """
    red, green, blue = ((channel / 255) ** 2.2 for channel in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "dim" if luminance < DIM else "pale" if luminance > PALE else ""


def maps_section(run: RunContents) -> Markup:
    """Return maps: paths, sizes, class shares, and quick looks."""
    if not run.maps and not run.pictures:
        return section("Maps", missing("No scene has been mapped into this run folder; `terrazzo predict` does."))
    parts = []
    if run.maps:
        heads = ("map", "rows", "columns", "measured", "class shares", "time")
        parts.append(table("Maps", heads, [_map_row(entry, run) for entry in run.maps]))
    told = [f"{Path(entry.out).name}: {warning}" for entry in run.maps for warning in entry.warnings]
    if told:
        parts.append(tag("ul", *(tag("li", warning) for warning in told), class_="warnings"))
    captions = [
        f"{path.relative_to(run.folder)}{': scene, label and map' if path.name == OVERVIEW else ''}"
        for path in run.pictures
    ]
    shown, left = embedded(run.pictures, captions)
    if shown:
        parts.append(tag("div", *shown, class_="pictures wide"))
    if left:
        parts.append(missing(f"Not shown (too large, or damaged): {', '.join(str(path) for path in left)}."))
    return section("Maps", *parts)


def _map_row(entry: MapFacts, run: RunContents) -> Markup:
    classes = run.data.classes if run.data is not None else ()
    total = sum(entry.class_pixels)
    shares: Markup | str = "–"
    if total and len(classes) == len(entry.class_pixels):
        pairs = zip(classes, entry.class_pixels, strict=True)
        shares = stack([(one.name, count / total, one.colour) for one, count in pairs])
    return tag(
        "tr",
        tag("th", entry.out, scope="row"),
        tag("td", quantity(entry.height)),
        tag("td", quantity(entry.width)),
        tag("td", "–" if entry.valid_share is None else percent(entry.valid_share)),
        tag("td", shares),
        tag("td", duration(entry.seconds)),
    )


def timing_section(run: RunContents) -> Markup:
    """Return how long each phase took, or why it was skipped, and how long an epoch takes."""
    parts: list[Markup] = []
    if run.phases:
        longest = max(phase.seconds or 0.0 for phase in run.phases) or 1.0
        parts.append(
            table("Time by phase", ("phase", "time", tag("td")), [_phase_row(one, longest) for one in run.phases])
        )
    else:
        parts.append(missing("No times by phase: they are written when `terrazzo run` ends."))
    spent = _training_seconds(run)
    if spent is not None:
        measured = sum(row.get("seconds") is not None for row in run.history)
        told = f"Training took {duration(spent)} for {measured} epochs, {duration(spent / measured)} an epoch"
        parts.append(tag("p", f"{told}, validation included.", class_="note"))
    total = number(run.summary.get("seconds"))
    if total is not None:
        parts.append(tag("p", f"The last call took {duration(total)} in all.", class_="note"))
    return section("Timing", *parts)


def _phase_row(phase: PhaseFacts, longest: float) -> Markup:
    share = None if phase.skipped or phase.seconds is None else phase.seconds / longest
    told = f"skipped: {phase.skipped}" if phase.skipped else duration(phase.seconds)
    return tag("tr", tag("th", phase.name, scope="row"), tag("td", told), tag("td", bar(share)))


def environment_section(run: RunContents) -> Markup:
    """Return machine, versions, commit and command."""
    if not run.metadata:
        return section("Environment", missing("Unknown: the run folder has no metadata.json."))
    facts = _flat({key: value for key, value in run.metadata.items() if key != "config"})
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in facts]
    found = table("Environment", (), rows, kind="facts")
    return section("Environment", tag("details", tag("summary", "machine, versions, commit, command"), found))


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
