"""Settings compared over what they share, or refused."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from terrazzo.sweep.comparison import MOST_PAIRS, compare, compare_all
from terrazzo.sweep.groups import TRAINING, settings_of
from terrazzo.sweep.results import read_trials

LEVELS = {"a": 0.7, "b": 0.75, "c": 0.8}


def settings(make_sweep: Callable, varied: list[dict], **more: object) -> tuple:
    _, trials, done = make_sweep(varied, lambda v: LEVELS.get(v.get("model"), 0.7), **more)
    return settings_of(read_trials(trials, done))


def test_pairs_are_those_of_the_same_seed(make_sweep: Callable) -> None:
    # Seeds stand in another order in the second setting.
    varied = [{"model": "a", "seed": s} for s in (1, 2, 3)] + [{"model": "b", "seed": s} for s in (3, 1, 2)]
    first, second = settings(make_sweep, varied)
    found = compare(first, second, "val", "miou")
    one, other = first.values("val", "miou"), second.values("val", "miou")
    expected = stats.ttest_rel([one[key] for key in sorted(one)], [other[key] for key in sorted(one)])
    assert found.difference is not None
    assert found.difference.p_value == pytest.approx(expected.pvalue)
    assert (found.difference.losses, found.refused, found.left_out) == (3, "", ())
    assert found.by_images is not None
    assert found.by_images.images == 3
    assert found.by_images.miou.value == pytest.approx(found.difference.mean, abs=0.02)


def test_runs_without_a_partner_are_named(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2, 3)]
    first, second = settings(make_sweep, varied, states={2: ("failed", "x"), 3: ("pruned", "y")})
    found = compare(first, second, "val", "miou")
    assert found.difference is not None
    assert found.difference.pairs == 1
    assert found.left_out == ("model=a: seed=1", "model=b: seed=3")


def test_settings_that_share_no_run_are_refused(make_sweep: Callable) -> None:
    first, second = settings(make_sweep, [{"model": "a", "seed": 1}, {"model": "b", "seed": 2}])
    found = compare(first, second, "val", "miou")
    assert found.difference is None
    assert found.refused == "they share no run: seed=1 on one side, seed=2 on the other"


def test_other_images_are_refused(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2)]
    first, second = settings(
        make_sweep, varied, splits=lambda v: {"val": ["x", "y"] if v["model"] == "a" else ["x", "z"]}
    )
    found = compare(first, second, "val", "miou")
    assert found.difference is None
    assert "were judged on other images" in found.refused


def test_patches_are_compared_over_runs_alone(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2)]
    first, second = settings(make_sweep, varied, whole=False)
    found = compare(first, second, "val", "iou forest")
    assert found.difference is not None
    assert found.by_images is None


def test_what_training_watched_can_be_compared(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2)]
    first, second = settings(make_sweep, varied, monitor="val_loss", splits=lambda _: {})
    found = compare(first, second, TRAINING, "val_loss")
    assert found.difference is not None
    # Less is better: the first has less.
    assert found.difference.mean < 0
    assert found.difference.wins == 2


def test_folds_are_units(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s, "data.fold": k} for m in ("a", "b") for s in (1, 2) for k in (0, 1, 2)]
    first, second = settings(make_sweep, varied, splits=lambda v: {"val": [f"{v['data.fold']}-{i}" for i in range(2)]})
    found = compare(first, second, "val", "miou")
    assert found.difference is not None
    assert (found.difference.pairs, found.difference.units) == (6, 3)
    assert found.by_images is not None
    assert found.by_images.images == 6


def test_all_pairs_are_corrected_together(make_sweep: Callable) -> None:
    found = compare_all(
        settings(make_sweep, [{"model": m, "seed": s} for m in "abc" for s in (1, 2, 3)]), "val", "miou"
    )
    assert [(one.first, one.second) for one in found] == [
        ("model=a", "model=b"), ("model=a", "model=c"), ("model=b", "model=c"),
    ]  # fmt: skip
    raw = [one.difference.p_value for one in found if one.difference is not None]
    assert min(one.p_holm for one in found) == pytest.approx(min(1, 3 * min(raw)))
    assert all(one.p_holm >= value for one, value in zip(found, raw, strict=True))


def test_of_many_settings_each_meets_the_best(make_sweep: Callable) -> None:
    every = settings(make_sweep, [{"model": f"m{number}", "seed": 1} for number in range(11)], whole=False)
    found = compare_all(every, "val", "miou", best=every[4])
    assert len(found) == 10 < MOST_PAIRS
    assert {one.first for one in found} == {"model=m4"}
    assert np.isnan([one.p_holm for one in found]).all()
