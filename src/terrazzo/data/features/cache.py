"""The features of one model for one data set: what is there, what is missing, and reading one patch of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.features.index import INDEX_FILE, FeatureIndex, StoredShard, load_index, stored
from terrazzo.data.features.names import View
from terrazzo.data.features.plan import FeatureRecipe, Shard, feature_folder, plan_shards
from terrazzo.data.features.shard import open_shard
from terrazzo.data.features.views import drawn, viewed
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

__all__ = ["FeatureCache", "shard_names"]

_NAME = re.compile(r"[0-9a-f]{32}\.safetensors")


@dataclass(frozen=True)
class FeatureCache:
    """A feature cache, finished or not; it holds no open file and can be sent to loader processes.

    Attributes:
        folder: Where it lies.
        recipe: What decides its features.
        shards: Its files.
        described: The recipe as plain data, for a reader of the index.
    """

    folder: Path
    recipe: FeatureRecipe
    shards: tuple[Shard, ...]
    described: dict[str, object]

    @classmethod
    def of(cls, prepared: Prepared, recipe: FeatureRecipe) -> "FeatureCache":
        """Return the cache of a recipe in a prepared folder, whether it has been filled or not.

        Raises:
            DataError: An image is missing.
        """
        folder = feature_folder(prepared, recipe)
        return cls(folder, recipe, plan_shards(prepared, recipe), recipe.described(prepared))

    def missing(self) -> list[Shard]:
        """Return the files that are not there, or not as they were written.

        Without an index nothing was finished: every file that is there is whole then, since none appears before it is.
        """
        index = load_index(self.folder)
        if index is None and (self.folder / INDEX_FILE).exists():
            # A damaged index says of no file what it was.
            return list(self.shards)

        def is_there(shard: Shard) -> bool:
            path, known = self.folder / shard.name, index.shards.get(shard.name) if index else None
            return path.is_file() if known is None else known.is_at(path)

        return [shard for shard in self.shards if not is_there(shard)]

    @property
    def settled(self) -> bool:
        """Whether it is finished and nothing in its folder has been touched since; no file is read for that."""
        index = load_index(self.folder)
        names = [shard.name for shard in self.shards]
        if index is None or sorted(names) != sorted(index.shards) or sorted(names) != shard_names(self.folder):
            return False
        return all(shard.is_untouched(self.folder / name) for name, shard in index.shards.items())

    @property
    def ready(self) -> bool:
        """Whether it was finished, and every file is there as it was written."""
        index = load_index(self.folder)
        return index is not None and all(
            (known := index.shards.get(shard.name)) is not None and known.is_at(self.folder / shard.name)
            for shard in self.shards
        )

    def finish(self, written: dict[str, str]) -> None:
        """Write the index, then remove files of this folder that no patch needs any more.

        Args:
            written: Hash of each file that was written now; others are hashed unless the last index knows them.
        """
        index = load_index(self.folder)
        known = index.shards if index else {}

        def describe(name: str) -> StoredShard:
            path = self.folder / name
            if name in written:
                return stored(path, written[name])
            kept = known.get(name)
            return stored(path, kept.sha256 if kept is not None and kept.is_at(path) else None)

        FeatureIndex(self.described, {shard.name: describe(shard.name) for shard in self.shards}).save(self.folder)
        needed = {shard.name for shard in self.shards}
        for name in shard_names(self.folder):
            if name not in needed:
                (self.folder / name).unlink(missing_ok=True)

    def holds(self, rows: Iterable[int]) -> bool:
        """Return whether these patches are part of it as evaluation sees them: as they are, never padded."""
        return all((row, "identity", False) in self._places for row in rows)

    def read(
        self, row: int, view: View = "identity", *, padded: bool = False
    ) -> tuple[Float[torch.Tensor, "_channel _y _x"], ...]:
        """Return the features of a patch, each `channel y x`.

        Args:
            row: Of the patch index.
            view: Which view of it.
            padded: Whether it is smaller than the patch size and was filled up to it.

        Raises:
            DataError: The file is missing or damaged.
        """
        name, number = self._places[row, view, padded]
        return open_shard(self.folder / name).read(number)

    def attached(self, sample: Sample, *, augmentation: Augmentation | None, seed: int, padded: bool) -> Sample:
        """Return a view of a sample with that view's features.

        Args:
            sample: As it lies on the disk, or filled up.
            augmentation: Decides in training which view it is; in evaluation, None, it is the sample itself.
            seed: Of the sample.
            padded: Whether it was filled up.
        """
        if augmentation is None:
            return replace(sample, features=self.read(sample.row, padded=padded))
        view = drawn(self.recipe.views, augmentation, seed)
        turned = sample.with_pixels(*(viewed(part, view) for part in (sample.image, sample.target, sample.valid)))
        features = self.read(sample.row, view, padded=padded)
        # Its pixels may no longer lie where the image has them, so evaluation would count nothing of it.
        return replace(turned, features=features, core=Window(0, 0, 0, 0))

    @cached_property
    def _places(self) -> dict[tuple[int, View, bool], tuple[str, int]]:
        return {
            (row, shard.view, shard.padded): (shard.name, number)
            for shard in self.shards
            for number, row in enumerate(shard.rows)
        }


def shard_names(folder: Path) -> list[str]:
    """Return the names of a cache's files in its folder; nobody else's are touched."""
    return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []
