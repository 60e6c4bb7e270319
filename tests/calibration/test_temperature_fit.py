"""Fitted temperatures are the optimum, recover what is known, and never run away."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from terrazzo.calibration.temperature_fit import HIGHEST, LOWEST, RIDGE, fit_scalar, fit_steps, fit_vector, nll


def sampled(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """Draw a class for each row of logits from its own probabilities."""
    draws = np.random.default_rng(seed).random((len(truth), 1))
    return (softmax(truth, axis=1).cumsum(axis=1) < draws).sum(axis=1).clip(0, truth.shape[1] - 1).astype(np.int64)


def logits(count: int = 20_000, classes: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2.5, (count, classes)).astype(np.float32)


def reference_nll(scores: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    rows = log_softmax(scores.astype(np.float64), axis=1)[np.arange(len(target)), target]
    return float(-(rows * weight).sum() / weight.sum())


class TestScalar:
    @pytest.mark.parametrize("known", [0.4, 1.0, 2.5])
    def test_recovers_what_labels_were_drawn_with(self, known: float) -> None:
        scores = logits()
        found = fit_scalar(scores, sampled(scores / known), np.ones(len(scores)))
        assert found.temperature == pytest.approx(known, rel=0.03)

    def test_is_the_optimum_of_an_independent_search(self) -> None:
        scores, weight = logits(3000), np.random.default_rng(3).uniform(0.2, 9, 3000)
        target = sampled(scores / 1.7)
        found = fit_scalar(scores, target, weight)
        reference = minimize_scalar(
            lambda log: reference_nll(scores.astype(np.float64) / math.exp(log), target, weight),
            bounds=(-3, 3),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert found.temperature == pytest.approx(math.exp(reference.x), rel=1e-6)
        assert nll(scores / np.float32(found.temperature), target, weight) == pytest.approx(reference.fun, abs=1e-7)

    def test_a_weight_is_so_many_pixels(self) -> None:
        scores = logits(400)
        target = sampled(scores / 2)
        weight = np.random.default_rng(5).integers(1, 4, 400)
        repeated = np.repeat(np.arange(400), weight)
        weighted = fit_scalar(scores, target, weight.astype(np.float64))
        plain = fit_scalar(scores[repeated], target[repeated], np.ones(len(repeated)))
        assert weighted.temperature == pytest.approx(plain.temperature, rel=1e-6)

    def test_log_probabilities_give_what_logits_give(self) -> None:
        scores = logits(2000)
        target = sampled(scores / 3)
        shifted = log_softmax(scores, axis=1).astype(np.float32)
        one, other = (fit_scalar(values, target, np.ones(2000)).temperature for values in (scores, shifted))
        assert one == pytest.approx(other, rel=1e-4)

    def test_stays_within_bounds_where_every_pixel_is_right_or_none(self) -> None:
        scores = logits(200)
        right, wrong = scores.argmax(axis=1), scores.argmin(axis=1)
        assert fit_scalar(scores, right, np.ones(200)).temperature >= LOWEST
        assert fit_scalar(scores, right, np.ones(200)).temperature < 0.2
        assert 20 < fit_scalar(scores, wrong, np.ones(200)).temperature <= HIGHEST * (1 + 1e-12)

    def test_answers_that_say_nothing_leave_it_at_one(self) -> None:
        assert fit_scalar(np.zeros((5, 3), np.float32), np.arange(5) % 3, np.ones(5)).temperature == 1
        assert fit_scalar(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.ones(1)).temperature == 1

    def test_extreme_scores(self) -> None:
        scores = logits(2000) * np.float32(1e4)
        found = fit_scalar(scores, sampled(logits(2000)), np.ones(2000)).temperature
        assert found == pytest.approx(HIGHEST)


class TestSteps:
    def test_each_step_by_itself(self) -> None:
        known = (3.0, 1.5, 0.8)
        base = logits()
        target = sampled(base)
        steps = np.stack([base * factor for factor in known], axis=1).astype(np.float32)
        found = fit_steps(steps, target, np.ones(len(base)))
        np.testing.assert_allclose(found.temperatures, known, rtol=0.03)
        assert found.temperatures[1] == fit_scalar(steps[:, 1], target, np.ones(len(base))).temperature


class TestVector:
    def test_recovers_factors_and_offsets(self) -> None:
        scores = log_softmax(logits(60_000, 3), axis=1).astype(np.float32)
        weight, bias = np.array([0.5, 0.8, 0.6]), np.array([0.4, -0.3, -0.1])
        found = fit_vector(scores, sampled(scores * weight + bias), np.ones(len(scores)))
        np.testing.assert_allclose(found.weight, weight, rtol=0.05)
        np.testing.assert_allclose(np.array(found.bias) - np.mean(found.bias), bias - bias.mean(), atol=0.05)

    def test_is_the_optimum_of_an_independent_search(self) -> None:
        scores = log_softmax(logits(1500, 3), axis=1).astype(np.float32)
        target = sampled(scores * np.array([0.5, 1.2, 0.8]) + np.array([0.5, 0.0, -0.5]))
        ones = np.ones(1500)

        def objective(values: np.ndarray) -> float:
            common, deviations, offsets = values[0], values[1:4] - values[1:4].mean(), values[4:]
            price = (deviations**2).sum() + (offsets**2).sum()
            return reference_nll(scores * np.exp(common + deviations) + offsets, target, ones) + RIDGE * price

        reference = minimize(objective, np.zeros(7), method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9})
        found = fit_vector(scores, target, ones)
        own = reference.x[1:4] - reference.x[1:4].mean()
        np.testing.assert_allclose(found.weight, np.exp(reference.x[0] + own), rtol=2e-3)
        np.testing.assert_allclose(found.bias, reference.x[4:], atol=2e-3)

    def test_a_class_without_pixels_stays_where_the_others_are(self) -> None:
        scores = logits(5000, 4)
        truth = scores / 2
        truth[:, 2] = -np.inf
        found = fit_vector(log_softmax(scores, axis=1).astype(np.float32), sampled(truth), np.ones(5000))
        assert found.bias[2] == 0
        others = [found.weight[number] for number in (0, 1, 3)]
        assert found.weight[2] == pytest.approx(np.prod(others) ** (1 / 3))
        assert max(others) < 0.8

    def test_a_class_of_one_pixel_does_not_run_away(self) -> None:
        scores = log_softmax(logits(5000, 3), axis=1).astype(np.float32)
        target = sampled(scores)
        target[target == 2] = 0
        target[0] = 2
        found = fit_vector(scores, target, np.ones(5000))
        assert abs(found.bias[2]) < 10
        assert LOWEST < found.weight[2] < HIGHEST

    def test_one_class_alone(self) -> None:
        found = fit_vector(np.zeros((3, 1), np.float32), np.zeros(3, np.int64), np.ones(3))
        assert (found.weight, found.bias) == ((1.0,), (0.0,))

    def test_never_worse_than_one_temperature(self) -> None:
        scores = log_softmax(logits(4000, 4), axis=1).astype(np.float32)
        target, ones = sampled(scores / 2), np.ones(4000)
        scalar, vector = fit_scalar(scores, target, ones), fit_vector(scores, target, ones)
        scaled = scores * np.float32(vector.weight) + np.float32(vector.bias)
        assert nll(scaled, target, ones) <= nll(scores / np.float32(scalar.temperature), target, ones) + 1e-4
