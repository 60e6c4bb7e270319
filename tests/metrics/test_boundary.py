"""Boundary counts equal what a comparison of all pairs of pixels gives, and keep to the stated rules."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from terrazzo.errors import LabelError, ModelError
from terrazzo.metrics import BoundaryCounts, boundary_strips

NEIGHBOURS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outline(labels, ignored, one):
    """Boundary pixels of a class, by looking at every neighbour of every pixel."""
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            around = [(y + dy, x + dx) for dy, dx in NEIGHBOURS if 0 <= y + dy < height and 0 <= x + dx < width]
            others = [there for there in around if not ignored[there] and labels[there] != one]
            if labels[y, x] == one and not ignored[y, x] and others:
                found.append((y, x))
    return found


def near(points, others, tolerance):
    """How many points have another within the tolerance, by comparing all pairs."""
    return sum(any(math.dist(point, other) <= tolerance + 1e-9 for other in others) for point in points)


def band(labels, ignored, one, width):
    """The class minus its erosion; ignored pixels hold neither the class nor another one."""
    apart = np.zeros(labels.shape, dtype=bool)
    height, columns = labels.shape
    for y in range(height):
        for x in range(columns):
            if labels[y, x] != one or ignored[y, x]:
                continue
            window = (slice(max(0, y - width), y + width + 1), slice(max(0, x - width), x + width + 1))
            beyond = min(y, x, height - 1 - y, columns - 1 - x) < width
            apart[y, x] = beyond or bool(((labels[window] != one) & ~ignored[window]).any())
    return apart


def reference(prediction, target, ignored, classes, tolerances, width):
    """All counts of one image by brute force."""
    counts = {name: [] for name in ("predicted", "labelled", "intersection", "union")}
    matched = [[[0] * classes for _ in tolerances] for _ in range(2)]
    for one in range(classes):
        outlines = [outline(labels, ignored, one) for labels in (prediction, target)]
        counts["predicted"].append(len(outlines[0]))
        counts["labelled"].append(len(outlines[1]))
        for row, tolerance in enumerate(tolerances):
            matched[0][row][one] = near(*outlines, tolerance)
            matched[1][row][one] = near(*outlines[::-1], tolerance)
        bands = [band(labels, ignored, one, width) for labels in (prediction, target)]
        counts["intersection"].append(int((bands[0] & bands[1]).sum()))
        counts["union"].append(int((bands[0] | bands[1]).sum()))
    return counts | {"matched_predicted": matched[0], "matched_labelled": matched[1]}


def blobs(generator, shape, classes, grain):
    """A map with regions of about so many pixels."""
    small = generator.integers(0, classes, (shape[0] // grain + 1, shape[1] // grain + 1))
    return np.kron(small, np.ones((grain, grain), dtype=np.int64))[: shape[0], : shape[1]]


def pair(seed, shape, classes=3, grain=3, ignored_share=0.1):
    generator = np.random.default_rng(seed)
    target = blobs(generator, shape, classes, grain)
    prediction = np.where(
        generator.random(shape) < 0.1, blobs(generator, shape, classes, 1), np.roll(target, 1, axis=1)
    )
    return prediction, target, generator.random(shape) < ignored_share


SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 13))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), SHAPES, st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.7, 1.0]))
def test_counts_equal_the_comparison_of_all_pixels(seed, shape, classes, grain, ignored_share):
    prediction, target, ignored = pair(seed, shape, classes, grain, ignored_share)
    share, width_share = 0.2, 0.11
    found = BoundaryCounts.of(prediction, target, ignored, classes, (0, 1, 1.5, 2, 3), diagonal=share, band=width_share)
    diagonal = math.hypot(*shape)
    tolerances = (0, 1, 1.5, 2, 3, share * diagonal)
    expected = reference(prediction, target, ignored, classes, tolerances, max(1, round(width_share * diagonal)))
    assert {name: getattr(found, name).tolist() for name in expected} == expected


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_strips_change_no_count(monkeypatch, rows):
    prediction, target, ignored = pair(3, (41, 29))
    whole = BoundaryCounts.of(prediction, target, ignored, 3, band=0.06)
    monkeypatch.setattr(boundary_strips, "_ROWS", rows)
    assert BoundaryCounts.of(prediction, target, ignored, 3, band=0.06) == whole


@pytest.mark.parametrize("classes", [9, 40, 70, 254, 255, 300])
def test_many_classes(classes):
    """Beyond the bits of one type, beyond those of the largest, and beyond bytes."""
    generator = np.random.default_rng(classes)
    target = generator.integers(0, classes, (30, 31))
    prediction = np.where(generator.random((30, 31)) < 0.5, target, generator.integers(0, classes, (30, 31)))
    ignored = generator.random((30, 31)) < 0.1
    found = BoundaryCounts.of(prediction, target, ignored, classes, (0, 2), diagonal=None, band=0.05)
    expected = [[0] * classes for _ in range(2)]
    for one in range(classes):
        outlines = [outline(labels, ignored, one) for labels in (prediction, target)]
        for row, tolerance in enumerate((0, 2)):
            expected[row][one] = near(*outlines, tolerance)
    assert found.matched_predicted.tolist() == expected
    bands = [[band(labels, ignored, one, 2) for labels in (prediction, target)] for one in (0, classes - 1)]
    assert [int(found.intersection[one]) for one in (0, -1)] == [int((a & b).sum()) for a, b in bands]
    assert [int(found.union[one]) for one in (0, -1)] == [int((a | b).sum()) for a, b in bands]


def test_counts_equal_distance_transforms_on_a_larger_image():
    """Of an image higher than a strip, with the defaults."""
    prediction, target, ignored = pair(5, (301, 280), classes=5, grain=16, ignored_share=0)
    ignored[40:90, 100:130] = True
    found = BoundaryCounts.of(prediction, target, ignored, 5)
    tolerances = (0, 1, 2, 3, 5, 0.0075 * math.hypot(301, 280))
    width = round(0.02 * math.hypot(301, 280))
    cross, square = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), dtype=bool)
    for one in range(5):
        edges, bands = [], []
        for labels in (prediction, target):
            inside, outside = (labels == one) & ~ignored, (labels != one) & ~ignored
            edges.append(inside & ndimage.binary_dilation(outside, cross))
            beyond = np.pad(outside, width, constant_values=True)
            bands.append(inside & ndimage.binary_dilation(beyond, square, width)[width:-width, width:-width])
        for row, tolerance in enumerate(tolerances):
            distances = [ndimage.distance_transform_edt(~edge) for edge in edges]
            assert found.matched_predicted[row, one] == (edges[0] & (distances[1] <= tolerance)).sum()
            assert found.matched_labelled[row, one] == (edges[1] & (distances[0] <= tolerance)).sum()
        assert found.intersection[one] == (bands[0] & bands[1]).sum()
        assert found.union[one] == (bands[0] | bands[1]).sum()


def halves(column, shape=(8, 12)):
    return np.broadcast_to(np.arange(shape[1]) >= column, shape).astype(np.int64)


def test_a_shift_is_forgiven_from_its_length_on():
    target, prediction = halves(5), halves(7)
    nothing = np.zeros(target.shape, dtype=bool)
    scores = BoundaryCounts.of(prediction, target, nothing, 2, diagonal=None).scores(["left", "right"])
    assert scores.tolerances == ("0", "1", "2", "3", "5")
    assert scores.f1 == scores.pooled_f1 == (0, 0, 1, 1, 1)
    assert scores.classes[0].precision == scores.classes[0].recall == (0, 0, 1, 1, 1)
    assert scores.classes[0].pixels == 8


def test_distances_are_euclidean():
    """Single pixels three right and two down of each other are 3.6 apart: Chebyshev's distance would be 3."""
    target, prediction = np.zeros((9, 9), dtype=np.int64), np.zeros((9, 9), dtype=np.int64)
    target[3, 3] = prediction[5, 6] = 1
    found = BoundaryCounts.of(
        prediction, target, np.zeros((9, 9), dtype=bool), 2, (3, 3.6, math.sqrt(13), 3.7), diagonal=None
    )
    assert found.matched_labelled[:, 1].tolist() == [0, 0, 1, 1]


