"""One self-contained HTML page for a run folder: no script, no request, light and dark, any width."""

from pathlib import Path

from terrazzo.report.areas import areas_part
from terrazzo.report.calibration import calibration_section
from terrazzo.report.comparison import TITLE as COMPARISONS
from terrazzo.report.comparison import comparisons_section, kept_comparisons
from terrazzo.report.contents import RunContents, read_run
from terrazzo.report.data import data_section
from terrazzo.report.document import contents, document
from terrazzo.report.html import Markup, tag
from terrazzo.report.reliability import reliability_section
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
TITLES = (
    "Training",
    "Scores",
    "Reliability",
    "Calibration",
    "Data",
    "Maps",
    "Areas",
    "Timing",
    "Environment",
    "Configuration",
)


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
    compared = TITLES.index("Scores") + 1
    kept = (COMPARISONS,) if kept_comparisons(run.folder) else ()
    links = contents((*TITLES[:compared], *kept, *TITLES[compared:]))
    problems = [tag("li", problem) for problem in run.problems]
    damaged = tag("ul", *problems, class_="warnings") if problems else Markup("")
    parts = [
        header(run),
        links,
        damaged,
        curves_section(run),
        scores_section(run),
        comparisons_section(run.folder),
        reliability_section([(one.facts.split, one.trust) for one in run.evaluated if one.trust]),
        calibration_section(run.calibrated),
        data_section(run),
        maps_section(run),
        areas_part(run.folder),
        timing_section(run),
        environment_section(run),
        config_section(run),
    ]
    return document(f"{run_name(run)} · Terrazzo", *parts)
