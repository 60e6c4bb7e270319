"""The accumulator: out comes the weighted mean, whatever the strips; missing pixels and NaN are never hidden."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.errors import ModelError
from terrazzo.scene.blend import Accumulator, FinishedRows
from terrazzo.scene.windows import Axis


def run(
    scores: torch.Tensor, rows: Axis, columns: Axis, *, valid: np.ndarray | None = None, **more: object
) -> list[FinishedRows]:
    """Cut known scores into windows and put them together again."""
    valid = np.ones((rows.length, columns.length), dtype=bool) if valid is None else valid
    accumulator = Accumulator(rows, columns, classes=len(scores), **{"ignore": 255, **more})
    finished: list[FinishedRows] = []
    for y in rows.starts:
        windows = [scores[:, y : y + rows.size, x : x + columns.size] for x in columns.starts]
        for column, window in enumerate(windows):
            accumulator.add(window[None], [column])
        finished.extend(accumulator.finish(valid[y : y + rows.size]))
    return finished


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 60), window=st.integers(1, 40), stride=st.integers(1, 40))
def test_windows_of_one_picture_give_that_picture(height: int, width: int, window: int, stride: int) -> None:
    stride = min(max(stride, (window + 1) // 2), window)
    rows, columns = (Axis.of(length, window=window, stride=stride) for length in (height, width))
    scores = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)).softmax(0)
    finished = run(scores, rows, columns)
    assert [part.top for part in finished] == np.cumsum([0, *[len(part.target) for part in finished]])[:-1].tolist()
    target = np.concatenate([part.target for part in finished])
    best = scores.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-5).numpy()
    np.testing.assert_array_equal(target[clear], scores.argmax(0).numpy()[clear])
    confidence = np.concatenate([part.confidence for part in finished])
    assert np.abs(confidence - best[0].numpy() * 254).max() <= 0.501


def test_two_windows_mix_by_their_ramps() -> None:
    rows, columns = Axis(1, 1, 1), Axis(6, 4, 2)
    accumulator = Accumulator(rows, columns, classes=2, ignore=255)
    for column, share in enumerate((1.0, 0.0)):
        window = torch.stack([torch.full((1, 4), share), torch.full((1, 4), 1 - share)])
        accumulator.add(window[None], [column])
    (finished,) = accumulator.finish(np.ones((1, 6), dtype=bool))
    assert finished.target.tolist() == [[0, 0, 0, 1, 1, 1]]
    rising = np.sin(np.pi / 8) ** 2
    expected = np.round(254 * np.array([1, 1, 1 - rising, 1 - rising, 1, 1]))
    assert finished.confidence is not None
    assert finished.confidence[0].tolist() == expected.tolist()


def test_logits_become_probabilities_at_the_end() -> None:
    axis = Axis(1, 1, 1)
    accumulator = Accumulator(axis, axis, classes=3, ignore=255, blend="logits")
    logits = torch.tensor([1.0, 3.0, -2.0]).reshape(1, 3, 1, 1)
    accumulator.add(logits, [0])
    (finished,) = accumulator.finish(np.ones((1, 1), dtype=bool))
    assert finished.target.tolist() == [[1]]
    assert finished.confidence is not None
    assert finished.confidence.tolist() == [[round(254 * float(logits.softmax(1).max()))]]


def test_missing_pixels_hold_the_ignore_value() -> None:
    rows, columns = Axis(9, 4, 3), Axis(7, 4, 3)
    valid = np.random.default_rng(0).random((9, 7)) > 0.3
    finished = run(torch.rand(2, 9, 7), rows, columns, valid=valid, ignore=65535)
    target = np.concatenate([part.target for part in finished])
    assert target.dtype == np.uint16
    np.testing.assert_array_equal(target == 65535, ~valid)
    np.testing.assert_array_equal(np.concatenate([part.confidence for part in finished]) == 255, ~valid)


def test_the_first_of_equal_classes_wins() -> None:
    axis = Axis(3, 3, 3)
    finished = run(torch.full((4, 3, 3), 0.25), axis, axis)
    assert (finished[0].target == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_an_error(value: float) -> None:
    scores = torch.rand(2, 9, 7)
    scores[1, 5, 3] = value
    with pytest.raises(ModelError, match="not a number in rows 5 to 8"):
        run(scores, Axis(9, 4, 3), Axis(7, 4, 3))


def test_confidence_is_left_out_where_nobody_asked() -> None:
    axis = Axis(3, 3, 3)
    accumulator = Accumulator(axis, axis, classes=2, ignore=255)
    accumulator.add(torch.rand(1, 2, 3, 3), [0])
    assert [part.confidence for part in accumulator.finish(np.ones((3, 3), dtype=bool), confidence=False)] == [None]
