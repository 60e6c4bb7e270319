from dataclasses import replace

import pytest
import torch

from terrazzo.data.features.cache import FeatureCache
from terrazzo.errors import ConfigError, TrainingError
from terrazzo.models.external import ExternalWeights
from terrazzo.training.cached_network import frozen_weights, recipe_of, require_own_features


def build(settings):
    return settings.build(bands=3, classes=3)


def test_frozen_weights_tell_networks_apart_and_what_is_trained_does_not(frozen):
    first, same, other = build(frozen()), build(frozen()), build(frozen(weights=1))
    assert not torch.equal(first.head.weight, same.head.weight)
    assert frozen_weights(first) == frozen_weights(same)
    assert frozen_weights(first) != frozen_weights(other)
    assert frozen_weights(first) != frozen_weights(build(frozen(frozen=False)))
    first.first.weight.data[0, 0, 0, 0] += 1e-6
    assert frozen_weights(first) != frozen_weights(same)


def test_order_in_memory_and_mode_do_not_matter(frozen):
    network = build(frozen())
    before = frozen_weights(network)
    assert frozen_weights(network.to(memory_format=torch.channels_last).eval()) == before


def test_statistics_of_a_frozen_norm_matter_and_those_of_a_trained_one_do_not(frozen):
    network = build(frozen())
    network.norm, network.own = torch.nn.BatchNorm2d(2).requires_grad_(False), torch.nn.BatchNorm2d(2)
    before = frozen_weights(network)
    network.own.running_mean += 1
    assert frozen_weights(network) == before
    network.norm.running_mean += 1
    assert frozen_weights(network) != before


def test_a_network_that_forgot_what_is_trained_is_told_by_one_that_knows(frozen):
    network = build(frozen())
    before = frozen_weights(network)
    network.requires_grad_(False)
    assert frozen_weights(network) != before
    assert frozen_weights(network, built=build(frozen(weights=1))) == before


def test_weights_of_a_file_count_by_its_hash(frozen):
    networks = [build(frozen(weights=seed)) for seed in (0, 0, 1)]
    for network, digest in zip(networks, ("ab", "cd", "cd"), strict=True):
        network.external = ExternalWeights("model", "file", digest, "first.")
    assert frozen_weights(networks[0]) != frozen_weights(networks[1])
    # What lies outside the file is still hashed.
    assert frozen_weights(networks[1]) != frozen_weights(networks[2])
    networks[2].second.load_state_dict(networks[1].second.state_dict())
    assert frozen_weights(networks[1]) == frozen_weights(networks[2])


def test_changed_weights_of_the_same_description_are_another_cache(frozen, prepared):
    folders = set()
    for settings in (frozen(), frozen(weights=1)):
        recipe = recipe_of(settings, build(settings), prepared.normalisation, dtype="float16", views=("identity",))
        folders.add(FeatureCache.of(prepared, recipe).folder)
    assert frozen().feature_key() == frozen(weights=1).feature_key()
    assert len(folders) == 2


def test_a_network_that_is_trained_whole_is_refused(frozen, tiny, prepared):
    for settings in (frozen(frozen=False), tiny.Tiny()):
        with pytest.raises(ConfigError, match=r"needs a model with a frozen part, which tiny.*prepare\.cache: none"):
            recipe_of(settings, build(settings), prepared.normalisation, dtype="float16", views=("identity",))


def test_features_of_other_weights_are_refused(frozen, prepared):
    network = build(frozen())
    recipe = recipe_of(frozen(), network, prepared.normalisation, dtype="float16", views=("identity",))
    require_own_features(network, FeatureCache.of(prepared, recipe))
    with pytest.raises(TrainingError, match="other frozen weights"):
        require_own_features(network, FeatureCache.of(prepared, replace(recipe, weights="ab")))
