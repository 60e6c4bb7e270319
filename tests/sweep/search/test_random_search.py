"""Draws at random: the same at each start, none twice, every seed and fold of each setting."""

import json
from collections import Counter
from pathlib import Path

import pytest

from terrazzo.errors import ConfigError
from terrazzo.sweep.grid import read_space
from terrazzo.sweep.search.pruning import Pruning
from terrazzo.sweep.search.random_search import RandomSearch
from terrazzo.sweep.searching import Search
from terrazzo.sweep.trial import Trial, TrialState


def search(tmp_path: Path, *arguments: str, trials: int = 20, seed: int = 0, by: str = "none") -> RandomSearch:
    space = read_space(arguments, folds=len)
    pruning = Pruning(by=by, startup=2)
    return RandomSearch(space, tmp_path, trials=trials, seed=seed, more_is_better=True, pruning=pruning)


def asked(made: Search) -> list[Trial]:
    return list(iter(lambda: made.ask([]), None))


def test_it_is_a_search(tmp_path: Path) -> None:
    assert isinstance(search(tmp_path, "seed=1,2"), Search)


def test_two_starts_draw_alike_and_another_seed_does_not(tmp_path: Path) -> None:
    arguments = ("optimizer.lr=1e-5:1e-1:log", "model=smp,trm")
    first, again = asked(search(tmp_path, *arguments)), asked(search(tmp_path, *arguments))
    assert first == again
    assert [trial.number for trial in first] == list(range(20))
    assert [one.varied for one in first] != [one.varied for one in asked(search(tmp_path, *arguments, seed=1))]
    longer = asked(search(tmp_path, *arguments, trials=30))
    assert longer[:20] == first


def test_numbers_are_spread_evenly_over_their_scale(tmp_path: Path) -> None:
    found = asked(search(tmp_path, "optimizer.lr=1e-4:1:log", "train.epochs=1:4:lin", trials=400))
    rates = [trial.varied["optimizer.lr"] for trial in found]
    assert all(1e-4 <= rate <= 1 and isinstance(rate, float) for rate in rates)
    decades = Counter(min(int(rate / 1e-4) >= 100, 1) for rate in rates)
    assert abs(decades[0] - 200) < 60
    epochs = Counter(trial.varied["train.epochs"] for trial in found)
    assert sorted(epochs) == [1, 2, 3, 4]
    assert min(epochs.values()) > 60
    json.dumps([dict(trial.varied) for trial in found])


def test_whole_numbers_by_logarithm_reach_both_ends(tmp_path: Path) -> None:
    found = Counter(trial.varied["a"] for trial in asked(search(tmp_path, "a=1:8:log", "b=0.0:1.0:lin", trials=300)))
    assert sorted(found) == list(range(1, 9))
    assert found[1] > found[8]


def test_no_setting_comes_twice_and_a_small_space_ends(tmp_path: Path) -> None:
    found = asked(search(tmp_path, "model=a,b,c", "train.epochs=1:4:lin", trials=100))
    assert len(found) == len({trial.name for trial in found}) == 12


def test_a_range_narrower_than_its_digits_ends(tmp_path: Path) -> None:
    assert 1 <= len(asked(search(tmp_path, "optimizer.lr=1:1.002:log", trials=100))) <= 3


def test_each_setting_runs_with_every_seed_and_fold(tmp_path: Path) -> None:
    found = asked(search(tmp_path, "seed=1,2", "optimizer.lr=1e-5:1e-1:log", "data.fold=0,1,2", trials=15))
    rates = [trial.varied["optimizer.lr"] for trial in found]
    assert [len({*rates[start : start + 6]}) for start in (0, 6, 12)] == [1, 1, 1]
    assert len(set(rates)) == 3
    repeats = {(trial.varied["seed"], trial.varied["data.fold"]) for trial in found[:6]}
    assert len(repeats) == 6
    assert list(found[0].varied) == ["seed", "optimizer.lr", "data.fold"]


def test_linked_keys_are_drawn_together(tmp_path: Path) -> None:
    found = asked(search(tmp_path, "model:loss=a:x,b:y", "optimizer.lr=1e-5:1e-1:log"))
    assert {(trial.varied["model"], trial.varied["loss"]) for trial in found} == {("a", "x"), ("b", "y")}


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="halving needs the search optuna"):
        search(tmp_path, "model=a,b", by="halving")
    with pytest.raises(ConfigError, match="seed repeats settings"):
        search(tmp_path, "seed=1:9:lin")


def test_the_median_of_finished_trials_stops_others(tmp_path: Path) -> None:
    made = search(tmp_path, "optimizer.lr=1e-5:1e-1:log", "seed=1,2", trials=8, by="median")
    trials = asked(made)
    for trial, level in zip(trials[:4], (0.5, 0.1, 0.7, 0.2), strict=True):
        trial.folder.mkdir(parents=True)
        (trial.folder / "log.csv").write_text(f"epoch,val_miou\n1,{level}\n2,{level + 0.1}\n")
        made.tell(trial, TrialState.finished, level + 0.1)
    assert not made.prune(trials[4], 1, 0.65)
    assert made.prune(trials[4], 2, 0.65)
    assert made.prune(trials[6], 1, 0.55)
    # Seed 2 is judged by its own median, which is 0.15.
    assert not made.prune(trials[5], 1, 0.2)
    assert made.prune(trials[7], 1, 0.14)


def test_without_pruning_nothing_is_stopped(tmp_path: Path) -> None:
    made = search(tmp_path, "optimizer.lr=1e-5:1e-1:log")
    trials = asked(made)
    for trial in trials[:3]:
        made.tell(trial, TrialState.finished, 0.9)
    assert not made.prune(trials[4], 1, 0.0)
