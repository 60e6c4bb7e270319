"""What is wrong in the feature caches of a prepared folder, and dropping what is damaged."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from terrazzo.data.features.cache import shard_names
from terrazzo.data.features.index import INDEX_FILE, FeatureIndex, StoredShard, load_index
from terrazzo.data.features.plan import FEATURES_FOLDER
from terrazzo.data.written_file import fault_of
from terrazzo.progress import Listener, Progress, silent

__all__ = ["FeatureFinding", "check_features", "remove_features"]

_FOLDER = re.compile(r"[0-9a-f]{32}")

Kind = Literal["index", "unfinished", "missing", "damaged", "unused"]


@dataclass(frozen=True)
class FeatureFinding:
    """Something wrong in a feature cache.

    Attributes:
        path: The file.
        what: What is wrong.
        kind: `index` (damaged), `unfinished` (none yet), `missing`, `damaged` or `unused`.
    """

    path: Path
    what: str
    kind: Kind


def check_features(folder: Path, *, workers: int = 1, listener: Listener = silent) -> list[FeatureFinding]:
    """Compare every file of a prepared folder's feature caches with the hash that it was written with.

    Args:
        folder: The prepared folder; one without a cache has no finding.
        workers: Threads that read.
        listener: Receives progress, one unit a file.

    Returns:
        What is wrong, by path. `remove_features` and a further `prepare` repair all of it.
    """
    place = folder / FEATURES_FOLDER
    caches = sorted(path for path in place.iterdir() if _FOLDER.fullmatch(path.name)) if place.is_dir() else []
    findings: list[FeatureFinding] = []
    known: dict[Path, StoredShard] = {}
    for cache in caches:
        index, names = load_index(cache), shard_names(cache)
        if index is not None:
            known |= {cache / name: shard for name, shard in index.shards.items()}
            unused = [name for name in names if name not in index.shards]
            findings += [FeatureFinding(cache / name, "no patch is read from it", "unused") for name in unused]
        elif (cache / INDEX_FILE).exists():
            findings.append(FeatureFinding(cache / INDEX_FILE, "the index of the features is damaged", "index"))
        elif names:
            what = f"features are unfinished: {len(names)} files, but no index yet"
            findings.append(FeatureFinding(cache / INDEX_FILE, what, "unfinished"))

    def check(path: Path) -> FeatureFinding | None:
        found = fault_of(path, size=known[path].bytes, sha256=known[path].sha256)
        return FeatureFinding(path, *found) if found else None

    if known:
        with (
            Progress("check features", listener=listener, total=len(known), unit="files") as progress,
            ThreadPoolExecutor(max(workers, 1)) as pool,
        ):
            findings += [fault for fault in progress.each(pool.map(check, sorted(known))) if fault is not None]
    return sorted(findings, key=lambda finding: finding.path)


def remove_features(findings: Iterable[FeatureFinding]) -> None:
    """Remove the files of findings, and what indices say of them: `prepare` computes them again where it needs them.

    A cache holds nothing that cannot be made again. Of one with a damaged index no file can be told from a damaged one,
    so that all go; an unfinished one stays as it is, since each of its files appeared whole.
    """
    for finding in findings:
        folder = finding.path.parent
        if finding.kind == "unfinished":
            continue
        if finding.kind == "index":
            for name in (*shard_names(folder), INDEX_FILE):
                (folder / name).unlink(missing_ok=True)
            continue
        finding.path.unlink(missing_ok=True)
        index = load_index(folder)
        if index is not None and finding.path.name in index.shards:
            rest = {name: shard for name, shard in index.shards.items() if name != finding.path.name}
            FeatureIndex(index.recipe, rest).save(folder)
