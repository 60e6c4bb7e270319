"""The search that leaves nothing out."""

from pathlib import Path

from terrazzo.sweep.grid import Space, read_space
from terrazzo.sweep.grid_search import GridSearch
from terrazzo.sweep.searching import Search
from terrazzo.sweep.trial import TrialState


def space(*arguments: str) -> Space:
    return read_space(arguments, folds=lambda overrides: range(2))


def test_it_asks_for_each_trial_once_and_the_same_ones_again(tmp_path: Path) -> None:
    for _ in range(2):
        search = GridSearch(space("seed=1,2", "data.fold=all"), tmp_path)
        assert isinstance(search, Search)
        trials = []
        while (trial := search.ask(())) is not None:
            trials.append(trial)
            search.tell(trial, TrialState.failed, None)
            assert not search.prune(trial, 1, 0.0)
        assert [trial.name for trial in trials] == [
            f"seed={seed},data.fold={fold}" for seed in (1, 2) for fold in (0, 1)
        ]
        assert [trial.number for trial in trials] == [0, 1, 2, 3]
        assert trials[0].folder == tmp_path / "trials" / "seed=1,data.fold=0"


def test_nothing_varied_is_one_trial(tmp_path: Path) -> None:
    search = GridSearch(space("seed=1"), tmp_path)
    trial = search.ask(())
    assert trial is not None
    assert (trial.name, dict(trial.varied)) == ("only", {})
    assert search.ask(()) is None
