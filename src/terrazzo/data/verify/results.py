"""What verifying found, as a file: for programs, for the report, and so that unchanged data is not read again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import shapely

from terrazzo.data.settings import DataSettings
from terrazzo.data.verify.audit import Audit, Inventory
from terrazzo.data.verify.finding import Finding, Severity
from terrazzo.data.verify.footprints import Footprint
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import StorageError
from terrazzo.storage import fingerprint, read_json, write_json

__all__ = ["VERIFY_FILE", "Verified", "inputs_of", "load_verified", "save_verified"]

VERIFY_FILE = "verify.json"
FORMAT = 2
MOST_FOOTPRINTS = 2000
"""Footprints that are written; of more, every so many."""


@dataclass(frozen=True)
class Verified:
    """What a run needs to know of an earlier look at the same data.

    Attributes:
        findings: The worst first.
        images: Images by split.
        inputs: Hash of the settings and of every file's path, size and time.
    """

    findings: tuple[Finding, ...]
    images: dict[str, int]
    inputs: str

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(1 for finding in self.findings if finding.severity == severity)


def inputs_of(inventory: Inventory, data: DataSettings, settings: VerifySettings) -> str:
    """Return a hash of the settings and of every file's path, size and time; a missing file counts as such."""
    files = [
        [pair.image_id, pair.split, pair.fold, [_state(path) for path in pair.all_files]] for pair in inventory.pairs
    ]
    how = settings.model_dump(mode="json", exclude={"enable", "workers"})
    told = [asdict(finding) for finding in inventory.findings]
    wanted = {"source", "classes", "bands", "split", "fold", "patch", "validation", "resolution_m", "collar"}
    chosen = data.model_dump(mode="json", include=wanted)
    polygons = data.split.polygons
    division = [] if polygons is None else [_state(path) for path in polygons.all_files]
    inputs = {"verify": how, "data": chosen, "files": files, "division": division, "listing": told}
    return fingerprint({"format": FORMAT, **inputs})


def _state(path: Path) -> list[str | int]:
    try:
        facts = path.stat()
    except OSError:
        return [str(path), -1, -1]
    return [str(path), facts.st_size, facts.st_mtime_ns]


def save_verified(path: Path, audit: Audit, *, inputs: str, classes: Sequence[str]) -> Verified:
    """Write what was found, whole or not at all.

    Args:
        path: The file.
        audit: What was found.
        inputs: As `inputs_of` gives it.
        classes: Names of the classes.
    """
    content = {
        "format": FORMAT,
        "inputs": inputs,
        "images": dict(audit.images),
        "findings": [asdict(finding) for finding in audit.findings],
        "classes": list(classes),
        "class_pixels": {split: list(counts) for split, counts in audit.class_pixels.items()},
        "distances": [
            {"splits": list(splits), "metres": metres, "files": [here, there]}
            for splits, (metres, here, there) in (audit.places.distances_m or {}).items()
        ],
        "footprints": _footprints(audit.places.footprints),
    }
    write_json(path, {**content, "checksum": fingerprint(content)})
    return Verified(audit.findings, dict(audit.images), inputs)


def _footprints(footprints: Sequence[Footprint]) -> list[dict[str, Any]]:
    """Return outlines in metres, rounded to centimetres, one a polygon without its holes; of very many an even choice.

    What fills a hole is another part, which is drawn on top of it.
    """
    polygons = [
        (one, part) for one in footprints for part in shapely.get_parts(one.shape) if part.geom_type == "Polygon"
    ]
    step = max(1, -(-len(polygons) // MOST_FOOTPRINTS))
    return [
        {"image": one.image_id, "split": one.split, "outline": _rounded(polygon)} for one, polygon in polygons[::step]
    ]


def _rounded(polygon: shapely.Polygon) -> list[list[float]]:
    simple = polygon.simplify(0.001 * polygon.length)
    return [[round(float(east), 2), round(float(north), 2)] for east, north in simple.exterior.coords[:-1]]


def load_verified(path: Path) -> Verified | None:
    """Read what was found; None where nothing was, or the file is damaged or of another version."""
    try:
        content = read_json(path)
    except StorageError:
        return None
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        return None
    body = {key: value for key, value in content.items() if key != "checksum"}
    if content.get("checksum") != fingerprint(body):
        return None
    findings = tuple(Finding(**finding) for finding in content["findings"])
    return Verified(findings, dict(content["images"]), content["inputs"])
