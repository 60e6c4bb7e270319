"""What a key means and who sets it."""

import json
from pathlib import Path

import pytest

from terrazzo.config import list_recipes
from terrazzo.config.explain import Explanation, explain
from terrazzo.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERRAZZO_CONFIG", raising=False)


def only(found: list[Explanation]) -> Explanation:
    (one,) = found
    return one


def test_a_setting() -> None:
    told = only(explain("train.epochs"))
    assert (told.kind, told.type, told.required) == ("setting", "whole number", False)
    assert told.constraints == ("at least 1",)
    assert told.default == 10 or isinstance(told.default, int)
    assert told.description
    assert told.recipes["demo"].place.rpartition("/")[2].startswith("demo.yaml:")
    assert (told.here, told.configuration) == (None, None)


def test_a_setting_of_a_component_is_that_of_the_chosen_one() -> None:
    told = only(explain("optimizer.lr"))
    assert told.component == "optimizer: adamw"
    assert {"sgd", "muon"} <= set(told.also)
    assert only(explain("optimizer.lr", "demo", ["optimizer=sgd"])).component == "optimizer: sgd"
    assert only(explain("optimizer.sgd.lr")).component == "optimizer: sgd"
    assert "cityscapes-hardnet" in only(explain("optimizer.sgd.lr")).recipes


def test_a_section_lists_its_keys() -> None:
    told = only(explain("machine"))
    assert told.kind == "section"
    rows = {row["key"]: row for row in told.keys}
    assert rows["precision"]["default"] == "auto"
    assert rows["threads"]["description"].startswith("Threads of one process")


@pytest.mark.parametrize("asked", ["model.hardnet70", "hardnet70", "models.hardnet70"])
def test_a_component_by_its_place_or_its_name(asked: str) -> None:
    told = only(explain(asked))
    assert (told.kind, told.component) == ("component", "one of the models")
    assert told.description.startswith("FC-HarDNet-70")
    assert [row["key"] for row in told.keys] == ["pretrain"]
    assert list(told.recipes) == ["cityscapes-hardnet"]


def test_a_component_in_a_list() -> None:
    assert only(explain("augment.transforms.blur")).kind == "component"
    assert only(explain("augment.transforms.0.blur.probability")).kind == "setting"


def test_a_family_lists_its_members() -> None:
    told = only(explain("model"))
    assert {"smp", "trm", "hardnet70"} <= set(told.choices)
    assert told.required
    assert set(told.recipes) == set(list_recipes())


def test_a_bare_name_in_two_families_is_told_twice() -> None:
    families = {told.component for told in explain("smp")}
    assert families == {"one of the models", "one of the backbones"}


def test_the_present_configuration_says_where(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("include: demo\nseed: 7\n")
    (tmp_path / "terrazzo.yaml").write_text("include: base.yaml\n\ntrain:\n  epochs: 4\n")
    told = only(explain("train.epochs"))
    assert told.here is not None
    assert (told.here.value, told.here.place) == (4, "terrazzo.yaml:4")
    assert told.configuration == str(tmp_path / "terrazzo.yaml")
    seed = only(explain("seed")).here
    assert seed is not None
    assert seed.place == "base.yaml:2"
    override = only(explain("seed", None, ["seed=9"])).here
    assert override is not None
    assert (override.value, override.place) == (9, 'override "seed=9"')
    assert only(explain("train.accumulate")).here is None


def test_what_comes_from_the_environment_stays_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PLACE", "hunter2hunter2")
    (tmp_path / "run.yaml").write_text("include: demo\npaths:\n  runs: ${oc.env:MY_PLACE}\n")
    content = json.dumps([told.as_dict() for told in explain("paths", "run.yaml")])
    assert "hunter2" not in content
    assert "${oc.env:MY_PLACE}" in content


@pytest.mark.usefixtures("own_plugins")
def test_a_plug_in_is_explained(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from typing import Literal\n"
        "from terrazzo.losses import CrossEntropy\n"
        "from terrazzo.record import Table\n"
        "class Mine(CrossEntropy):\n"
        '    """Cross-entropy of my own."""\n'
        '    name: Literal["explained_here"] = "explained_here"\n'
        '    """Its name."""\n'
        'Table.of("losses").register("explained_here", f"{__name__}:Mine")\n'
    )
    (tmp_path / "run.yaml").write_text("include: demo\nplugins: [mine.py]\nloss: explained_here\n")
    told = next(each for each in explain("explained_here", "run.yaml"))
    assert told.description == "Cross-entropy of my own."
    assert told.here is not None


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("epochs", "train.epochs"),
        ("train.epoch", "train.epochs"),
        ("lr", "optimizer.lr"),
        ("hardnet7", "hardnet70"),
        ("qqqqqq", "config show"),
    ],
)
def test_a_wrong_key_names_the_nearest(asked: str, near: str) -> None:
    with pytest.raises(ConfigError, match="is called") as caught:
        explain(asked)
    assert near in str(caught.value)


def test_a_configuration_that_is_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        explain("seed", "nowhere.yaml")


def test_it_is_plain_data() -> None:
    for told in explain("loss"):
        assert json.loads(json.dumps(told.as_dict(), allow_nan=False))["key"] == "loss"
