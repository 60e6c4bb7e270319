"""The feature cache of a configuration: filled before training, and found again when a trained bundle is judged."""

import torch

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.data.settings import PrepareSettings
from terrazzo.errors import ConfigError, ModelError
from terrazzo.machine import configure
from terrazzo.models.architecture import Network
from terrazzo.phases.normalisation import expected_normalisation
from terrazzo.progress import Listener, silent
from terrazzo.training.cached_network import recipe_of
from terrazzo.training.caching import Encoder, fill
from terrazzo.training.distributed import Processes, started_together

__all__ = ["cached_features", "features_before_training", "features_of_bundle"]


def cached_features(
    config: RunConfig,
    prepared: Prepared,
    *,
    processes: Processes | None = None,
    force: bool = False,
    listener: Listener = silent,
) -> FeatureCache | None:
    """Return the whole feature cache of a configuration, after computing what is missing or damaged.

    Args:
        config: The configuration.
        prepared: Its data.
        processes: Those that share the work, each of which must call this; None for this one alone.
        force: Compute everything again.
        listener: Receives progress, from the first process.

    Returns:
        The cache; None where none is asked for.

    Raises:
        ConfigError: The model has no frozen part, or this machine lacks the device.
        ModelError: The model cannot be built, or its features are not finite.
        SpaceError: The disk has too little room.
    """
    settings = config.prepare
    if settings.cache == "none":
        return None
    with torch.random.fork_rng(devices=[]):
        # As training does: random weights that stay frozen must be the same.
        torch.manual_seed(config.seed)
        network = config.model.build(bands=len(prepared.bands), classes=len(prepared.classes))
    normalisation = expected_normalisation(config.model, prepared) or prepared.normalisation
    cache = _cache(config, network, normalisation, prepared)
    encoder = _encoder(config, network, processes)
    fill(cache, prepared, encoder, force=force, listener=listener)
    return cache


def features_before_training(
    config: RunConfig, prepared: Prepared, *, force: bool = False, listener: Listener = silent
) -> FeatureCache | None:
    """Return the whole feature cache, as `cached_features`, unless a launcher started this process as one of several.

    Of these only one prepares, and the others would wait for it; training shares the work among all.

    Args:
        config: The configuration.
        prepared: Its data.
        force: Compute everything again.
        listener: Receives progress.

    Returns:
        The cache; None where none is asked for, or it is left to training.
    """
    return None if started_together() else cached_features(config, prepared, force=force, listener=listener)


def features_of_bundle(
    bundle: Bundle, network: Network, prepared: Prepared, config: RunConfig | None
) -> FeatureCache | None:
    """Return the cache that holds the frozen features of a bundle, where a whole one lies beside the data.

    Args:
        bundle: The bundle.
        network: Its network.
        prepared: The data to judge on.
        config: Says how features were cached.

    Returns:
        The cache; None where the bundle's network computes its own features: none were asked for, they are not whole,
        or they are those of another network.
    """
    if config is None or config.prepare.cache == "none" or bundle.resize is not None:
        return None
    if config.model.without_pretraining() != bundle.architecture:
        return None
    try:
        cache = _cache(config, network, bundle.normalisation, prepared, built=_as_built(bundle))
    except (ConfigError, ModelError):
        # The weights that the configuration names are no longer there, but the bundle has found them elsewhere.
        return None
    return cache if cache.ready else None


def _as_built(bundle: Bundle) -> Network:
    """Return a bundle's network without its weights: nothing of the bundle's own is left to train."""
    bands, classes = len(bundle.bands), len(bundle.classes)
    with torch.random.fork_rng(devices=[]):
        if bundle.backbone is not None:
            return bundle.architecture.build_without_external(bands=bands, classes=classes)
        return bundle.architecture.build(bands=bands, classes=classes)


def _cache(
    config: RunConfig,
    network: Network,
    normalisation: Normalisation,
    prepared: Prepared,
    *,
    built: Network | None = None,
) -> FeatureCache:
    settings = config.prepare
    recipe = recipe_of(
        config.model,
        network,
        normalisation,
        dtype=settings.cache_dtype,
        views=settings.cache_views,
        built=built,
    )
    return FeatureCache.of(prepared, recipe)


def _encoder(config: RunConfig, network: Network, processes: Processes | None) -> Encoder:
    settings = config.prepare
    device = _device(settings, processes)
    if processes is None:
        kind = "cuda" if device.type == "cuda" else "cpu"
        execution = configure(config.machine.model_copy(update={"accelerator": kind, "precision": "float32"}))
    else:
        execution = processes.execution
    return Encoder(
        network=network,
        device=device,
        batch_size=settings.cache_batch_size,
        workers=execution.workers,
        processes=processes,
    )


def _device(settings: PrepareSettings, processes: Processes | None) -> torch.device:
    """Return where features are computed: on a process's own device where that is of the asked kind."""
    if processes is not None and settings.device in ("auto", processes.device.type):
        return processes.device
    present = torch.cuda.is_available()
    if settings.device == "cuda" and not present:
        raise ConfigError("prepare.device is cuda, but this machine has none; use auto or cpu.")
    return torch.device("cuda" if settings.device != "cpu" and present else "cpu")
