"""One self-contained HTML page for a sweep: its settings side by side, what differs, and what became of each trial."""

from pathlib import Path
from urllib.parse import quote

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.document import contents, document
from terrazzo.report.figures import bar
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.page import PAGE_FILE
from terrazzo.report.sweep import TRAINING, SweepFacts, TrialFacts, figure_name, sweep_facts
from terrazzo.report.sweep_curves import curves_section, search_section, values_section
from terrazzo.report.sweep_tables import differences_section, folds_section, settings_section
from terrazzo.report.words import duration, quantity, score
from terrazzo.storage import read_json, write_text

__all__ = ["render_sweep", "write_sweep_page"]

_STATES = ("finished", "running", "waiting", "pruned", "failed")
_WORDS = {"running": "begun, not finished"}


def write_sweep_page(folder: Path) -> Path:
    """Write `report.html` into a sweep's folder from its `sweep.json`.

    Returns:
        Path of the page.

    Raises:
        StorageError: `sweep.json` cannot be read, or the page cannot be written.
    """
    content = read_json(folder / "sweep.json")
    page = folder / PAGE_FILE
    write_text(page, render_sweep(sweep_facts(content if isinstance(content, dict) else {})))
    return page


def render_sweep(sweep: SweepFacts) -> str:
    """Return the page's HTML."""
    sections = [
        ("Settings", settings_section(sweep)),
        ("Differences", differences_section(sweep)),
        ("Folds", folds_section(sweep)),
        ("Training", curves_section(sweep)),
        ("Values", values_section(sweep)),
        ("Search", search_section(sweep)),
        ("Trials", _trials_section(sweep)),
    ]
    shown = [(title, part) for title, part in sections if part is not None]
    links = contents([title for title, _ in shown])
    problems = [tag("li", f"{one.name}: {problem}") for one in sweep.trials for problem in one.problems]
    warnings = tag("ul", *problems, class_="warnings") if problems else ""
    return document(f"{sweep.name} · Terrazzo", _header(sweep), links, warnings, *(part for _, part in shown))


def _header(sweep: SweepFacts) -> Markup:
    total = sum(sweep.states.values())
    finished = sweep.states.get("finished", 0)
    tiles: list[tuple[str, str]] = [("trials finished", f"{quantity(finished)} of {quantity(total)}")]
    tiles += [
        (_WORDS.get(state, state), quantity(count)) for state in _STATES[1:] if (count := sweep.states.get(state, 0))
    ]
    tiles += _best_tiles(sweep)
    spent = sum(one.seconds or 0.0 for one in sweep.trials)
    tiles.append(("time of all trials", duration(spent) if spent else "–"))
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles]
    subject = f"{quantity(len(sweep.settings))} setting{'' if len(sweep.settings) == 1 else 's'}"
    if sweep.ranked and sweep.ranked_by is not None:
        split, figure = sweep.ranked_by
        where = "while training" if split == TRAINING else f"of {split}"
        subject = f"{subject}. Best by {figure_name(figure)} {where}: {sweep.ranked[0]}"
    return tag(
        "header",
        tag("p", "Terrazzo sweep", class_="kind"),
        tag("h1", sweep.name),
        tag("p", subject, class_="subject"),
        tag("dl", *cells, class_="tiles"),
    )


def _best_tiles(sweep: SweepFacts) -> list[tuple[str, str]]:
    """Return the figures of the best setting."""
    best = next((one for one in sweep.settings if sweep.ranked and one.label == sweep.ranked[0]), None)
    if best is None:
        return []
    shown = [(split, sweep.figure) for split in sweep.splits]
    if not shown and sweep.ranked_by is not None:
        shown = [sweep.ranked_by]
    found: list[tuple[str, str]] = []
    for split, name in shown:
        spread = best.figures.get(split, {}).get(name)
        if spread is not None:
            several = "" if spread.deviation is None else tag("small", f" ± {spread.deviation:.3f}")
            found.append((f"{figure_name(name)} of the best, {split}", join([score(spread.mean), several])))
    return found


def _trials_section(sweep: SweepFacts) -> Markup:
    """Return every trial, whatever became of it."""
    if not sweep.trials:
        return section("Trials", missing("No trial has been asked for."))
    longest = max((one.seconds or 0.0 for one in sweep.trials), default=0.0) or 1.0
    heads = (
        "trial",
        "state",
        *(f"{figure_name(sweep.figure)}, {split}" for split in sweep.splits),
        "best while training",
        "epochs",
        "time",
        tag("td"),
    )
    rows = [_trial_row(one, sweep, longest) for one in sweep.trials]
    parts = [table("Trials", heads, rows)]
    told = [one for one in sweep.trials if one.reason]
    if told:
        items = [tag("li", tag("b", one.name), f": {one.state}. ", one.reason) for one in told]
        parts.append(tag("details", tag("summary", "why trials failed or were stopped"), tag("ul", *items), open=""))
    return section("Trials", *parts)


def _trial_row(one: TrialFacts, sweep: SweepFacts, longest: float) -> Markup:
    name: Markup | str = tag("a", one.name, href=quote(one.report, safe="/=,+~")) if one.report else one.name
    kind = {"failed": "severity error", "pruned": "severity warning"}.get(one.state, "severity")
    best = "–" if one.best is None else f"{one.best:.3f} {one.monitor}"
    return tag(
        "tr",
        tag("th", name, scope="row"),
        tag("td", tag("span", _WORDS.get(one.state, one.state), class_=kind)),
        *(tag("td", _value(one, split, sweep.figure)) for split in sweep.splits),
        tag("td", best),
        tag("td", quantity(one.epochs) if one.epochs else "–"),
        tag("td", duration(one.seconds)),
        tag("td", bar((one.seconds or 0.0) / longest)),
    )


def _value(one: TrialFacts, split: str, figure: str) -> str:
    value = one.figures.get(split, {}).get(figure)
    return "–" if value is None else f"{value:.3f}"