def test_neighbours_across_corners_make_no_boundary():
    target = np.zeros((5, 5), dtype=np.int64)
    target[2, 2] = 1
    found = BoundaryCounts.of(target, target, np.zeros((5, 5), dtype=bool), 2)
    assert found.labelled.tolist() == [4, 1]


def test_perfect_is_one_and_bands_follow_the_definition():
    target = halves(5)
    found = BoundaryCounts.of(target, target, np.zeros(target.shape, dtype=bool), 2, band=0.1)
    scores = found.scores(["left", "right"])
    assert scores.f1 == scores.pooled_f1 == (1,) * 6
    assert scores.tolerances[-1] == "0.75%"
    assert scores.boundary_iou == 1
    # The border counts for bands: all but the 6 x 3 and 6 x 5 inner pixels of the halves of 8 x 5 and 8 x 7.
    assert found.union.tolist() == [40 - 18, 56 - 30]


def test_no_boundary_runs_along_ignored_pixels():
    """Field, a strip of ignored pixels, forest: the two never touch, whatever is predicted in between."""
    target = halves(6)
    ignored = np.zeros(target.shape, dtype=bool)
    ignored[:, 5:8] = True
    prediction = halves(7)
    found = BoundaryCounts.of(prediction, target, ignored, 2)
    assert found.labelled.tolist() == found.predicted.tolist() == [0, 0]
    scores = found.scores(["field", "forest"])
    assert found.images == scores.images == 0
    assert all(math.isnan(value) for value in (*scores.f1, *scores.pooled_f1))


