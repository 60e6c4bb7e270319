"""Search by Optuna: it goes on after any stop with the trials that it had, and prunes what does worse."""

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.errors import ConfigError, StorageError
from terrazzo.sweep.grid import read_space
from terrazzo.sweep.search.optuna_search import JOURNAL_FILE, OptunaSearch
from terrazzo.sweep.search.pruning import Pruning
from terrazzo.sweep.searching import Search
from terrazzo.sweep.trial import Trial, TrialState

RATE = "optimizer.lr=1e-5:1e-1:log"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., OptunaSearch]:
    def search(
        *arguments: str, trials: int = 12, seed: int = 0, by: str = "none", more: bool = True, folder: str = "größe a"
    ) -> OptunaSearch:
        space = read_space(arguments or (RATE, "model=smp,trm"), folds=len)
        pruning = Pruning(by=by, startup=2, reduction=2)
        return OptunaSearch(space, tmp_path / folder, trials=trials, seed=seed, more_is_better=more, pruning=pruning)

    return search


Make = Callable[..., OptunaSearch]


def taken(search: OptunaSearch) -> Trial:
    trial = search.ask([])
    assert trial is not None
    return trial


def value(trial: Trial) -> float:
    """Best at 1e-3 with the model trm."""
    return 1 / (1 + abs(3 + round(math.log10(trial.varied["optimizer.lr"]), 3))) + (trial.varied["model"] == "trm")


def ran(search: OptunaSearch, count: int) -> list[Trial]:
    found = []
    for _ in range(count):
        trial = taken(search)
        search.tell(trial, TrialState.finished, value(trial))
        found.append(trial)
    return found


def test_it_is_a_search_that_ends(make: Make) -> None:
    search = make(trials=3)
    assert isinstance(search, Search)
    assert [trial.number for trial in ran(search, 3)] == [0, 1, 2]
    assert search.ask([]) is None


def test_it_finds_what_is_good(make: Make) -> None:
    found = ran(make(trials=25), 25)
    first, late = found[:10], found[15:]
    assert sum(map(value, late)) / 10 > sum(map(value, first)) / 10
    assert max(map(value, late)) > max(map(value, first))


def test_a_stop_anywhere_changes_no_setting(make: Make) -> None:
    whole = ran(make(), 12)
    found: list[Trial] = []
    for until in (1, 5, 12):
        search = make(folder="stopped")
        again = [taken(search) for _ in found]
        assert [one.varied for one in again] == [one.varied for one in found]
        for trial in again:
            search.tell(trial, TrialState.finished, value(trial))
        found += ran(search, until - len(found))
    assert [one.varied for one in found] == [one.varied for one in whole]


def test_a_trial_that_ran_when_killed_comes_again_and_is_told_once(make: Make) -> None:
    search = make()
    first, second = taken(search), taken(search)
    search.tell(second, TrialState.finished, 0.5)
    search = make()
    assert [taken(search) for _ in range(2)] == [first, second]
    search.tell(second, TrialState.finished, 0.5)
    search.tell(first, TrialState.finished, 0.25)
    states = [one["state"] for one in journal(make) if one["op_code"] == 6]
    assert states == [1, 1]


def journal(make: Make) -> list[dict]:
    folder = make()._folder
    return [json.loads(line) for line in (folder / JOURNAL_FILE).read_text().splitlines()]


@pytest.mark.parametrize("cut", range(1, 400, 57))
def test_a_journal_cut_anywhere_is_taken_up(make: Make, cut: int) -> None:
    search = make()
    trials = ran(search, 2)
    path = search._folder / JOURNAL_FILE
    path.write_bytes(path.read_bytes()[:-cut])
    path.with_name(f"{JOURNAL_FILE}.lock").touch()
    search = make()
    again = [taken(search), taken(search)]
    assert again[0] == trials[0]
    assert len({trial.name for trial in (*again, taken(search))}) == 3
    for trial in again:
        search.tell(trial, TrialState.finished, 0.5)


def test_settings_that_were_asked_for_but_never_begun_do_not_stay_open(make: Make) -> None:
    search = make()
    taken(search)
    path = search._folder / JOURNAL_FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    search = make()
    assert taken(search).number == 0
    assert [one["state"] for one in journal(make) if one["op_code"] == 6] == [3]


