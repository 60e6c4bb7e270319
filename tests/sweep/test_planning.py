"""The configuration of each trial, and where it runs and prepares."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.config import RunConfig, load_config
from terrazzo.errors import ConfigError
from terrazzo.sweep.grid import Space, read_space
from terrazzo.sweep.planning import Placement, folds_of, load_all, load_trial
from terrazzo.sweep.trial import trial_of

CONFIG = """
name: tiny
paths: {data: "${oc.env:TINY_ROOT,data}", prepared: prepared/tiny, runs: runs}
data:
  source: {name: folder, folder: "${paths.data}", images: "*.png", labels: "labels/*.png"}
  classes: [land, water]
  patch: {size: 32}
  split: {seed: "${shift}"}
model: {name: smp, encoder: resnet18}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace('split: {seed: "${shift}"}', "split: {seed: 0}"))
    return "tiny.yaml"


def space(*arguments: str) -> Space:
    return read_space(arguments, folds=lambda overrides: range(2))


def placed(source: str, arguments: Sequence[str], *, threads: int | None = None) -> list[RunConfig]:
    found = space(*arguments)
    combinations = list(found.grid())
    configs = load_all(source, found, combinations)
    placement = Placement(found.keys, configs[0], threads)
    trials = [trial_of(number, varied, Path("runs/tiny-sweep")) for number, varied in enumerate(combinations)]
    return [placement.place(trial, config) for trial, config in zip(trials, configs, strict=True)]


def test_each_trial_has_a_run_folder_of_its_own(source: str) -> None:
    first, second = placed(source, ["seed=1,2", "train.epochs=3"])
    assert (first.seed, second.seed, first.train.epochs) == (1, 2, 3)
    assert first.folder == Path("runs/tiny-sweep/trials/seed=1")
    assert second.folder == Path("runs/tiny-sweep/trials/seed=2")
    assert first.prepare.folder == second.prepare.folder == Path("prepared/tiny")


def test_its_file_loads_to_the_same_configuration(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_ROOT", "hidden place")
    (first, _) = placed(source, ["optimizer.lr=1e-5,1e-4", "name='a ${oc.env:TINY_ROOT}'"], threads=1)
    file = tmp_path / "again.yaml"
    file.write_text(first.dump(), encoding="utf-8")
    assert load_config(file).as_dict() == first.as_dict()
    assert "${oc.env:TINY_ROOT" in file.read_text()
    assert "hidden place" not in file.read_text()


def test_other_data_is_prepared_elsewhere(source: str) -> None:
    folders = [config.prepare.folder for config in placed(source, ["data.patch.size=16,32", "seed=1,2"])]
    assert folders[0] == folders[1] != folders[2] == folders[3]
    assert {folder.parent for folder in folders} == {Path("prepared")}
    assert all(folder.name.startswith("tiny-") for folder in folders)
    # Another sweep over the same data finds what this one prepared.
    again = placed(source, ["data.patch.size=32,64"])
    assert again[0].prepare.folder == folders[2]


def test_data_that_varies_through_another_key_is_noticed(source: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("${shift}", "${seed}"))
    first, second = placed(source, ["seed=1,2"])
    assert first.prepare.folder == Path("prepared/tiny")
    assert second.prepare.folder != first.prepare.folder


def test_what_prepare_writes_differs_with_its_settings(source: str) -> None:
    first, second = placed(source, ["prepare.store=original,tiles"])
    assert first.prepare.folder != second.prepare.folder
    kept = placed(source, ["prepare.folder=a,b"])
    assert [config.prepare.folder for config in kept] == [Path("a"), Path("b")]


def test_threads_are_pinned_only_where_nothing_is_said(source: str) -> None:
    assert placed(source, ["seed=1"])[0].machine.threads == "auto"
    assert placed(source, ["seed=1"], threads=3)[0].machine.threads == 3
    assert placed(source, ["seed=1", "machine.threads=2"], threads=3)[0].machine.threads == 2


def test_the_mistakes_of_all_trials_are_said_at_once(source: str) -> None:
    found = space("train.epochs=0,5", "seed=1,-2", "optimizer.lr=0.1")
    with pytest.raises(ConfigError) as caught:
        load_all(source, found, list(found.grid()))
    said = str(caught.value)
    assert said.startswith("3 of 4 trials have mistakes; none was started.")
    assert "train.epochs=0,seed=1:" in said
    assert "train.epochs=5,seed=-2:" in said
    alone = space("train.epochs=0")
    with pytest.raises(ConfigError, match="One mistake in the configuration"):
        load_all(source, alone, list(alone.grid()))


def test_equal_mistakes_are_said_once(source: str) -> None:
    found = space("seed=1,2,3", "optimiser.lr=0.1")
    with pytest.raises(ConfigError, match=r"seed=1 and 2 more: One mistake") as caught:
        load_all(source, found, list(found.grid()))
    assert str(caught.value).count("optimizer") == 1


def test_folds_of_the_configuration(source: str, tmp_path: Path) -> None:
    dealt = load_trial(source, space("data.split.folds.count=3", "data.fold=0"), {})
    assert folds_of(dealt) == (0, 1, 2)
    (tmp_path / "data" / "labels").mkdir(parents=True)
    for name in ("a", "b"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "data" / f"{name}.png")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "data" / "labels" / f"{name}.png")
    with pytest.raises(ConfigError, match=r"set data.split.folds"):
        folds_of(load_config(source))


def test_folds_that_a_source_knows(source: str, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}_label.png")
    (tmp_path / "images.csv").write_text(
        "image,label,fold\na.png,a_label.png,0\nb.png,b_label.png,2\nc.png,c_label.png,2\n"
    )
    table = "data.source={name: table, table: images.csv}"
    assert folds_of(load_trial(source, space(table, "data.fold=0"), {})) == (0, 2)
    missing = "data.source={name: table, table: absent.csv}"
    with pytest.raises(ConfigError, match=r"folds cannot be counted|absent.csv"):
        folds_of(load_trial(source, space(missing, "data.fold=0"), {}))