def test_bands_stop_at_ignored_pixels():
    target = np.zeros((9, 9), dtype=np.int64)
    ignored = np.zeros((9, 9), dtype=bool)
    ignored[3:6, 3:6] = True
    target[3:6, 3:6] = 1
    found = BoundaryCounts.of(target, target, ignored, 2, band=0.08)
    # Only the border's frame of one pixel is a band, none around the ignored middle.
    assert found.union.tolist() == [32, 0]


def test_what_lies_below_ignored_pixels_changes_nothing():
    prediction, target, ignored = pair(9, (20, 21), ignored_share=0.3)
    found = BoundaryCounts.of(prediction, target, ignored, 3)
    prediction, target = prediction.copy(), target.copy()
    prediction[ignored], target[ignored] = -5, 255
    assert BoundaryCounts.of(prediction, target, ignored, 3) == found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64])
def test_types_of_labels(dtype):
    prediction, target, ignored = pair(2, (15, 14))
    found = BoundaryCounts.of(prediction.astype(dtype), target.astype(dtype), ignored, 3)
    assert found == BoundaryCounts.of(prediction, target, ignored, 3)


def test_views_of_larger_arrays_do():
    prediction, target, ignored = pair(2, (30, 28))
    parts = [np.ascontiguousarray(each[3:20, 5:25]) for each in (prediction, target, ignored)]
    views = [each[3:20, 5:25] for each in (prediction, target, ignored)]
    assert BoundaryCounts.of(*views, 3) == BoundaryCounts.of(*parts, 3)
    turned = [each.T for each in (prediction, target, ignored)]
    assert (
        BoundaryCounts.of(*turned, 3).labelled.tolist()
        == BoundaryCounts.of(prediction, target, ignored, 3).labelled.tolist()
    )


def test_a_class_missed_or_invented_scores_nothing_and_an_absent_one_leaves_the_mean():
    target, prediction = halves(5), halves(5)
    prediction[2:4, 8:10] = 2
    found = BoundaryCounts.of(prediction, target, np.zeros(target.shape, dtype=bool), 4, (1,), diagonal=None)
    scores = found.scores(["field", "forest", "invented", "absent"])
    assert scores.classes[0].f1 == (1,)
    assert scores.classes[2].f1 == scores.classes[2].pooled_f1 == (0,)
    assert scores.classes[2].precision == (0,)
    assert math.isnan(scores.classes[2].recall[0])
    assert math.isnan(scores.classes[3].f1[0])
    forest = scores.classes[1]
    precision, recall = forest.precision[0], forest.recall[0]
    assert forest.f1[0] == pytest.approx(2 * precision * recall / (precision + recall))
    assert 0 < precision < 1
    assert scores.f1[0] == pytest.approx((1 + forest.f1[0] + 0) / 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1)])
def test_smallest_images(shape):
    zeros = np.zeros(shape, dtype=np.int64)
    found = BoundaryCounts.of(zeros, zeros, zeros > 0, 2)
    assert found.images == 0
    # Every pixel lies at the border, so that all are the band.
    assert found.union.tolist() == found.intersection.tolist() == [zeros.size, 0]
    assert found.scores(["a", "b"]).boundary_iou == 1


def test_an_image_without_pixels_counts_nothing():
    empty = np.zeros((0, 4), dtype=np.int64)
    assert BoundaryCounts.of(empty, empty, empty > 0, 2) == BoundaryCounts.zero(2)


def test_all_ignored_counts_nothing():
    prediction, target, _ = pair(1, (12, 11))
    found = BoundaryCounts.of(prediction, target, np.ones(target.shape, dtype=bool), 3)
    assert found == BoundaryCounts.zero(3)
    assert math.isnan(found.scores(list("abc")).boundary_iou)


def test_images_of_all_sizes_add_up_in_any_order():
    parts = [
        BoundaryCounts.of(*pair(seed, shape), 3) for seed, shape in enumerate([(20, 30), (7, 5), (33, 14), (9, 9)])
    ]
    total = parts[0] + parts[1] + parts[2] + parts[3]
    assert (parts[3] + parts[1]) + (parts[2] + parts[0]) == total
    assert BoundaryCounts.zero(3) + total == total
    scores = total.scores(list("abc"))
    single = [part.scores(list("abc")) for part in parts]
    assert scores.images == 4
    for row in range(6):
        assert scores.f1[row] == pytest.approx(np.mean([each.f1[row] for each in single]), abs=1e-11)
        of_class = [each.classes[1].f1[row] for each in single]
        assert scores.classes[1].f1[row] == pytest.approx(np.nanmean(of_class), abs=1e-11)
    pooled = sum(part.matched_labelled for part in parts) / sum(part.labelled for part in parts)
    assert scores.classes[2].recall == pytest.approx(pooled[:, 2])
    assert scores.boundary_iou == pytest.approx(
        np.mean(sum(part.intersection for part in parts) / sum(part.union for part in parts))
    )
    assert scores.f1 != scores.pooled_f1


