"""From scores to what a map holds: every layer by hand, and pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.errors import ModelError
from terrazzo.scene import PredictSettings
from terrazzo.scene.products import Products, products_of

LAYERS = ("confidence", "entropy", "margin", "probabilities")


def products(*layers: str, classes: int = 3, ignore: int = 255, **more: object) -> Products:
    return products_of(PredictSettings(layers=layers, **more), classes=classes, ignore=ignore)


def column(*scores: float) -> torch.Tensor:
    return torch.tensor(scores, dtype=torch.float32).reshape(-1, 1, 1)


def decided(found: Products, scores: torch.Tensor) -> dict[str, list[float]]:
    return {name: values.flatten().tolist() for name, values in found.decide(scores, y=0).items()}


class TestLayers:
    def test_by_hand(self) -> None:
        share = (0.5, 0.3, 0.2)
        found = decided(products(*LAYERS), column(*share))
        entropy = -sum(one * math.log(one) for one in share) / math.log(3)
        assert found == {
            "class": [0],
            "confidence": [127],
            "entropy": [round(254 * entropy)],
            "margin": [round(254 * 0.2)],
            "probabilities": [127, 76, 51],
        }

    def test_logits_become_probabilities_at_the_end(self) -> None:
        logits = column(1.0, 3.0, -2.0)
        shares = [math.exp(one) / sum(map(math.exp, (1, 3, -2))) for one in (1, 3, -2)]
        found = decided(products(*LAYERS, blend="logits"), logits)
        assert found["class"] == [1]
        assert found["confidence"] == [round(254 * shares[1])]
        assert found["margin"] == [round(254 * (shares[1] - shares[0]))]
        assert found["probabilities"] == [round(254 * share) for share in shares]

    def test_large_logits_do_not_overflow(self) -> None:
        found = decided(products(*LAYERS, blend="logits"), column(1e30, -1e30, 0.0))
        assert found == {
            "class": [0],
            "confidence": [254],
            "entropy": [0],
            "margin": [254],
            "probabilities": [254, 0, 0],
        }

    def test_a_class_that_a_network_rules_out_has_probability_zero(self) -> None:
        found = decided(products(*LAYERS, blend="logits"), column(0.0, -math.inf, 0.0))
        assert found["probabilities"] == [127, 0, 127]
        assert found["entropy"] == [round(254 * math.log(2) / math.log(3))]

    def test_certain_and_undecided_are_the_ends_of_each_scale(self) -> None:
        sure = decided(products(*LAYERS), column(0.0, 1.0, 0.0))
        assert (sure["confidence"], sure["entropy"], sure["margin"]) == ([254], [0], [254])
        torn = decided(products(*LAYERS, classes=4), column(*[0.25] * 4))
        assert (torn["entropy"], torn["margin"], torn["class"]) == ([254], [0], [0])

    def test_rounding_above_one_never_becomes_the_missing_value(self) -> None:
        assert decided(products(*LAYERS), column(1.005, -0.005, 0.0))["confidence"] == [254]

    def test_half_precision_probabilities(self) -> None:
        found = products("probabilities", probability_type="float16")
        values = found.decide(column(0.5, 0.3, 0.2), y=0)["probabilities"]
        assert values.dtype == torch.float16
        assert values.flatten().tolist() == [float(np.float16(one)) for one in (0.5, 0.3, 0.2)]

    def test_steps_are_the_last_channel_in_tenths(self) -> None:
        found = products("steps", "confidence")
        assert found.channels == 4
        assert decided(found, column(0.1, 0.2, 0.7, 3.26)) == {"class": [2], "steps": [33], "confidence": [178]}

    def test_layers_keep_the_order_of_the_settings(self) -> None:
        assert [product.name for product in products("margin", "confidence")] == ["class", "margin", "confidence"]


class TestClass:
    def test_the_first_of_equal_classes_wins(self) -> None:
        scores = torch.full((4, 3, 5), 0.25)
        assert (products(classes=4).decide(scores, y=0)["class"] == 0).all()

    def test_more_than_254_classes_are_16_bits(self) -> None:
        found = products(classes=300, ignore=65535)
        scores = torch.zeros(300, 1, 2)
        scores[299, 0, 1] = 1
        assert found.decide(scores, y=0)["class"].numpy().tolist() == [[[0, 299]]]
        assert found.items[0].dtype == np.uint16
        assert found.pixel_bytes == 2

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_answers_that_are_no_numbers_are_an_error_that_names_the_rows(self, value: float) -> None:
        scores = torch.rand(2, 4, 7)
        scores[:, 2, 3] = value
        with pytest.raises(ModelError, match="not a number in rows 40 to 43"):
            products(classes=2).decide(scores, y=40)

    def test_one_class_that_is_no_number_is_enough(self) -> None:
        scores = torch.rand(3, 4, 7)
        scores[2, 2, 3] = math.nan
        with pytest.raises(ModelError, match="not a number"):
            products().decide(scores, y=0)


@pytest.mark.parametrize("blend", ["probabilities", "logits"])
@pytest.mark.parametrize("classes", [2, 3, 19])
def test_a_pixels_bits_do_not_depend_on_the_piece_it_comes_in(blend: str, classes: int) -> None:
    found = products(*LAYERS, "steps", classes=classes, blend=blend, probability_type="float16")
    generator = torch.Generator().manual_seed(classes)
    scores = 4 * torch.randn(classes + 1, 40, 90, generator=generator)
    if blend == "probabilities":
        scores[:-1] = scores[:-1].softmax(0)
    scores[-1].abs_()
    whole = found.decide(scores, y=0)

    @settings(max_examples=60, deadline=None)
    @given(st.tuples(st.integers(0, 39), st.integers(0, 39)), st.tuples(st.integers(0, 89), st.integers(0, 89)))
    def check(y: tuple[int, int], x: tuple[int, int]) -> None:
        rows, columns = slice(min(y), max(y) + 1), slice(min(x), max(x) + 1)
        for piece in (scores[:, rows, columns], scores[:, rows, columns].contiguous()):
            for name, values in found.decide(piece, y=0).items():
                assert torch.equal(values, whole[name][:, rows, columns]), name

    check()


def test_floating_point_sums_are_exactly_those_of_a_single_pixel() -> None:
    # Rounding to 254 steps would hide most of what the order of summing does.
    from terrazzo.scene.products import _softmax, _summed

    logits = 3 * torch.randn(19, 33, 47, generator=torch.Generator().manual_seed(0))
    whole = _softmax(logits, logits.amax(0))
    for rows, columns in [(slice(0, 1), slice(0, 47)), (slice(4, 5), slice(9, 10)), (slice(2, 9), slice(3, 40))]:
        piece = logits[:, rows, columns]
        assert torch.equal(_softmax(piece, piece.amax(0)), whole[:, rows, columns])
        assert torch.equal(_summed(piece), _summed(logits)[rows, columns])
    torch.testing.assert_close(whole, logits.softmax(0), atol=1e-6, rtol=1e-6)


def test_scores_are_not_changed() -> None:
    scores = torch.rand(3, 4, 5)
    before = scores.clone()
    for blend in ("probabilities", "logits"):
        products(*LAYERS, blend=blend).decide(scores, y=0)
        assert torch.equal(scores, before)


def test_missing_rows_hold_each_products_missing_value() -> None:
    found = products("probabilities", "steps", probability_type="float16", ignore=255)
    rows = found.missing(2, 3, device=torch.device("cpu"))
    assert {name: values.shape for name, values in rows.items()} == {
        "class": (1, 2, 3),
        "probabilities": (3, 2, 3),
        "steps": (1, 2, 3),
    }
    assert (rows["class"] == 255).all()
    assert rows["probabilities"].isnan().all()
    assert (rows["steps"] == 255).all()
    assert found.pixel_bytes == 1 + 3 * 2 + 1
