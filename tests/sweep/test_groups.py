"""Settings and their repeats."""

from collections.abc import Callable

import pytest

from terrazzo.sweep.groups import overlap_of, settings_of, spread_of, units_of
from terrazzo.sweep.results import read_trials


def test_seeds_and_folds_repeat_all_else_is_a_setting(make_sweep: Callable) -> None:
    varied = [{"seed": s, "model": m, "optimizer.lr": r} for m in ("a", "b") for r in (0.1, 1e-5) for s in (1, 2)]
    _, trials, done = make_sweep(varied, lambda v: 0.7 + 0.1 * (v["model"] == "b"), states={1: ("failed", "x")})
    found = settings_of(read_trials(trials, done))
    assert [one.label for one in found] == [
        "model=a optimizer.lr=0.1",
        "model=a optimizer.lr=1e-05",
        "model=b optimizer.lr=0.1",
        "model=b optimizer.lr=1e-05",
    ]
    assert [(len(one.runs), len(one.finished)) for one in found] == [(2, 1), (2, 2), (2, 2), (2, 2)]
    assert list(found[0].values("val", "miou")) == [(("seed", "1"),)]
    assert spread_of(found[0], "nothing", "miou") is None
    spread = spread_of(found[1], "val", "miou")
    assert spread is not None
    assert (spread.runs, spread.units) == (2, 2)


def test_records_and_order_of_keys_make_no_other_setting(make_sweep: Callable) -> None:
    varied = [{"model": {"name": "a", "width": 1}, "seed": 1}, {"seed": 2, "model": {"width": 1, "name": "a"}}]
    _, trials, done = make_sweep(varied, lambda _: 0.7)
    (found,) = settings_of(read_trials(trials, done))
    assert found.label == "model={name: a, width: 1}"


def test_folds_are_the_units_of_all_their_seeds(make_sweep: Callable) -> None:
    varied = [{"seed": s, "data.fold": k} for s in (1, 2) for k in (0, 1, 2)]
    _, trials, done = make_sweep(varied, lambda v: 0.6 + 0.1 * v["data.fold"])
    results = read_trials(trials, done)
    (found,) = settings_of(results)
    assert found.label == "all"
    values = found.values("val", "miou")
    groups = units_of(values)
    assert [len(group) for group in groups] == [2, 2, 2]
    assert sorted(value for group in groups for value in group) == sorted(values.values())
    assert overlap_of(results, 3) == 0.25
    spread = spread_of(found, "val", "miou")
    assert spread is not None
    assert (spread.runs, spread.units) == (6, 3)
    one_fold = {repeat: value for repeat, value in values.items() if repeat[0][1] == "0"}
    assert [len(group) for group in units_of(one_fold)] == [1, 1]


def test_seeds_alone_overlap_in_nothing(make_sweep: Callable) -> None:
    _, trials, done = make_sweep([{"seed": s} for s in (1, 2)], lambda _: 0.6)
    assert overlap_of(read_trials(trials, done), 2) == 0.0


def test_unknown_sizes_of_folds_follow_from_their_number(make_sweep: Callable) -> None:
    _, trials, done = make_sweep([{"data.fold": k} for k in range(5)], lambda _: 0.6)
    for trial in trials:
        (trial.folder / "data.json").unlink()
    assert overlap_of(read_trials(trials, done), 5) == pytest.approx(0.25)
