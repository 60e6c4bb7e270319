"""Trials and their names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from terrazzo.errors import StorageError
from terrazzo.storage import write_json
from terrazzo.sweep.trial import TRIAL_FILE, Trial, trial_name, trial_of

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-2, 2)
    | st.text(max_size=4)
    | st.lists(st.integers(0, 3))
)


@given(
    first=st.dictionaries(st.sampled_from(["seed", "a.b"]), VALUES),
    second=st.dictionaries(st.sampled_from(["seed", "a.b"]), VALUES),
)
def test_different_trials_have_different_names(first: dict[str, object], second: dict[str, object]) -> None:
    same = list(map(repr, first.items())) == list(map(repr, second.items()))
    assert (trial_name(first) == trial_name(second)) == same


@given(varied=st.dictionaries(st.text("abc.", min_size=1, max_size=30), st.text(), max_size=6))
def test_a_name_is_a_folder(varied: dict[str, str]) -> None:
    name = trial_name(varied)
    assert name.strip(". ")
    assert "/" not in name
    assert "\0" not in name
    assert len(name) <= 130


@pytest.mark.parametrize(
    ("varied", "name"),
    [
        ({"seed": 1}, "seed=1"),
        ({"seed": 1, "model": "smp"}, "seed=1,model=smp"),
        ({"optimizer.lr": 0.0004642}, "optimizer.lr=0.0004642"),
        ({"train.ema": None}, "train.ema=null"),
    ],
)
def test_short_values_stand_as_typed(varied: dict[str, object], name: str) -> None:
    assert trial_name(varied) == name


def test_a_trial_is_read_where_its_folder_lies_now(tmp_path: Path) -> None:
    trial = trial_of(3, {"seed": 1, "layers": ["a", "b"]}, tmp_path / "größe sweep")
    assert trial.folder == tmp_path / "größe sweep" / "trials" / trial.name
    trial.folder.mkdir(parents=True)
    trial.save()
    assert Trial.load(trial.folder) == trial
    moved = tmp_path / "moved"
    trial.folder.rename(moved)
    assert Trial.load(moved).folder == moved
    assert str(tmp_path) not in (moved / TRIAL_FILE).read_text()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        Trial.load(tmp_path)
    write_json(tmp_path / TRIAL_FILE, {"number": "first"})
    with pytest.raises(ValidationError):
        Trial.load(tmp_path)
