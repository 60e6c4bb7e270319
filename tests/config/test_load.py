"""From files, recipes and overrides to one configuration, and back."""

import os
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terrazzo.config import RunConfig, list_recipes, load_config
from terrazzo.errors import ConfigError
from terrazzo.record import Table


def again(config: RunConfig, folder: Path) -> RunConfig:
    """Return what loading the dumped configuration gives."""
    file = folder / "dumped ä.yaml"
    file.write_text(config.dump(), encoding="utf-8")
    return load_config(file)


def mistakes(*arguments: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(*arguments)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_the_least_file_is_enough(place: Path):
    config = load_config("run.yaml")
    assert config.name == "run"
    assert config.data.classes.names == ("water", "land")
    assert config.prepare.folder == Path("prepared")


def test_a_file_is_found_without_being_named(place: Path):
    (place / "run.yaml").rename(place / "terrazzo.yaml")
    assert load_config().name == "terrazzo"
    assert load_config(None, "seed=3").seed == 3


def test_sections_share_paths(place: Path):
    config = load_config("run.yaml", "paths.prepared=/p", "paths.data=/d", "data.source.folder=${paths.data}/x")
    assert config.prepare.folder == Path("/p")
    assert config.data.source.folder == Path("/d/x")
    assert load_config("run.yaml", "paths.prepared=/p", "prepare.folder=q").prepare.folder == Path("q")


def test_keys_of_a_component_inside_another_are_laid_over_its_default(place: Path):
    config = load_config("run.yaml", "model=trm", "loss=steps", "model.backbone.width=32")
    assert config.model.model_dump()["backbone"] == {"name": "stem", "width": 32, "blocks": 2}
    assert again(config, place) == config
    assert mistakes("run.yaml", "model=trm", "loss=steps", "model.backbone.widht=32") == [
        'override "model.backbone.widht=32"  model.backbone.widht: unknown key. Did you mean "width"?'
    ]


def test_defaults_can_be_referred_to(place: Path):
    assert load_config("run.yaml", "evaluate.batch_size=${train.batch_size}").evaluate.batch_size == 8


def test_components_are_completed_and_replaced(place: Path):
    config = load_config("run.yaml", "model.encoder=resnet18", "loss.label_smoothing=0.1", "optimizer=sgd")
    assert (config.model.name, config.model.encoder) == ("smp", "resnet18")
    assert (config.loss.name, config.loss.label_smoothing) == ("ce", 0.1)
    assert (config.optimizer.name, config.optimizer.momentum) == ("sgd", 0.9)
    config = load_config("run.yaml", "model.encoder=resnet18", "model=smp")
    assert config.model.encoder == "resnet34"


def test_sections_in_short_form_are_completed(place: Path):
    config = load_config("run.yaml", "augment=light", "augment.transforms=[blur]", "data.classes.unlisted=ignore")
    assert (config.augment.set, config.augment.transforms[0].name) == ("light", "blur")
    assert config.data.classes.unlisted == "ignore"


def test_the_name_may_hold_the_time_and_the_dump_keeps_it(place: Path):
    config = load_config("run.yaml", "name=run-${now:%Y%m%d}")
    assert config.name == f"run-{datetime.now().astimezone():%Y%m%d}"
    assert "now:" not in config.dump()
    assert again(config, place) == config


def test_every_mistake_is_said_at_once(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TZ_NONE", raising=False)
    (place / "base.yaml").write_text("train:\n  epochs: 0\n  epoch: 3\n  epochs: 2\n", encoding="utf-8")
    text = (
        "include: base.yaml\npaths: {data: '${oc.env:TZ_NONE}'}\ndata:\n  source: {name: foldr}\nmodel: smp\nseed: x\n"
    )
    (place / "run.yaml").write_text(text, encoding="utf-8")
    found = mistakes("run.yaml", "machine.cudnn_benchmark=true", "optimizer.lr=fast", "nonsense")
    assert [line.split("  ")[0].split(": ")[0] for line in found] == [
        "base.yaml:2",
        "base.yaml:3",
        "base.yaml:4",
        'override "nonsense"',
        "run.yaml:2",
        "run.yaml:3",
        "run.yaml:4",
        "run.yaml:6",
        'override "optimizer.lr=fast"',
        'override "machine.cudnn_benchmark=true"',
    ]
    text = "\n".join(found)
    for words in ("stands twice", 'mean "epochs"', 'mean "folder"', "data.classes: is missing", "TZ_NONE", "a number"):
        assert words in text


def test_a_file_that_cannot_be_read_hides_only_what_it_may_hold(place: Path):
    (place / "base.yaml").write_text("paths: [", encoding="utf-8")
    (place / "run.yaml").write_text("include: base.yaml\nseed: x\nname: '${paths.y}'\n", encoding="utf-8")
    found = mistakes("run.yaml")
    assert len(found) == 2
    assert found[0].startswith("base.yaml:1: is no valid YAML")
    assert found[1].startswith("run.yaml:2  seed")


def test_unknown_keys_of_overrides_get_the_nearest(place: Path):
    assert mistakes("run.yaml", "trian.epochs=3") == [
        'override "trian.epochs=3"  trian: unknown key. Did you mean "train"?'
    ]


def test_what_came_from_the_environment_is_dumped_as_its_reference(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ_ROOT", "/geheim")
    monkeypatch.setenv("TZ_SEED", "7")
    monkeypatch.setenv("TZ_SET", "hard")
    config = load_config(
        "run.yaml",
        "paths.data=${oc.env:TZ_ROOT}",
        "data.source.folder=${paths.data}/x",
        "predict.inputs=['${paths.data}/a.tif', b.tif]",
        "seed=${oc.env:TZ_SEED}",
        "augment=${oc.env:TZ_SET}",
        "data.classes=[water, '${oc.env:TZ_SET}']",
        "paths.prepared=${paths.data}/p",
    )
    assert config.data.source.folder == Path("/geheim/x")
    assert (config.seed, config.augment.set, config.data.classes.names) == (7, "hard", ("water", "hard"))
    text = config.dump()
    assert "geheim" not in text
    assert "hard" not in text.replace("harder", "")
    for line in ("seed: ${oc.env:TZ_SEED}", "data: ${oc.env:TZ_ROOT}", "folder: ${oc.env:TZ_ROOT}/p", "augment: ${oc"):
        assert line in text
    assert again(config, place) == config
    assert "geheim" not in "".join(config.differences(load_config("run.yaml")))


def test_a_dumped_reference_follows_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ_ROOT", "/one")
    config = load_config("run.yaml", "paths.data=${oc.env:TZ_ROOT}", "data.source.folder=${paths.data}/x")
    text = config.dump()
    monkeypatch.setenv("TZ_ROOT", "/two")
    moved = again(config, place)
    assert moved.data.source.folder == Path("/two/x")
    assert moved.dump() == text
    assert moved.differences(config) == []


def test_a_copy_with_another_value_dumps_that_value(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ_SEED", "7")
    config = load_config("run.yaml", "seed=${oc.env:TZ_SEED}")
    assert "seed: 8" in config.model_copy(update={"seed": 8}).dump()
    assert "seed: ${oc.env:TZ_SEED}" in config.model_copy(update={"name": "x"}).dump()


def test_text_that_looks_like_a_reference_survives(place: Path):
    config = load_config("run.yaml", r"paths.odd=\${not.there}", "paths.back='a\\b'", "paths.quest=a???")
    assert config.paths["odd"] == "${not.there}"
    assert again(config, place) == config


PLUGIN = '''
from typing import Literal
from terrazzo.record import Table
from terrazzo.training.schedule import Schedule

class Sawtooth(Schedule):
    """Falls and jumps."""
    name: Literal["sawtooth_{n}"] = "sawtooth_{n}"
    teeth: int = 3

Table.of("schedules").register("sawtooth_{n}", f"{{__name__}}:Sawtooth")
'''


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table of schedules, which forgets what a test adds."""
    table = Table.of("schedules")
    table.names()
    monkeypatch.setattr(table, "_entries", dict(table._entries))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return table


def test_a_plugin_brings_a_component(place: Path, schedules: Table):
    (place / "my plug-in.py").write_text(PLUGIN.format(n=1), encoding="utf-8")
    config = load_config("run.yaml", "plugins=[my plug-in.py]", "schedule=sawtooth_1", "schedule.teeth=5")
    assert config.schedule.model_dump()["teeth"] == 5
    assert again(config, place) == config


def test_a_plugins_path_is_relative_to_the_working_directory(place: Path, schedules: Table):
    (place / "sub").mkdir()
    (place / "run.yaml").rename(place / "sub" / "run.yaml")
    (place / "mine.py").write_text(PLUGIN.format(n=2), encoding="utf-8")
    assert load_config("sub/run.yaml", "plugins=[mine.py]", "schedule=sawtooth_2").schedule.name == "sawtooth_2"


def test_a_missing_plugin_is_a_mistake_like_others(place: Path):
    (place / "run.yaml").write_text("plugins:\n  - none.py\nmodel: smp\nsed: 1\n", encoding="utf-8")
    found = mistakes("run.yaml")
    assert [line.split(": ")[0].split("  ")[-1] for line in found] == ["data", "plugins.0", "sed"]
    assert "none.py is not a Python file" in found[1]


def test_nothing_in_a_file_runs_code(place: Path):
    marker = place / "ran"
    for tag in (f"!!python/object/apply:os.mkdir ['{marker}']", f"!!python/object/new:os.mkdir ['{marker}']"):
        (place / "run.yaml").write_text(f"name: {tag}\n", encoding="utf-8")
        assert "is not allowed" in "".join(mistakes("run.yaml"))
    (place / "run.yaml").write_text("name: ${python:__import__('os').mkdir('ran')}\n", encoding="utf-8")
    assert mistakes("run.yaml")
    assert not marker.exists()


OVERRIDES = st.sampled_from(
    [
        "seed=3",
        "name='1e-3'",
        "name=Wälder und 水",
        "paths.x='${oc.env:HOME}/y'",
        "paths.x=\\${literal}",
        "paths.y='a: b # c'",
        "data.bands=[red, {name: nir, number: 4, scale: 1e-4}]",
        "data.classes=[a, b, c]",
        "data.classes.items.0={name: sea, colour: '#102030'}",
        "data.split={fractions: {train: 0.5, val: 0.5}}",
        "data.patch={size: 64, stride: 32}",
        "model.encoder=mit_b0",
        "model.settings={decoder_channels: [64, 32, 16, 8, 4]}",
        "loss=dice",
        "loss={name: sum, terms: [{loss: ce}, {loss: {name: dice}, weight: 0.5}]}",
        "optimizer=sgd",
        "optimizer.lr=1e-8",
        "schedule={name: poly, power: 2}",
        "augment=hard",
        "augment=[{name: hflip, probability: 1}]",
        "train.monitor={figure: val_loss, mode: min, patience: 3}",
        "train.epochs=${oc.env:TZ_EPOCHS,7}",
        "predict={enable: true, inputs: ['a b.tif', '${paths.runs}/c.tif']}",
        "machine.workers=auto",
        "machine.workers=0",
        "logging.level=debug",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(OVERRIDES, max_size=6))
def test_loading_what_was_dumped_is_the_identity(place: Path, overrides: list[str]):
    # Keys of a class by position need the long form, so that override comes after the list at most.
    try:
        config = load_config("run.yaml", *overrides)
    except ConfigError as error:
        assert "data.classes.items.0" in str(error)  # noqa: PT017
        return
    loaded = again(config, place)
    assert loaded == config
    assert loaded.dump() == config.dump()
    assert config.differences(loaded) == []
    assert os.environ["HOME"] not in config.dump()


@pytest.mark.parametrize("recipe", list_recipes())
def test_recipes_survive_being_dumped(place: Path, recipe: str):
    config = load_config(recipe)
    assert config.name == recipe
    assert again(config, place) == config
