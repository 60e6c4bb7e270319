"""Blending: out comes the weighted mean, to the same bits whatever the strips and the order they are computed in."""

import random
import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.errors import ModelError
from terrazzo.scene.blend import Agreement, StripBlender
from terrazzo.scene.strips import Strip, strips_of
from terrazzo.scene.windows import Axis

CPU = torch.device("cpu")
Answers = dict[tuple[int, int], torch.Tensor]


def answers(rows: Axis, columns: Axis, *, channels: int = 3, seed: int = 0) -> Answers:
    """Return an answer of its own for every window: neighbours disagree as much as they can."""
    generator = torch.Generator().manual_seed(seed)
    return {
        (row, column): torch.rand(channels, rows.size, columns.size, generator=generator)
        for row in range(len(rows))
        for column in range(len(columns))
    }


def reference(found: Answers, rows: Axis, columns: Axis) -> torch.Tensor:
    """Blend by the plainest means: everything in memory, in double precision."""
    channels = next(iter(found.values())).shape[0]
    total = torch.zeros(channels, rows.length, columns.length, dtype=torch.float64)
    for (row, column), scores in found.items():
        weight = np.outer(rows.weights(row).astype(np.float64), columns.weights(column).astype(np.float64))
        y, x = rows.starts[row], columns.starts[column]
        total[:, y : y + rows.size, x : x + columns.size] += scores.double() * torch.from_numpy(weight)
    return total


