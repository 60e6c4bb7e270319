"""Which features a data set needs, and in which files: a function of the prepared data and of a recipe alone.

The folder's name is a hash of the recipe: the model with its weights, taps and norm, normalisation, type, geometry and
views. A file's name is a hash of the patches in it: their images as they now lie on the disk, their windows and their
view. So features of another model, or of an image that has changed, are never found under the names looked for.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.facts import file_states
from terrazzo.data.features.names import StoredType, View, ordered
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.storage import fingerprint

__all__ = ["FEATURES_FOLDER", "FeatureRecipe", "Shard", "feature_folder", "plan_shards"]

FEATURES_FOLDER = "features"
"""Folder of all caches in the prepared folder."""
FORMAT = 1
"""Changes with anything that changes what is written."""
SHARD_PIXELS = 2**23
"""Pixels of the patches of one file, as near as may be: 256 MiB of four taps of 1024 channels at stride 16."""
LARGEST_SHARD = 64
"""Patches of one file at most: the header of a file with many small ones would take long to read."""


@dataclass(frozen=True)
class FeatureRecipe:
    """All that decides the features of a patch beside its pixels.

    Attributes:
        model: What the architecture says of its frozen part: network, taps, norm, layout, as plain data.
        weights: Hash of the frozen weights.
        normalisation: What the network sees.
        dtype: Type that features are kept in.
        views: Views of each training patch.
    """

    model: Mapping[str, object]
    weights: str
    normalisation: Normalisation
    dtype: StoredType
    views: tuple[View, ...]

    def described(self, prepared: Prepared) -> dict[str, Any]:
        """Return the recipe as plain data, with what a data set adds to it: bands and the size of its patches."""
        return {
            "format": FORMAT,
            "model": dict(self.model),
            "weights": self.weights,
            "normalisation": self.normalisation.model_dump(mode="json"),
            "dtype": self.dtype,
            "views": list(ordered(self.views)),
            "bands": prepared.bands.model_dump(mode="json"),
            "patch_size": prepared.patch_size,
        }


@dataclass(frozen=True)
class Shard:
    """One file of the cache.

    Attributes:
        name: Of the file.
        view: Of all its patches.
        padded: Whether these are smaller than the patch size and were filled up to it, as training does.
        rows: Rows of the patch index, in the file's order; equal shapes follow one another.
    """

    name: str
    view: View
    padded: bool
    rows: tuple[int, ...]


def feature_folder(prepared: Prepared, recipe: FeatureRecipe) -> Path:
    """Return where the features of a recipe lie, whether they exist or not."""
    return prepared.folder / FEATURES_FOLDER / fingerprint(recipe.described(prepared))[:32]


def plan_shards(prepared: Prepared, recipe: FeatureRecipe) -> tuple[Shard, ...]:
    """Return the files that hold every view of the training patches, and every other labelled patch as it is.

    Files hold neighbouring rows of the index, whatever their role, so that changed images concern few files.

    Raises:
        DataError: An image is missing.
    """
    side = prepared.patch_size
    wanted: dict[tuple[int, View, bool], list[int]] = defaultdict(list)
    block = max(1, min(LARGEST_SHARD, SHARD_PIXELS // side**2))
    for (view, padded), rows in _wanted(prepared, recipe, side).items():
        for row in rows:
            wanted[row // block, view, padded].append(row)
    images = _Images(prepared)
    index = prepared.index
    shards = []
    for (_, view, padded), rows in wanted.items():
        shapes = {row: (index.window(row).height, index.window(row).width) for row in rows}
        inside = tuple(sorted(rows, key=lambda row: (shapes[row], row)))
        patches = [[images.state(index.image_id(row)), list(index.window(row))] for row in inside]
        name = fingerprint({"format": FORMAT, "view": view, "side": side if padded else None, "patches": patches})
        shards.append(Shard(f"{name[:32]}.safetensors", view, padded, inside))
    return tuple(shards)


def _wanted(prepared: Prepared, recipe: FeatureRecipe, side: int) -> dict[tuple[View, bool], list[int]]:
    """Return the rows that are needed in each view, as they are or filled up."""
    index = prepared.index
    whole = {row: index.window(row)[2:] == (side, side) for row in range(len(index))}
    training = prepared.training_rows()
    seen = ordered(recipe.views)
    wanted: dict[tuple[View, bool], list[int]] = {(view, False): [r for r in training if whole[r]] for view in seen}
    wanted |= {(view, True): [row for row in training if not whole[row]] for view in seen}
    # What has no labelled pixel is never evaluated.
    judged = [row for row in range(len(index)) if any(index.counts(row))]
    trained = set(index.rows("train"))
    plain = {*wanted.get(("identity", False), ()), *(row for row in judged if row not in trained)}
    return wanted | {("identity", False): sorted(plain)}


class _Images:
    """What says that the pixels of an image are still the same; each image is looked at once."""

    def __init__(self, prepared: Prepared) -> None:
        self._entries = {entry.image_id: entry for entry in prepared.catalog.entries()}
        self._states: dict[str, str] = {}

    def state(self, image_id: str) -> str:
        """Return a hash of paths, sizes and times of an image's files, and of how they are read."""
        if image_id not in self._states:
            self._states[image_id] = _state(self._entries[image_id])
        return self._states[image_id]


def _state(entry: ImageEntry) -> str:
    mask = () if entry.mask is None else (entry.mask.file,)
    what = {
        "files": file_states((*entry.files, *mask)),
        "mask": entry.mask.model_dump(mode="json") if entry.mask else None,
        "stack": entry.stack,
        "grid": [entry.crs, entry.transform, entry.height, entry.width],
    }
    return fingerprint(what)
