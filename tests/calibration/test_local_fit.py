"""A local temperature finds where answers are too sure, stops by images that it does not see, and repeats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn.functional import cross_entropy

from terrazzo.calibration.local_fit import LocalFit, Surroundings, fit_local, local_nll
from terrazzo.calibration.local_temperature import around
from terrazzo.calibration.temperature_fit import fit_scalar, nll

SIDE = 40


def scene(seed: int, *, known: tuple[float, float] = (0.8, 3.0)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, an image whose right half is bright, and labels drawn with one temperature in either half."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, SIDE, SIDE, generator=generator) + 5
    image = 0.3 * torch.randn(2, SIDE, SIDE, generator=generator)
    image[0, :, SIDE // 2 :] += 4
    temperature = torch.full((SIDE, SIDE), known[0])
    temperature[:, SIDE // 2 :] = known[1]
    shares = softmax((logits / temperature).numpy(), axis=0).reshape(4, -1)
    draws = np.random.default_rng(seed).random(SIDE * SIDE)
    target = (shares.cumsum(axis=0) < draws).sum(axis=0).clip(0, 3)
    return logits, image, torch.from_numpy(target.astype(np.int64)).reshape(SIDE, SIDE)


def surroundings(seeds: range, **known: tuple[float, float]) -> Surroundings:
    """All pixels of some scenes, the first of which is held."""
    positions = torch.arange(SIDE)
    rows, columns = around(positions, SIDE), around(positions, SIDE)
    parts = []
    for seed in seeds:
        logits, image, target = scene(seed, **known)
        taken = [
            values[:, rows][:, :, :, columns].permute(1, 3, 0, 2, 4).reshape(-1, len(values), 5, 5).numpy()
            for values in (logits, image)
        ]
        parts.append((*taken, target.flatten().numpy(), np.full(SIDE * SIDE, seed == seeds.start)))
    logits, image, target, held = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Surroundings(logits, image, target, np.ones(len(target)), held)


@pytest.fixture(scope="module")
def pixels() -> Surroundings:
    return surroundings(range(4))


@pytest.fixture(scope="module")
def fitted(pixels: Surroundings) -> LocalFit:
    return fit_local(pixels)


def test_finds_where_answers_are_too_sure(fitted: LocalFit) -> None:
    logits, image, target = scene(99)
    found = fitted.temperature.temperatures(logits[None], image[None])[0]
    assert float(found[:, 4:16].mean()) == pytest.approx(0.8, abs=0.25)
    assert float(found[:, 24:36].mean()) == pytest.approx(3.0, rel=0.25)
    local = cross_entropy(fitted.temperature(logits[None], image[None], None), target[None])
    own, labels = logits.flatten(1).T.numpy().copy(), target.flatten().numpy()
    scalar = fit_scalar(own, labels, np.ones(len(labels))).temperature
    # Even the one temperature that is best for this very scene is no match.
    assert float(local) < nll(own / np.float32(scalar), labels, np.ones(len(labels))) - 0.02


def test_the_record_is_what_was_fitted(pixels: Surroundings, fitted: LocalFit) -> None:
    held = replace(
        pixels,
        **{name: getattr(pixels, name)[pixels.held] for name in ("logits", "image", "target", "weight", "held")},
    )
    assert fitted.held_after < fitted.held_before - 0.05
    assert local_nll(held, None) == pytest.approx(fitted.held_before, abs=1e-6)
    # Fitted on scaled values, kept for values as they are.
    assert local_nll(held, fitted.temperature) == pytest.approx(fitted.held_after, abs=1e-4)
    logits, image, target = scene(0)
    through = cross_entropy(fitted.temperature(logits[None], image[None], None), target[None])
    assert float(through) == pytest.approx(fitted.held_after, abs=1e-4)


def test_branches_differ_so_that_logits_can_be_told_apart() -> None:
    draw = np.random.default_rng(4)
    logits = draw.normal(0, 3, (6000, 3, 5, 5)).astype(np.float32)
    own = logits[:, :, 2, 2]
    truth = own / np.where(own[:, :1] > 0, 4.0, 0.7)
    target = (softmax(truth, axis=1).cumsum(axis=1) < draw.random((6000, 1))).sum(axis=1).clip(0, 2).astype(np.int64)
    image = np.zeros((6000, 1, 5, 5), np.float32)
    pixels = Surroundings(logits, image, target, np.ones(6000), np.arange(6000) % 3 == 0)
    found = fit_local(pixels)
    scalar = fit_scalar(own, target, np.ones(6000)).temperature
    held = own[pixels.held] / np.float32(scalar)
    assert found.held_after < nll(held, target[pixels.held], np.ones(len(held))) - 0.02
    weights = found.temperature.network(torch.device("cpu"))
    for one in range(8):
        for other in range(one):
            assert not torch.allclose(weights.over_logits[one], weights.over_logits[other], atol=1e-4)


def test_repeats_to_the_last_bit() -> None:
    few = surroundings(range(2))
    assert fit_local(few).temperature == fit_local(few).temperature


def test_what_only_fits_by_chance_is_not_kept() -> None:
    few = surroundings(range(2), known=(1.0, 1.0))
    chosen = np.concatenate([np.arange(0, 1600, 20), np.arange(1600, 3200, 20)])
    few = Surroundings(*(getattr(few, name)[chosen] for name in ("logits", "image", "target", "weight", "held")))
    found = fit_local(few)
    assert found.held_after <= found.held_before


def test_a_channel_that_never_differs_is_no_harm() -> None:
    few = surroundings(range(2))
    few.image[:, 1] = 7
    found = fit_local(few)
    assert np.isfinite(found.held_after)
    assert found.held_after < found.held_before