def blended(
    found: Answers,
    rows: Axis,
    columns: Axis,
    strips: Iterable[Strip],
    *,
    valid: np.ndarray | None = None,
    agreements: list[Agreement] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend strips in the order given and join them; also return how often each pixel came."""
    channels = next(iter(found.values())).shape[0]
    valid = np.ones((rows.length, columns.length), dtype=bool) if valid is None else valid
    measured = torch.from_numpy(valid)
    blender = StripBlender(rows, columns, channels=channels, classes=channels, device=CPU)
    scores = torch.zeros(channels, rows.length, columns.length)
    times = torch.zeros(rows.length, columns.length, dtype=torch.int64)
    for strip in strips:
        blender.begin(strip)
        for row in strip.rows:
            for column in range(len(columns)):
                if not valid[rows.used(row), columns.used(column)].any():
                    blender.skip(row, column)
                    continue
                y, x = rows.starts[row], columns.starts[column]
                inside = measured[y : y + rows.size, x : x + columns.size]
                piece = blender.add(row, column, found[row, column].clone(), inside)
                if piece is not None:
                    here = (
                        slice(piece.y, piece.y + piece.scores.shape[1]),
                        slice(piece.x, piece.x + piece.scores.shape[2]),
                    )
                    scores[:, *here] = piece.scores
                    times[here] += 2
        above, below = blender.edges()
        scores[:, strip.above] += above
        scores[:, strip.below] += below
        times[strip.above] += 1
        times[strip.below] += 1
        if agreements is not None:
            agreements.extend(blender.agreements)
    return scores, times


@st.composite
def axes(draw: st.DrawFn) -> tuple[Axis, Axis]:
    """Draw windows along y and x of one size, at most six each."""
    window = draw(st.integers(1, 33))
    stride = draw(st.integers((window + 1) // 2, window))
    height, width = (draw(st.integers(1, window + 5 * stride)) for _ in range(2))
    return Axis.of(height, window=window, stride=stride), Axis.of(width, window=window, stride=stride)


@settings(max_examples=60, deadline=None)
@given(cut=axes(), pixels=st.integers(1, 90), seed=st.integers(0, 99))
def test_any_strips_in_any_order_give_the_double_precision_mean_and_the_same_bits(
    cut: tuple[Axis, Axis], pixels: int, seed: int
) -> None:
    rows, columns = cut
    found = answers(rows, columns, seed=seed)
    strips = list(strips_of(rows, pixels=pixels))
    random.Random(seed).shuffle(strips)
    scores, times = blended(found, rows, columns, strips)
    assert (times == 2).all()
    np.testing.assert_allclose(scores.numpy(), reference(found, rows, columns).numpy(), atol=1e-6)
    whole, _ = blended(found, rows, columns, strips_of(rows, pixels=10**6))
    assert torch.equal(scores, whole)


@pytest.mark.parametrize("length", [16, 17, 20, 31, 32, 33, 47, 48, 49, 1025])
@pytest.mark.parametrize("stride", [16, 14, 8])
def test_a_constant_stays_that_constant(length: int, stride: int) -> None:
    axis = Axis.of(length, window=16, stride=stride)
    narrow = Axis.of(19, window=16, stride=stride)
    found = {key: torch.full_like(value, 0.7) for key, value in answers(axis, narrow).items()}
    scores, _ = blended(found, axis, narrow, strips_of(axis, pixels=32))
    assert float((scores - 0.7).abs().max()) <= 1e-6


@settings(max_examples=30, deadline=None)
@given(cut=axes())
def test_windows_of_one_picture_give_that_picture(cut: tuple[Axis, Axis]) -> None:
    rows, columns = cut
    picture = torch.rand(2, rows.length, columns.length, generator=torch.Generator().manual_seed(0))
    found = {
        (row, column): picture[:, y : y + rows.size, x : x + columns.size]
        for row, y in enumerate(rows.starts)
        for column, x in enumerate(columns.starts)
    }
    agreements: list[Agreement] = []
    scores, _ = blended(found, rows, columns, strips_of(rows, pixels=24), agreements=agreements)
    assert float((scores - picture).abs().max()) <= 1e-6
    assert all(one.differing == 0 for one in agreements)


def test_a_pixel_is_the_sum_of_two_rounded_products_along_each_axis() -> None:
    axis = Axis(6, 4, 2)
    found = answers(axis, axis, channels=1)
    scores, _ = blended(found, axis, axis, strips_of(axis, pixels=1))
    rising = axis.rising(0)
    across = [
        found[row, 1][0, 2 - 2 * row, 0] * rising[0] + found[row, 0][0, 2 - 2 * row, 2] * (1 - rising[0])
        for row in range(2)
    ]
    expected = across[1] * rising[0] + across[0] * (1 - rising[0])
    assert float(scores[0, 2, 2]) == float(expected)


class TestNodata:
    @settings(max_examples=60, deadline=None)
    @given(cut=axes(), pixels=st.integers(1, 90), box=st.tuples(*[st.floats(0, 1)] * 4), inverted=st.booleans())
    def test_windows_left_out_leave_no_trace_where_the_scene_was_measured(
        self, cut: tuple[Axis, Axis], pixels: int, box: tuple[float, float, float, float], inverted: bool
    ) -> None:
        rows, columns = cut
        height, width = rows.length, columns.length
        top, bottom = sorted(round(share * height) for share in box[:2])
        left, right = sorted(round(share * width) for share in box[2:])
        valid = np.zeros((height, width), dtype=bool)
        valid[top:bottom, left:right] = True
        valid = ~valid if inverted else valid
        found = answers(rows, columns)
        whole, _ = blended(found, rows, columns, strips_of(rows, pixels=pixels))
        scores, times = blended(found, rows, columns, strips_of(rows, pixels=pixels), valid=valid)
        assert torch.equal(scores[:, valid], whole[:, valid])
        assert (times[torch.from_numpy(valid)] == 2).all()

    def test_a_strip_does_not_see_what_the_one_before_left(self) -> None:
        rows, columns = Axis(58, 16, 14), Axis(30, 16, 14)
        found = answers(rows, columns)
        strips = strips_of(rows, pixels=28)
        valid = np.ones((58, 30), dtype=bool)
        valid[:, :16] = False
        alone, _ = blended(found, rows, columns, strips, valid=valid)
        blender = StripBlender(rows, columns, channels=3, classes=3, device=CPU)
        blender.begin(strips[0])
        blender.add(0, 0, torch.full((3, 16, 16), torch.inf), torch.ones(16, 16, dtype=torch.bool))
        after: list[torch.Tensor] = []
        for used in (blender, StripBlender(rows, columns, channels=3, classes=3, device=CPU)):
            used.begin(strips[1])
            used.skip(strips[1].rows[0], 0)
            used.add(strips[1].rows[0], 1, found[strips[1].rows[0], 1].clone(), torch.ones(16, 16, dtype=torch.bool))
            after.append(torch.cat([edge.clone() for edge in used.edges()], dim=1))
        assert torch.equal(after[0], after[1])
        assert torch.isfinite(alone).all()


class TestAgreements:
    def test_counts_pixels_of_each_fade_by_hand(self) -> None:
        rows, columns = Axis(6, 4, 2), Axis(4, 4, 2)
        first, second = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
        first[0], second[1] = 1, 1
        second[:, 0, 0] = torch.tensor([5.0, 1.0])
        valid = np.ones((6, 4), dtype=bool)
        valid[2, 3] = False
        agreements: list[Agreement] = []
        found = {(0, 0): first, (1, 0): second}
        blended(found, rows, columns, strips_of(rows, pixels=100), valid=valid, agreements=agreements)
        # Eight pixels in common, of which one is missing and one is alike.
        assert agreements == [Agreement(row=1, column=0, side="above", differing=6, compared=7)]

    def test_both_sides_are_compared_once_inside_a_strip(self) -> None:
        rows, columns = Axis(44, 16, 14), Axis(30, 16, 14)
        agreements: list[Agreement] = []
        blended(answers(rows, columns), rows, columns, strips_of(rows, pixels=10**6), agreements=agreements)
        found = {(one.row, one.column, one.side): one.compared for one in agreements}
        assert len(found) == len(agreements)
        assert set(found) == {(row, 1, "left") for row in range(3)} | {
            (row, column, "above") for row in (1, 2) for column in (0, 1)
        }
        # Fades of two pixels: across the rows that a window uses, and along all columns between them.
        assert found[0, 1, "left"] == 2 * 16
        assert found[1, 0, "above"] + found[1, 1, "above"] == 2 * 30

    def test_further_channels_are_not_compared(self) -> None:
        rows, columns = Axis(4, 4, 4), Axis(6, 4, 2)
        blender = StripBlender(rows, columns, channels=3, classes=2, device=CPU)
        blender.begin(strips_of(rows, pixels=4)[0])
        valid = torch.ones(4, 4, dtype=torch.bool)
        for column, steps in enumerate((0.0, 9.0)):
            scores = torch.stack([torch.full((4, 4), value) for value in (0.7, 0.3, steps)])
            blender.add(0, column, scores, valid)
        assert [one.differing for one in blender.agreements] == [0]

    def test_begin_forgets_them(self) -> None:
        rows, columns = Axis(30, 16, 14), Axis(16, 16, 14)
        blender = StripBlender(rows, columns, channels=2, classes=2, device=CPU)
        strip = strips_of(rows, pixels=100)[0]
        for _ in range(2):
            blender.begin(strip)
            for row in strip.rows:
                blender.add(row, 0, torch.rand(2, 16, 16), torch.ones(16, 16, dtype=torch.bool))
            assert len(blender.agreements) == 1


def test_without_a_strip_nothing_can_be_added() -> None:
    axis = Axis(4, 4, 4)
    blender = StripBlender(axis, axis, channels=1, classes=1, device=CPU)
    for call in (
        lambda: blender.add(0, 0, torch.zeros(1, 4, 4), torch.ones(4, 4, dtype=torch.bool)),
        lambda: blender.skip(0, 0),
        blender.edges,
    ):
        with pytest.raises(ModelError, match="No strip was begun"):
            call()


def test_memory_depends_on_the_width_alone() -> None:
    def bytes_of(height: int, width: int) -> int:
        rows, columns = Axis(height, 64, 56), Axis(width, 64, 56)
        blender = StripBlender(rows, columns, channels=4, classes=4, device=CPU)
        return sum(value.nbytes for value in vars(blender).values() if isinstance(value, torch.Tensor))

    # Both heights are whole numbers of steps.
    assert bytes_of(64 + 56 * 20, 512) == bytes_of(64 + 56 * 20_000, 512) == bytes_of(64 + 56 * 20, 1024) // 2
    rows = Axis.of(100_000, window=64, stride=56)
    columns = Axis.of(64, window=64, stride=56)
    blender = StripBlender(rows, columns, channels=1, classes=1, device=CPU)
    scores, valid = torch.rand(1, 64, 64), torch.ones(64, 64, dtype=torch.bool)
    strips = strips_of(rows, pixels=560)
    used = []
    for strip in strips[:40]:
        blender.begin(strip)
        for row in strip.rows:
            blender.add(row, 0, scores.clone(), valid)
        if strip.number == 1:
            tracemalloc.start()
        if strip.number in {2, 39}:
            used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert used[1] - used[0] < 20_000
