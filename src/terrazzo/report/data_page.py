"""What was found in the data, where its images lie, and what its classes look like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrazzo.data.verify.finding import SEVERITIES, Finding, summarised
from terrazzo.report.blocks import missing, table
from terrazzo.report.contents import RunContents
from terrazzo.report.facts import number
from terrazzo.report.html import Markup, tag
from terrazzo.report.pictures import embedded
from terrazzo.report.split_map import FootprintFacts, split_map
from terrazzo.report.words import quantity

__all__ = ["findings_part", "map_part", "samples_part"]


def findings_part(run: RunContents) -> list[Markup]:
    """Return the table of findings; of many of one kind the first, and how many more there are."""
    heading = tag("h4", "Findings")
    if not run.verified:
        return [heading, missing("The data was not verified: the run folder has no verify.json.")]
    findings = [_finding(entry) for entry in _mappings(run.verified.get("findings"))]
    if not findings:
        return [heading, tag("p", "Every file was decoded, and nothing is wrong.", class_="note")]
    counts = [(severity, sum(1 for one in findings if one.severity == severity)) for severity in SEVERITIES]
    told = ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts if count)
    rows = [_row(row) for row in summarised(findings)]
    heads = ("severity", "kind", "file", "what is wrong", "what to do")
    return [heading, tag("p", f"{told}.", class_="note"), table("Findings", heads, rows, kind="findings")]


def _finding(entry: Mapping[str, Any]) -> Finding:
    """Return a finding as far as the file tells it; the page shows what is there."""
    severity = next((one for one in SEVERITIES if one == entry.get("severity")), "hint")
    texts = {key: str(entry.get(key, "")) for key in ("file", "check", "what", "to_do")}
    return Finding(texts["file"], severity, texts["check"], texts["what"], texts["to_do"])  # type: ignore[arg-type]


def _row(row: Mapping[str, str]) -> Markup:
    severity = row["severity"]
    cells = [tag("td", row[key]) for key in ("check", "file", "what", "to do")]
    return tag("tr", tag("th", tag("span", severity, class_=f"severity {severity}"), scope="row"), *cells)


def map_part(run: RunContents) -> list[Markup]:
    """Return the map of splits and their distances; nothing where no image is georeferenced."""
    footprints = [one for entry in _mappings(run.verified.get("footprints")) if (one := _footprint(entry)) is not None]
    if not footprints:
        return []
    parts = [tag("h4", "Where the images lie"), split_map(footprints)]
    told = [_distance(entry) for entry in _mappings(run.verified.get("distances"))]
    if any(told):
        parts.append(tag("p", f"Smallest distance between images: {'; '.join(filter(None, told))}.", class_="note"))
    return parts


def _footprint(entry: Mapping[str, Any]) -> FootprintFacts | None:
    corners = []
    for corner in _list(entry.get("outline")):
        east, north = (
            (number(value) for value in corner) if isinstance(corner, list) and len(corner) == 2 else (0, None)
        )
        if east is None or north is None:
            return None
        corners.append((east, north))
    if len(corners) < 3:
        return None
    return FootprintFacts(str(entry.get("image", "")), str(entry.get("split", "")), tuple(corners))


def _distance(entry: Mapping[str, Any]) -> str:
    metres, splits = number(entry.get("metres")), _list(entry.get("splits"))
    if metres is None or len(splits) != 2:
        return ""
    far = f"{quantity(metres)} m" if metres >= 10 else f"{metres:.1f} m"
    return f"{splits[0]} to {splits[1]} {far}"


def samples_part(run: RunContents) -> list[Markup]:
    """Return patches of each class; nothing where none were drawn."""
    entries = _mappings(run.gallery.get("samples"))
    by_class: dict[str, list[tuple[Path, str]]] = {}
    for entry in entries:
        # Only a name, never a path: what a file lists must not lead out of its folder.
        path = run.folder / "data" / Path(str(entry.get("file", ""))).name
        by_class.setdefault(str(entry.get("class", "")), []).append((path, str(entry.get("caption", ""))))
    if not by_class:
        return []
    blocks = []
    for name, members in by_class.items():
        shown, _ = embedded([path for path, _ in members], [caption for _, caption in members])
        if shown:
            blocks += [tag("h5", name), tag("div", *shown, class_="pictures small")]
    if not blocks:
        return []
    note = tag(
        "p", "Patches in which a class is most frequent: image and label; ignored pixels are hatched.", class_="note"
    )
    return [tag("h4", "What classes look like"), note, *blocks]


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, Mapping)]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
