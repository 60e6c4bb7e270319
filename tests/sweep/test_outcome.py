"""What a sweep came to, as plain data: nothing left out, nothing chosen by the test split."""

import json
from collections.abc import Callable

import pytest

from terrazzo.errors import ConfigError
from terrazzo.sweep.outcome import outcome


def come(made: tuple, **more: object) -> dict:
    found = outcome(*made, seconds=3.0, **more)
    json.dumps(found, allow_nan=False)
    return found


def test_every_trial_stands_in_it(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2, 3)]
    states = {1: ("failed", "no memory"), 2: ("pruned", "below the median"), 4: ("running", ""), 5: ("waiting", "")}
    found = come(make_sweep(varied, lambda v: 0.7 + 0.1 * (v["model"] == "b"), states=states))
    assert found["states"] == {"waiting": 1, "running": 1, "finished": 2, "failed": 1, "pruned": 1}
    assert [one["state"] for one in found["trials"]] == [
        "finished", "failed", "pruned", "finished", "running", "waiting",
    ]  # fmt: skip
    assert [one["reason"] for one in found["trials"]][1:3] == ["no memory", "below the median"]
    assert [one["setting"] for one in found["trials"]] == [0, 0, 0, 1, 1, 1]
    assert found["trials"][0]["report"] == "trials/model=a,seed=1/report.html"
    assert found["trials"][5]["report"] is None
    assert [(one["runs"], one["finished"]) for one in found["settings"]] == [(3, 1), (3, 1)]
    assert found["settings"][0]["figures"]["val"]["miou"]["deviation"] is None


def test_settings_are_never_ranked_by_test(make_sweep: Callable) -> None:
    made = make_sweep([{"model": "a"}, {"model": "b"}], lambda v: 0.9 if v["model"] == "a" else 0.5)
    folder, trials, _ = made
    # On the test split the order is the other one.
    for trial, other in zip(trials, trials[::-1], strict=True):
        for name in ("summary.json", "confusions.safetensors"):
            (trial.folder / "evaluate" / "test" / f"{name}.new").write_bytes(
                (other.folder / "evaluate" / "test" / name).read_bytes()
            )
    for trial in trials:
        for name in ("summary.json", "confusions.safetensors"):
            path = trial.folder / "evaluate" / "test" / f"{name}.new"
            path.rename(path.with_suffix(""))
    found = come(made)
    assert found["ranking"] == {"split": "val", "figure": "miou", "more_is_better": True}
    assert found["ranked"] == ["model=a", "model=b"]
    by_label = {one["label"]: one["figures"]["test"]["miou"]["mean"] for one in found["settings"]}
    assert by_label["model=b"] > by_label["model=a"]
    assert folder.name == found["name"]


def test_without_evaluations_training_ranks(make_sweep: Callable) -> None:
    varied = [{"model": m, "seed": s} for m in ("a", "b") for s in (1, 2)]
    made = make_sweep(varied, lambda v: 0.9 if v["model"] == "a" else 0.5, splits=lambda _: {}, monitor="val_loss")
    found = come(made)
    assert found["ranking"] == {"split": "training", "figure": "val_loss", "more_is_better": False}
    assert found["ranked"] == ["model=b", "model=a"]
    (difference,) = found["differences"]
    assert (difference["split"], difference["wins"], difference["losses"]) == ("training", 0, 2)


def test_nothing_finished(make_sweep: Callable) -> None:
    found = come(make_sweep([{"seed": 1}], lambda _: 0.5, states={0: ("failed", "x")}))
    assert (found["ranking"], found["ranked"], found["differences"]) == (None, [], [])


def test_folds_are_pooled_seed_by_seed(make_sweep: Callable) -> None:
    varied = [{"data.fold": k, "seed": s} for s in (1, 2) for k in range(3)]
    made = make_sweep(
        varied,
        lambda v: 0.6 + 0.1 * v["data.fold"],
        splits=lambda v: {"val": [f"{v['data.fold']}-{i}" for i in range(2)], "test": ["t"]},
        states={5: ("failed", "x")},
    )
    found = come(made)
    val = [one for one in found["folds"] if one["split"] == "val"]
    assert [(one["run"], one["folds"], one["missing"]) for one in val] == [
        ("seed=1", [0, 1, 2], []), ("seed=2", [0, 1], [2]),
    ]  # fmt: skip
    right = labelled = 0
    for trial in made[1][:3]:
        confusion = json.loads((trial.folder / "evaluate" / "val" / "summary.json").read_text())["confusion"]
        right += sum(confusion[place][place] for place in range(3))
        labelled += sum(map(sum, confusion))
    assert val[0]["accuracy"] == pytest.approx(right / labelled)
    assert val[0]["images"] == 6
    test = [one for one in found["folds"] if one["split"] == "test"]
    assert all("judged by more than one" in one["refused"] for one in test)


def test_a_fold_alone_is_not_pooled(make_sweep: Callable) -> None:
    states = {1: ("failed", "x"), 2: ("failed", "x")}
    found = come(make_sweep([{"data.fold": k} for k in range(3)], lambda _: 0.5, states=states))
    assert {one["refused"] for one in found["folds"]} == {"fewer than two folds have finished"}


def test_an_unknown_figure_is_refused(make_sweep: Callable) -> None:
    made = make_sweep([{"seed": 1}], lambda _: 0.5)
    with pytest.raises(ConfigError, match='Did you mean "iou forest"'):
        outcome(*made, seconds=1.0, figure="iou forrest")
    assert outcome(*made, seconds=1.0, figure="iou forest")["figure"] == "iou forest"


def test_a_search_says_what_matters(make_sweep: Callable) -> None:
    varied = [{"optimizer.lr": 10.0**-power, "model": m} for power in range(1, 6) for m in ("a", "b")]
    found = come(make_sweep(varied, lambda v: 0.5 + 2 * v["optimizer.lr"], splits=lambda _: {}))
    assert found["importance"][0]["key"] == "optimizer.lr"
