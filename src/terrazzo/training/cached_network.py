"""What a feature cache has to know of a network: that its features can be cached, and which weights make them."""

import hashlib

import torch

from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.names import StoredType, View
from terrazzo.data.features.plan import FeatureRecipe
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError, TrainingError
from terrazzo.models.architecture import Architecture, Cacheable, Network
from terrazzo.models.external import identity

__all__ = ["frozen_weights", "recipe_of", "require_own_features"]


def recipe_of(
    architecture: Architecture,
    network: Network,
    normalisation: Normalisation,
    *,
    dtype: StoredType,
    views: tuple[View, ...],
    built: Network | None = None,
) -> FeatureRecipe:
    """Return what decides the features of a network.

    Args:
        architecture: What the network was built from.
        network: As it was built, before an optimiser froze more of it.
        normalisation: What it sees.
        dtype: Type that features are kept in.
        views: Views of each training patch.
        built: The same network as it was built, where this one no longer knows what is frozen, as that of a bundle.

    Raises:
        ConfigError: The network has no frozen part.
    """
    key = architecture.feature_key()
    if key is None or not isinstance(network, Cacheable):
        raise ConfigError(
            f"prepare.cache: features needs a model with a frozen part, which {architecture.name} with these settings "
            "has not; set prepare.cache: none."
        )
    return FeatureRecipe(key, frozen_weights(network, built=built), normalisation, dtype, views)


def frozen_weights(network: Network, *, built: Network | None = None) -> str:
    """Return a hash of all that a network was built with and never changes: names, types, shapes and values.

    Weights of a file that is known by its SHA-256 are not hashed again.

    Args:
        network: Whose weights are hashed.
        built: Says what of it is frozen; it says so itself if None.
    """
    digest = hashlib.sha256(identity(network).get("sha256", "").encode())
    prefix = network.external.prefix if network.external is not None else None
    for place, told in (built or network).named_modules():
        module, trained = network.get_submodule(place), [one.requires_grad for one in told.parameters(recurse=False)]
        if not trained or any(trained):
            continue
        parameters = dict(module.named_parameters(recurse=False))
        # Statistics of a frozen norm are as much a part of it as its weights.
        for name, value in sorted({**parameters, **dict(module.named_buffers(recurse=False))}.items()):
            whole = f"{place}.{name}"
            if prefix is None or not whole.startswith(prefix):
                digest.update(f"{whole} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_own_features(network: Network, cache: FeatureCache) -> None:
    """Refuse features that other weights have made.

    Args:
        network: As it was built, before an optimiser froze more of it.
        cache: To be read in its place.

    Raises:
        TrainingError: The frozen weights are others.
    """
    if frozen_weights(network) != cache.recipe.weights:
        raise TrainingError(
            f"The features in {cache.folder} were computed by other frozen weights than this network's; run `terrazzo "
            "prepare` with this configuration."
        )
