"""Promises in words: none is told where none was made."""

import pytest

from terrazzo.calibration.record import AbstentionPromise, Conditions, ConformalSets, HaltingPromise, Origin
from terrazzo.calibration.words import abstention_words, halting_words, is_selected, sets_words

CONDITIONS = Conditions(
    window=64, stride=56, margin=0, blend="probabilities", views=("identity",), scales=(1.0,), steps=4
)


def origin(split: str = "calibrate") -> Origin:
    return Origin(split=split, split_hash="0" * 64, images=207, date="2026-01-02", conditions=CONDITIONS)


def halting(**changes: object) -> HaltingPromise:
    parts: dict[str, object] = {
        "tau": 0.6, "method": "wsr", "loss": "error", "epsilon": 0.01, "delta": 0.1, "bound": 0.2, "clipped": 3,
        "grid": (1.0, 0.6), "risk": 0.004, "upper": 0.009, "mean_steps": 2.5, "origin": origin(),
    }  # fmt: skip
    return HaltingPromise.model_validate(parts | changes)


def test_a_promise_says_all_that_makes_it_checkable():
    said = halting_words(halting())
    for part in (
        "0.6",
        "90 % confidence",
        "at most 1 %",
        "wsr",
        "n = 207",
        "calibrate",
        "2026-01-02",
        "3 of them",
        "0.2",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("loss", "words"),
    [("disagreement", "another class"), ("iou", "mean IoU"), ("brier", "Brier"), ("error", "more of the pixels wrong")],
)
def test_each_loss_has_its_words(loss: str, words: str):
    assert words in halting_words(halting(loss=loss))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "quantile", "upper": None}, "without guarantee"),
        ({"origin": origin("val")}, "no promise"),
        ({"origin": origin("val_sea")}, "no promise"),
        ({"tau": 1.0}, "no window stops early"),
    ],
)
def test_where_nothing_is_promised_none_is_told(changes: dict[str, object], words: str):
    said = halting_words(halting(**changes))
    assert words in said
    assert "confidence" not in said


def test_on_average_is_no_confidence():
    said = halting_words(halting(method="crc", delta=None))
    assert "on average over calibrations" in said
    assert "confidence" not in said


def test_abstention_and_sets():
    abstention = AbstentionPromise(
        least_confidence=0.8,
        method="ltt",
        epsilon=0.05,
        delta=0.1,
        kept=0.75,
        grid=(2.0, 0.8, 0.0),
        risk=0.01,
        upper=0.04,
        origin=origin(),
    )
    assert "at most 5 % of the pixels kept are wrong" in abstention_words(abstention)
    assert "75.0 %" in abstention_words(abstention)
    nowhere = abstention.model_copy(update={"least_confidence": 2.0})
    assert "abstain everywhere" in abstention_words(nowhere)
    assert "no promise" in abstention_words(abstention.model_copy(update={"origin": origin("train")}))
    sets = ConformalSets(
        least_probability=0.2, alpha=0.1, missing=0.05, mean_size=1.5, grid=(0.0, 0.2), upper=0.08, origin=origin()
    )
    assert "1.50 classes" in sets_words(sets)
    assert "at most 10 %" in sets_words(sets)
    assert "no promise" in sets_words(sets.model_copy(update={"origin": origin("val")}))


def test_calibrate_and_test_images_selected_nothing():
    assert [is_selected(name) for name in ("train", "val", "val_sea", "calibrate", "test")] == [
        True, True, True, False, False,
    ]  # fmt: skip
