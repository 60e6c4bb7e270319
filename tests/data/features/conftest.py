"""Prepared data with two roles and a small image, and a cache of it whose features say whose they are."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.names import VIEWS
from terrazzo.data.features.plan import FeatureRecipe
from terrazzo.data.features.shard import packed
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import PatchIndex
from terrazzo.data.prepared import Prepared
from terrazzo.storage import write_bytes

RECIPE = FeatureRecipe(
    model={"network": "made up", "taps": [5, 11]},
    weights="ab",
    normalisation=Normalisation(mean=(11.0,) * 3, std=(5.0,) * 3),
    dtype="float16",
    views=("identity", "hflip"),
)


@pytest.fixture
def recipe() -> FeatureRecipe:
    return RECIPE


@pytest.fixture
def prepared(make_prepared: Callable[..., Prepared]) -> Prepared:
    """Images 0 (nine patches) and 1 (small: one row of two patches) train, images 2 and 3 (small) select."""
    made = make_prepared((40, 48), (10, 20), (33, 30), (9, 16))
    frame = made.index.frame.copy()
    frame.loc[frame["image_id"].isin(["ö 2", "ö 3"]), "split"] = "val"
    return replace(made, index=PatchIndex(frame))


def _features_of(row: int, view: str, *, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Two taps that differ for every entry."""
    number = 1000.0 * padded + 100 * VIEWS[view] + row
    return torch.full((2, 3, 4), number, dtype=torch.float16), torch.full((1, 2, 2), number + 0.5, dtype=torch.float16)


@pytest.fixture
def features_of() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    return _features_of


@pytest.fixture
def filled() -> Callable[[FeatureCache], FeatureCache]:
    """Fill a cache by hand and finish it."""

    def fill(cache: FeatureCache) -> FeatureCache:
        written = {}
        for shard in cache.missing():
            content = packed([_features_of(row, shard.view, padded=shard.padded) for row in shard.rows], {})
            write_bytes(cache.folder / shard.name, content)
            written[shard.name] = hashlib.sha256(content).hexdigest()
        cache.finish(written)
        return cache

    return fill
