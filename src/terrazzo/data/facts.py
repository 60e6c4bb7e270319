"""What was found in each image, kept beside prepared data so that an unchanged image is never read again."""

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from terrazzo.data.distribution import Sketch
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.open_files import file_state
from terrazzo.data.statistics import Moments
from terrazzo.storage import atomic_path

__all__ = ["FACTS_FILE", "file_states", "load_facts", "save_facts"]

FACTS_FILE = "facts.parquet"
COLUMNS = (
    *("key", "pixels", "mean", "squares", "class_pixels", "ignored", "unlisted", "patch_pixels"),
    *("sketch_values", "sketch_counts", "sketch_lengths"),
)


def file_states(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return path, size and time of each file: where one differs, what was found is found again.

    Raises:
        DataError: A file is missing or cannot be looked at.
    """
    return [file_state(path) for path in paths]


def save_facts(path: Path, facts: Mapping[str, ImageFacts]) -> None:
    """Write facts by key, whole or not at all."""
    rows = [
        {
            "key": key,
            "pixels": found.moments.pixels,
            "mean": list(found.moments.mean),
            "squares": list(found.moments.squares),
            "class_pixels": list(found.class_pixels),
            "ignored": found.ignored,
            "unlisted": json.dumps(found.unlisted),
            "patch_pixels": found.patch_pixels.ravel(),
            "sketch_values": list(itertools.chain.from_iterable(found.sketch.values)),
            "sketch_counts": list(itertools.chain.from_iterable(found.sketch.counts)),
            "sketch_lengths": [len(values) for values in found.sketch.values],
        }
        for key, found in facts.items()
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(temporary, index=False)


def load_facts(path: Path) -> dict[str, ImageFacts]:
    """Read facts by key; a file that is missing or cannot be read holds none, since facts can be found again."""
    try:
        frame = pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, ValueError):
        return {}
    return {str(row["key"]): _facts(row) for row in frame.to_dict("records")}


def _facts(row: Mapping[Any, Any]) -> ImageFacts:
    moments = Moments(int(row["pixels"]), tuple(map(float, row["mean"])), tuple(map(float, row["squares"])))
    class_pixels = tuple(int(count) for count in row["class_pixels"])
    return ImageFacts(
        moments=moments,
        class_pixels=class_pixels,
        ignored=int(row["ignored"]),
        unlisted={str(what): int(count) for what, count in json.loads(row["unlisted"]).items()},
        patch_pixels=np.asarray(row["patch_pixels"], dtype=np.int64).reshape(-1, len(class_pixels) + 1),
        sketch=_sketch(row),
    )


def _sketch(row: Mapping[Any, Any]) -> Sketch:
    ends = list(itertools.accumulate(map(int, row["sketch_lengths"]), initial=0))
    return Sketch(
        values=tuple(tuple(map(float, row["sketch_values"][begin:end])) for begin, end in itertools.pairwise(ends)),
        counts=tuple(tuple(map(int, row["sketch_counts"][begin:end])) for begin, end in itertools.pairwise(ends)),
    )
