"""One self-contained HTML page for a run folder: no script, no request, light and dark, any width."""

from importlib.resources import files
from pathlib import Path

from terrazzo.report.contents import RunContents, read_run
from terrazzo.report.data import data_section
from terrazzo.report.html import Markup, join, tag
from terrazzo.report.scores import scores_section
from terrazzo.report.sections import (
    config_section,
    curves_section,
    environment_section,
    header,
    maps_section,
    run_name,
    timing_section,
)
from terrazzo.storage import write_text

__all__ = ["PAGE_FILE", "render", "write_report"]

PAGE_FILE = "report.html"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The browser itself refuses whatever would leave the page."""
TITLES = ("Training", "Scores", "Data", "Maps", "Timing", "Environment", "Configuration")


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder from the files that it holds so far.

    Args:
        run_folder: Folder of a run; parts that are missing or damaged are named on the page.

    Returns:
        Path of the page.

    Raises:
        DataError: The folder does not exist, or holds nothing of a run.
        StorageError: The page cannot be written.
    """
    page = run_folder / PAGE_FILE
    write_text(page, render(read_run(run_folder)))
    return page


def render(run: RunContents) -> str:
    """Return the page's HTML."""
    style = Markup(files("terrazzo.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{run_name(run)} · Terrazzo"),
        tag("style", style),
    )
    links = tag("nav", *(tag("a", title, href=f"#{title.lower()}") for title in TITLES), aria_label="Parts of the page")
    problems = [tag("li", problem) for problem in run.problems]
    damaged = tag("ul", *problems, class_="warnings") if problems else Markup("")
    parts = [
        header(run),
        links,
        damaged,
        curves_section(run),
        scores_section(run),
        data_section(run),
        maps_section(run),
        timing_section(run),
        environment_section(run),
        config_section(run),
    ]
    body = tag("body", tag("main", *parts))
    page = "<!doctype html>\n" + join([tag("html", head, body, lang="en")]) + "\n"
    # Names of files may hold bytes that are no text; UTF-8 cannot write them.
    return page.encode("utf-8", "replace").decode("utf-8")