def test_an_image_without_boundaries_leaves_the_mean():
    some = BoundaryCounts.of(*pair(0, (20, 30)), 3)
    plain = np.zeros((9, 9), dtype=np.int64)
    none = BoundaryCounts.of(plain, plain, plain > 0, 3)
    assert (some + none).scores(list("abc")).f1 == some.scores(list("abc")).f1


def test_counts_travel_as_numbers():
    first, second = (BoundaryCounts.of(*pair(seed, (20, 30)), 3) for seed in (0, 1))
    numbers = first.numbers() + second.numbers()
    assert numbers.dtype == np.int64
    assert BoundaryCounts.zero(3).with_numbers(numbers) == first + second


def test_tolerances_come_in_any_order_and_may_repeat():
    prediction, target, ignored = pair(8, (20, 30))
    rising, mixed = (
        BoundaryCounts.of(prediction, target, ignored, 3, tolerances, diagonal=None)
        for tolerances in ((0, 1, 2, 5), (5, 1, 0, 1, 2))
    )
    assert mixed.matched_labelled.tolist() == rising.matched_labelled[[3, 1, 0, 1, 2]].tolist()
    assert mixed.matched_predicted.tolist() == rising.matched_predicted[[3, 1, 0, 1, 2]].tolist()


def test_what_is_not_asked_for_is_not_counted():
    prediction, target, ignored = pair(4, (20, 30))
    found = BoundaryCounts.of(prediction, target, ignored, 3, (), diagonal=None, band=None)
    assert found.matched_labelled.shape == (0, 3)
    assert found.union.tolist() == [0, 0, 0]
    assert found.labelled.tolist() == BoundaryCounts.of(prediction, target, ignored, 3).labelled.tolist()
    assert found.scores(list("abc")).f1 == ()


def test_tolerances_and_bands_larger_than_the_image():
    prediction, target, ignored = pair(4, (6, 7), ignored_share=0)
    found = BoundaryCounts.of(prediction, target, ignored, 3, (50,), diagonal=3.0, band=4.0)
    present = (found.predicted > 0) & (found.labelled > 0)
    assert found.matched_labelled.tolist() == [(found.labelled * present).tolist()] * 2
    both = [np.bincount(each.ravel(), minlength=3) for each in (prediction, target)]
    right = np.bincount(target[prediction == target], minlength=3)
    assert found.union.tolist() == (both[0] + both[1] - right).tolist()


def test_different_counts_do_not_add_up():
    with pytest.raises(ModelError, match="cannot be added"):
        BoundaryCounts.zero(3) + BoundaryCounts.zero(2)
    with pytest.raises(ModelError, match="cannot be added"):
        BoundaryCounts.zero(3, (1,)) + BoundaryCounts.zero(3, (2,))
    with pytest.raises(ModelError, match="cannot be added"):
        BoundaryCounts.zero(3, band=None) + BoundaryCounts.zero(3)
    assert BoundaryCounts.zero(3, (1,)) != BoundaryCounts.zero(3, (2,))
    with pytest.raises(TypeError):
        hash(BoundaryCounts.zero(2))


@pytest.mark.parametrize("wrong", [{"tolerances": (-1,)}, {"diagonal": -0.1}, {"band": math.nan}])
def test_widths_that_are_none_are_refused(wrong):
    with pytest.raises(ModelError, match="is no width of a boundary"):
        BoundaryCounts.zero(2, **wrong)


def test_what_is_no_class_is_refused():
    prediction, target, ignored = pair(1, (12, 11), ignored_share=0)
    wrong = target.copy()
    wrong[11, 3] = 255
    with pytest.raises(LabelError, match=r"Labels \[255\] are no classes \(0\.\.2\)"):
        BoundaryCounts.of(prediction, wrong, ignored, 3)
    wrong[11, 3] = -1
    with pytest.raises(ModelError, match=r"Predictions \[-1\]"):
        BoundaryCounts.of(wrong, target, ignored, 3)


def test_names_must_fit():
    with pytest.raises(ModelError, match="1 class names"):
        BoundaryCounts.zero(2).scores(["alone"])


def test_plain_data_is_json_without_nan():
    plain = BoundaryCounts.of(*pair(1, (12, 11)), 4).scores(["a", "b", "c", "ä"]).as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["classes"][3]["f1"] == [None] * 6
    assert plain["tolerances"] == ["0", "1", "2", "3", "5", "0.75%"]