def test_no_setting_comes_twice_and_a_small_space_ends(make: Make) -> None:
    search = make("model=a,b,c", "train.epochs=1:2:lin", trials=50)
    names = set()
    while (trial := search.ask([])) is not None:
        names.add(trial.name)
        search.tell(trial, TrialState.finished, 0.5)
    assert len(names) >= 5
    assert len(names) == search._asked


def test_numbers_keep_within_their_range_with_four_digits(make: Make) -> None:
    search = make(RATE, "train.epochs=1:9:lin", "a=0.25:0.5:lin", trials=30)
    for _ in range(30):
        varied = taken(search).varied
        rate, epochs, share = (varied[key] for key in ("optimizer.lr", "train.epochs", "a"))
        assert 1e-5 <= rate <= 1e-1
        assert float(f"{rate:.4g}") == rate
        assert isinstance(epochs, int)
        assert 1 <= epochs <= 9
        assert 0.25 <= share <= 0.5


def test_linked_values_of_any_kind_come_back(make: Make) -> None:
    search = make("model:loss={name: a, width: 2}:null,b:[1, 2]", RATE)
    known = [({"name": "a", "width": 2}, None), ("b", [1, 2])]
    for _ in range(4):
        varied = taken(search).varied
        assert (varied["model"], varied["loss"]) in known


def test_the_median_stops_what_is_worse(make: Make) -> None:
    search = make(by="median")
    for level in (0.5, 0.6, 0.7):
        trial = taken(search)
        assert not search.prune(trial, 1, level)
        search.tell(trial, TrialState.finished, level)
    bad = taken(search)
    assert search.prune(bad, 1, 0.55)
    # Told again after a restart, it is still stopped, and earlier epochs change nothing.
    search = make(by="median")
    trials = [taken(search) for _ in range(4)]
    assert search.prune(trials[3], 1, 0.55)
    search.tell(trials[3], TrialState.pruned, 0.55)
    assert not search.prune(trials[3], 2, 0.1)
    good = taken(search)
    assert not search.prune(good, 1, 0.65)


def test_less_may_be_better(make: Make) -> None:
    search = make(by="median", more=False)
    for level in (0.5, 0.6, 0.7):
        trial = taken(search)
        search.prune(trial, 1, level)
        search.tell(trial, TrialState.finished, level)
    assert not search.prune(taken(search), 1, 0.55)
    assert search.prune(taken(search), 1, 0.65)


def test_halving_lets_the_best_pass(make: Make) -> None:
    search = make(by="halving")
    trials = [taken(search) for _ in range(6)]
    kept = [trial for place, trial in enumerate(trials) if not search.prune(trial, 1, 0.9 - 0.1 * place)]
    assert trials[0] in kept
    assert trials[5] not in kept


def test_figures_that_are_no_numbers_are_no_results(make: Make) -> None:
    search = make(by="median")
    trial = taken(search)
    assert not search.prune(trial, 1, float("nan"))
    search.tell(trial, TrialState.finished, None)
    other = taken(search)
    search.tell(other, TrialState.failed, 0.9)
    assert [one["state"] for one in journal(make) if one["op_code"] == 6] == [3, 3]


def test_a_trial_that_failed_and_then_finishes_counts(make: Make) -> None:
    search = make()
    trial = taken(search)
    search.tell(trial, TrialState.failed, None)
    for _ in range(2):
        search = make()
        assert taken(search) == trial
        search.tell(trial, TrialState.finished, 0.5)
    assert sum(one["op_code"] == 4 and one.get("state") == 1 for one in journal(make)) == 1


def test_what_cannot_be_is_refused(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(make(), 1)
    with pytest.raises(ConfigError, match="in other ranges"):
        make("optimizer.lr=1e-5:1:log", "model=smp,trm")
    with pytest.raises(ConfigError, match="makes its figure large"):
        make(more=False)
    with pytest.raises(ConfigError, match="seed varies"):
        make("seed=1,2", RATE)
    with pytest.raises(ConfigError, match=r"data\.fold varies"):
        make("data.fold=0,1", RATE)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / JOURNAL_FILE).write_text("no journal\nat all\n")
    with pytest.raises(StorageError, match="no journal of a search"):
        make(folder="foreign")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"install terrazzo\[optuna\]"):
        make(folder="other")
