"""Counts of probabilities against everything in memory: in numpy anew, and torchmetrics where it means the same."""

import json
import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError
from torchmetrics.functional.classification.calibration_error import _ce_compute

from terrazzo.calibration.reliability import Detail, Reliability, ReliabilityMeter
from terrazzo.errors import ConfigError, LabelError, ModelError

Piece = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def piece(classes: int = 5, height: int = 61, width: int = 83, *, seed: int = 0, sharp: float = 2.5) -> Piece:
    """Return overconfident probabilities, their labels and some ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((classes, height, width), generator=generator)
    uniform = torch.rand(logits.shape, generator=generator).clamp_(1e-6, 1 - 1e-6)
    target = (logits - uniform.log().neg().log()).argmax(0)
    target = torch.where(torch.rand((height, width), generator=generator) < 0.1, 0, target)
    ignored = torch.rand((height, width), generator=generator) < 0.2
    return torch.softmax(sharp * logits, 0), torch.where(ignored, 255, target), ignored


def in_memory(probabilities: torch.Tensor, target: torch.Tensor, ignored: torch.Tensor) -> dict[str, float]:
    """Return figures from all values at once, in float64, by the definitions alone."""
    kept = ~ignored.numpy()
    p = probabilities.numpy().astype(np.float64)[:, kept]
    y = target.numpy()[kept]
    top, shown = p.max(axis=0), p.argmax(axis=0)
    hot = np.eye(len(p))[:, y]
    return {
        "ece": equal_width(top, shown == y),
        "classwise_ece": float(np.mean([equal_width(p[c], y == c) for c in range(len(p))])),
        "ace": equal_mass(top, shown == y),
        "classwise_ace": float(np.mean([equal_mass(p[c], y == c) for c in range(len(p))])),
        "brier": float(((p - hot) ** 2).sum(axis=0).mean()),
        "nll": float(-np.log(np.maximum(p[y, np.arange(len(y))], 2.0**-126)).mean()),
        "accuracy": float((shown == y).mean()),
        "confidence": float(top.mean()),
    }


def equal_width(stated: np.ndarray, right: np.ndarray) -> float:
    place = np.minimum((stated * 15).astype(int), 14)
    return sum(
        abs(right[place == b].mean() - stated[place == b].mean()) * (place == b).mean()
        for b in range(15)
        if (place == b).any()
    )


def equal_mass(stated: np.ndarray, right: np.ndarray) -> float:
    order = np.argsort(stated, kind="stable")
    parts = zip(np.array_split(stated[order], 15), np.array_split(right[order], 15), strict=True)
    return sum(abs(r.mean() - s.mean()) * len(s) / len(stated) for s, r in parts if len(s))


def figures(found: Reliability) -> dict[str, float]:
    scores = found.scores()
    return {name: getattr(scores, name) for name in ("ece", "classwise_ece", "brier", "nll", "accuracy", "confidence")}


class TestAgainstAllInMemory:
    @pytest.mark.parametrize("classes", [2, 5, 12])
    @pytest.mark.parametrize("sharp", [0.3, 2.5, 12.0])
    def test_equals_to_a_billionth(self, classes: int, sharp: float) -> None:
        given = piece(classes, sharp=sharp, seed=classes)
        wanted, scores = in_memory(*given), Reliability.of(*given).scores()
        for name in ("ece", "classwise_ece", "brier", "accuracy", "confidence"):
            assert getattr(scores, name) == pytest.approx(wanted[name], abs=1e-9), name
        assert scores.nll == pytest.approx(wanted["nll"], abs=1e-9)

    @pytest.mark.parametrize("sharp", [0.3, 2.5, 12.0, 60.0])
    def test_bins_of_equal_mass_to_a_ten_thousandth(self, sharp: float) -> None:
        # 15 x 1800 pixels, so that numpy's parts are as large as ours; the sharpest are all but certain.
        probabilities, target, _ = piece(3, 150, 180, sharp=sharp)
        none = torch.zeros_like(target, dtype=torch.bool)
        target = target.masked_fill(target == 255, 1)
        wanted = in_memory(probabilities, target, none)
        scores = Reliability.of(probabilities, target, none).scores()
        assert scores.ace == pytest.approx(wanted["ace"], abs=1e-4)
        assert scores.classwise_ace == pytest.approx(wanted["classwise_ace"], abs=1e-4)

    def test_equals_torchmetrics(self) -> None:
        probabilities, target, ignored = piece(5)
        found = Reliability.of(probabilities, target, ignored).scores().ece
        metric = MulticlassCalibrationError(5, n_bins=15, ignore_index=255)
        # It adds in float32.
        assert found == pytest.approx(float(metric(probabilities[None], target[None])), abs=1e-6)
        kept = ~ignored
        top, shown = probabilities[:, kept].double().max(dim=0)
        assert found == pytest.approx(float(_ce_compute(top, shown == target[kept], 15)), abs=1e-9)

    def test_probabilities_on_the_borders_of_bins_go_into_the_upper_one(self) -> None:
        borders = torch.arange(16, dtype=torch.float64).div(15).float()
        probabilities = torch.stack([borders, 1 - borders])[:, None]
        target = torch.zeros((1, 16), dtype=torch.int64)
        first = Reliability.of(probabilities, target, target != 0).scores().classes[0].bins
        # float32 has no fifteenths: which bin is right follows from the exact value of each.
        exact = [min(int(value * 15), 14) for value in borders.double().tolist()]
        assert [one.pixels for one in first] == [exact.count(b) for b in range(15)]
        assert first[14].pixels >= 1

    def test_a_shown_class_that_is_not_the_most_probable(self) -> None:
        probabilities = torch.tensor([[[0.7, 0.6]], [[0.3, 0.4]]])
        target = torch.tensor([[0, 1]])
        chosen = (torch.tensor([[0.7, 0.4]]), torch.tensor([[0, 1]], dtype=torch.uint8))
        scores = Reliability.of(probabilities, target, target == 9, chosen).scores()
        assert scores.accuracy == 1
        assert scores.confidence == pytest.approx(0.55)
        assert scores.ece == pytest.approx(0.45)
        # The classes' own probabilities do not depend on what is shown.
        assert scores.classwise_ece == pytest.approx(
            Reliability.of(probabilities, target, target == 9).scores().classwise_ece
        )

    def test_pixels_of_one_probability_are_never_told_apart_by_their_order(self) -> None:
        probabilities = torch.full((2, 1, 30), 0.5)
        target = torch.tensor([[0] * 15 + [1] * 15])
        for labels in (target, target.flip(1)):
            assert Reliability.of(probabilities, labels, labels == 9).scores().ace == pytest.approx(0, abs=1e-4)

    def test_of_equals_the_first_is_shown(self) -> None:
        probabilities = torch.tensor([0.2, 0.4, 0.4]).reshape(3, 1, 1)
        for number, wanted in enumerate((0, 1, 0)):
            target = torch.tensor([[number]])
            assert Reliability.of(probabilities, target, target == 9).scores().accuracy == wanted


class TestExactness:
    @pytest.mark.parametrize("rows", [[11], [1] * 11, [2, 6, 3], [10, 1]])
    def test_pieces_and_their_order_change_no_bit(self, rows: list[int]) -> None:
        probabilities, target, ignored = piece(height=11)
        whole = Reliability.of(probabilities, target, ignored)
        parts = zip(probabilities.split(rows, 1), target.split(rows), ignored.split(rows), strict=True)
        counted = [Reliability.of(*part) for part in parts]
        meter = ReliabilityMeter(5)
        for part in zip(probabilities.split(rows, 1), target.split(rows), ignored.split(rows), strict=True):
            meter.add(*part)
        forth, back = Reliability.zero(5), Reliability.zero(5)
        for one, other in zip(counted, reversed(counted), strict=True):
            forth, back = forth + one, back + other
        assert forth == whole
        assert back == whole
        assert meter.counted() == whole

    def test_order_of_pixels_changes_no_bit(self) -> None:
        probabilities, target, ignored = piece()
        turned = Reliability.of(probabilities.flip(1, 2), target.flip(0, 1), ignored.flip(0, 1))
        assert turned == Reliability.of(probabilities, target, ignored)

    def test_more_pixels_than_are_counted_at_once(self) -> None:
        given = piece(2, 260, 301)
        wanted = in_memory(*given)
        for name, value in figures(Reliability.of(*given)).items():
            assert value == pytest.approx(wanted[name], abs=1e-9), name

    def test_counting_goes_on_without_changing_what_was_handed_out(self) -> None:
        meter = ReliabilityMeter(2)
        meter.add(*piece(2, 9, 8, seed=1))
        early = meter.counted()
        meter.add(*piece(2, 9, 8, seed=2))
        assert early == Reliability.of(*piece(2, 9, 8, seed=1))
        assert meter.counted() == Reliability.of(*piece(2, 9, 8, seed=1)) + Reliability.of(*piece(2, 9, 8, seed=2))
        assert meter.counted() != early

    def test_inside_and_outside_of_inference_mode(self) -> None:
        given = piece(2, 9, 8)
        with torch.inference_mode():
            meter, outside = ReliabilityMeter(2), Reliability.of(*given)
            inside = piece(2, 9, 8)
        meter.add(*given)
        meter.add(*inside)
        given[0].requires_grad_()
        meter.add(*given)
        assert meter.counted() == outside + outside + outside
        assert not meter.counted().shown.stated.values().requires_grad

    def test_layout_in_memory_changes_nothing(self) -> None:
        probabilities, target, ignored = piece()
        turned = probabilities.permute(1, 2, 0).contiguous().permute(2, 0, 1)
        assert Reliability.of(turned, target, ignored) == Reliability.of(probabilities, target, ignored)

    def test_what_is_ignored_may_hold_anything(self) -> None:
        probabilities, target, ignored = piece()
        odd = probabilities.masked_fill(ignored, math.nan)
        assert Reliability.of(odd, target.masked_fill(ignored, -7), ignored) == Reliability.of(
            probabilities, target, ignored
        )


class TestParts:
    def test_by_label_and_whole_agree(self) -> None:
        probabilities, target, ignored = piece()
        scores = Reliability.of(probabilities, target, ignored).scores()
        assert sum(one.pixels for one in scores.classes) == scores.pixels == int((~ignored).sum())
        for name in ("accuracy", "confidence", "brier", "nll"):
            mean = sum(one.pixels * getattr(one, name) for one in scores.classes) / scores.pixels
            assert mean == pytest.approx(getattr(scores, name), abs=1e-9)
        assert scores.classwise_ece == pytest.approx(np.mean([one.probability_ece for one in scores.classes]))
        for number, one in enumerate(scores.classes):
            alone = in_memory(probabilities, target, ignored | (target != number))
            assert one.ece == pytest.approx(alone["ece"], abs=1e-9)
            assert one.brier == pytest.approx(alone["brier"], abs=1e-9)
            assert one.nll == pytest.approx(alone["nll"], abs=1e-9)
            assert sum(b.pixels for b in one.bins) == scores.pixels

    def test_an_absent_class_has_no_figure_of_its_own_pixels(self) -> None:
        probabilities, target, ignored = piece(3)
        scores = Reliability.of(probabilities, target, ignored | (target == 2)).scores()
        absent = scores.classes[2]
        assert absent.pixels == 0
        assert all(math.isnan(value) for value in (absent.ece, absent.accuracy, absent.brier, absent.nll))
        # It is given probability all the same, wrongly.
        assert absent.probability_ece > 0.05
        assert not math.isnan(scores.classwise_ece)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1)])
    def test_few_pixels(self, shape: tuple[int, int]) -> None:
        given = piece(3, *shape, seed=3)
        none = torch.zeros(shape, dtype=torch.bool)
        target = given[1].clamp(max=2)
        wanted = in_memory(given[0], target, none)
        for name, value in figures(Reliability.of(given[0], target, none)).items():
            assert value == pytest.approx(wanted[name], abs=1e-9)

    @pytest.mark.parametrize("shape", [(2, 3), (0, 4)])
    def test_nothing_counted(self, shape: tuple[int, int]) -> None:
        probabilities = torch.zeros((3, *shape))
        target = torch.full(shape, 255)
        found = Reliability.of(probabilities, target, target == 255)
        assert found == Reliability.zero(3)
        assert found.pixels == 0
        assert all(math.isnan(value) for value in figures(found).values())
        assert math.isnan(found.scores().ace)

    def test_a_single_class(self) -> None:
        target = torch.zeros((2, 2), dtype=torch.int64)
        scores = Reliability.of(torch.ones((1, 2, 2)), target, target != 0).scores()
        assert (scores.ece, scores.brier, scores.nll, scores.accuracy) == (0, 0, 0, 1)

    def test_a_likelihood_of_nothing_is_bounded(self) -> None:
        probabilities = torch.tensor([[[1.0]], [[0.0]]])
        scores = Reliability.of(probabilities, torch.tensor([[1]]), torch.tensor([[False]])).scores()
        assert scores.nll == pytest.approx(87.336544, abs=1e-5)
        assert scores.brier == 2
        assert scores.ece == 1

    @pytest.mark.parametrize("detail", ["top", "binned"])
    def test_what_was_not_measured_is_unknown(self, detail: Detail) -> None:
        given = piece(3)
        whole, lean = Reliability.of(*given).scores(), Reliability.of(*given, detail=detail).scores()
        assert (lean.ece, lean.accuracy, lean.confidence) == (whole.ece, whole.accuracy, whole.confidence)
        assert math.isnan(lean.ace)
        assert math.isnan(lean.classwise_ace)
        if detail == "top":
            assert all(math.isnan(value) for value in (lean.brier, lean.nll, lean.classwise_ece))
            assert lean.classes[0].bins == ()
        else:
            assert (lean.brier, lean.nll, lean.classwise_ece) == (whole.brier, whole.nll, whole.classwise_ece)
        mixed = Reliability.of(*given) + Reliability.of(*given, detail=detail)
        assert mixed == Reliability.of(*given, detail=detail) + Reliability.of(*given)
        assert math.isnan(mixed.scores().ace)

    def test_json(self) -> None:
        found = Reliability.of(*piece(3), detail="binned").as_dict()
        again = json.loads(json.dumps(found, allow_nan=False))
        assert again == found
        assert again["ace"] is None
        assert len(again["bins"]) == 15
        assert set(again["bins"][0]) == {"pixels", "stated", "found"}
        assert again["bins"][0]["found"] is None
        assert [len(one["bins"]) for one in again["classes"]] == [15, 15, 15]


class TestRefusals:
    def test_labels_that_are_no_classes(self) -> None:
        probabilities, target, ignored = piece(3)
        with pytest.raises(LabelError, match=r"Labels \[255\] are no classes \(0..2\)"):
            Reliability.of(probabilities, target, torch.zeros_like(ignored))

    @pytest.mark.parametrize("value", [math.nan, math.inf, 1.5, -0.5])
    def test_scores_that_are_no_probabilities(self, value: float) -> None:
        probabilities, target, ignored = piece(3)
        probabilities[1, ~ignored] = value
        with pytest.raises(ModelError, match="instead of 0 to 1"):
            Reliability.of(probabilities, target, ignored)

    def test_shown_classes_that_are_none(self) -> None:
        probabilities, target, ignored = piece(3)
        best = probabilities.max(dim=0)
        with pytest.raises(ModelError, match=r"only 0\.\.2"):
            Reliability.of(probabilities, target, ignored, (best.values, best.indices + 1))
        with pytest.raises(ModelError, match="instead of 0 to 1"):
            Reliability.of(probabilities, target, ignored, (best.values * 100, best.indices))

    def test_numbers_of_classes_that_differ(self) -> None:
        with pytest.raises(ModelError, match="3 classes cannot be added to reliability of 4"):
            Reliability.zero(3) + Reliability.zero(4)
        with pytest.raises(ModelError, match="3 probabilities a pixel were given for 4 classes"):
            ReliabilityMeter(4).add(*piece(3))

    def test_unknown_detail_and_no_class(self) -> None:
        with pytest.raises(ConfigError, match="at least 1 class"):
            Reliability.zero(0)
