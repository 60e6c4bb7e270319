"""The counts of every image of an evaluation in a file, from which another evaluation can be compared with it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Int64

from terrazzo.errors import DataError
from terrazzo.storage import write_bytes

__all__ = ["CONFUSIONS_FILE", "ImageConfusions", "load_confusions", "save_confusions"]

CONFUSIONS_FILE = "confusions.safetensors"
_FORMAT = "1"


@dataclass(frozen=True, eq=False)
class ImageConfusions:
    """What was counted in each image.

    Attributes:
        images: Their names.
        classes: Names of the classes.
        counts: Rows label, columns prediction.
        split: Role that was judged.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    counts: Int64[np.ndarray, "image class class"]
    split: str


def save_confusions(path: Path, found: ImageConfusions) -> None:
    """Write the file whole or not at all."""
    about = {"images": list(found.images), "classes": list(found.classes), "split": found.split, "format": _FORMAT}
    # One key: the order of several is not fixed.
    metadata = {"terrazzo": json.dumps(about, ensure_ascii=False, sort_keys=True)}
    counts = np.ascontiguousarray(found.counts)
    write_bytes(path, safetensors.numpy.save({"confusion": counts}, metadata=metadata))


def load_confusions(path: Path) -> ImageConfusions:
    """Read what `save_confusions` wrote.

    Raises:
        DataError: The file is missing, damaged or another one.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["terrazzo"])
            counts = file.get_tensor("confusion")
        found = ImageConfusions(tuple(about["images"]), tuple(about["classes"]), counts, str(about["split"]))
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no file of an evaluation's counts: {error}; run `terrazzo evaluate` again."
        ) from error
    expected = (len(found.images), len(found.classes), len(found.classes))
    if about.get("format") != _FORMAT or counts.shape != expected or counts.dtype != np.int64:
        raise DataError(
            f"{path} holds counts of shape {counts.shape} instead of {expected}; run `terrazzo evaluate` again."
        )
    return found
