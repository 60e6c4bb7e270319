"""The whole configuration as a record, and what must hold between its sections."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from terrazzo.config import RunConfig
from terrazzo.config.run_config import violations
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.machine import MachineSettings
from terrazzo.training.settings import TrainSettings

DATA = {"source": {"name": "folder", "folder": "data"}, "classes": ["water", "land"]}


def config(**sections: object) -> RunConfig:
    return RunConfig.model_validate({"data": DATA, "model": "smp", **sections})


def wrong(**sections: object) -> list[tuple[tuple, str]]:
    with pytest.raises(ValidationError) as caught:
        config(**sections)
    return [(details["loc"], details["msg"]) for details in caught.value.errors()]


def split(**way: object) -> dict[str, object]:
    return {**DATA, "split": way}


def test_data_and_model_are_enough():
    made = config()
    assert made.model.name == "smp"
    assert made.loss.name == "ce"
    assert made.optimizer.name == "adamw"
    assert made.schedule.name == "cosine"
    assert made.augment.set == "safe"
    assert made.seed == 0
    assert made.folder == Path("runs/run")


def test_data_and_model_are_needed():
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate({})
    assert {details["loc"] for details in caught.value.errors()} == {("data",), ("model",)}


def test_it_is_frozen_and_refuses_unknown_keys():
    with pytest.raises(ValidationError, match="frozen"):
        config().seed = 3
    assert wrong(trian={})[0][0] == ("trian",)


def test_paths_always_hold_both_result_folders():
    assert config(paths={"data": "x"}).paths == {"data": "x", "prepared": "prepared", "runs": "runs"}
    assert config(paths={"runs": "/r"}, name="a b").folder == Path("/r/a b")


@pytest.mark.parametrize("name", ["a", "a.b", "Lauf 3 ä", "2026-11-21", "..a"])
def test_a_name_is_a_folders_name(name: str):
    assert config(name=name).folder == Path("runs") / name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "../x", "a\x00"])
def test_what_is_no_folders_name_is_refused(name: str):
    assert wrong(name=name)[0][0] == ("name",)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "x"])
def test_a_seed_is_a_whole_number_that_generators_take(seed: object):
    assert wrong(seed=seed)[0][0] == ("seed",)


def test_every_field_has_its_sentence():
    assert [name for name, field in RunConfig.model_fields.items() if not field.description] == []


def test_timing_algorithms_is_not_deterministic():
    ((path, message),) = wrong(machine={"cudnn_benchmark": True})
    assert path == ("machine", "cudnn_benchmark")
    assert "machine.deterministic: false" in message
    assert config(machine={"cudnn_benchmark": True, "deterministic": False}).machine.cudnn_benchmark


def test_regions_must_name_what_training_needs():
    assert [path for path, _ in wrong(data=split(regions={"test": ["1"]}))] == [("data", "split", "regions")] * 2
    ((_, message),) = wrong(data=split(regions={"train": ["1"]}))
    assert 'nothing for "val"' in message
    assert config(data=split(regions={"train": ["1"], "val": ["2"]})).data.split.regions


def test_an_empty_role_counts_as_none():
    assert 'nothing for "val"' in wrong(data=split(regions={"train": ["1"], "val": []}))[0][1]
    assert 'nothing for "train"' in wrong(data=split(fractions={"train": 0.0, "val": 1.0}))[0][1]


def test_fractions_leave_validation_to_folders():
    assert config(data=split(fractions={"train": 1.0})).data.split.fractions == {"train": 1.0}


def test_blocks_must_name_what_training_needs():
    ((path, message),) = wrong(data=split(blocks={"size_m": 500, "fractions": {"val": 0.5, "test": 0.5}}))
    assert path == ("data", "split", "blocks")
    assert 'nothing for "train"' in message
    assert config(data=split(blocks={"size_m": 500})).data.split.blocks


def test_folds_divide_what_trains_or_selects():
    data = {**split(regions={"train": ["1", "2"], "test": ["3"]}, folds={"count": 2}), "fold": 0}
    assert config(data=data).data.fold == 0
    data = {**split(regions={"test": ["3"]}, folds={"count": 2}), "fold": 0}
    assert len(wrong(data=data)) == 2


def test_validation_on_named_sets_alone_needs_some_and_a_figure_of_theirs():
    ((path, message),) = wrong(train={"validate_on": "named"})
    assert path == ("train", "validate_on")
    assert "data.validation" in message
    data = {**split(), "validation": {"city": {"source": {"name": "folder", "folder": "city"}}}}
    ((path, message),) = wrong(data=data, train={"validate_on": "named"})
    assert path == ("train", "monitor", "figure")
    assert "val_city_miou" in message
    boundaries = {"boundary_tolerances": [2], "monitor": "val_bf1_2"}
    ((path, message),) = wrong(data=data, train={"validate_on": "named", **boundaries})
    assert path == ("train", "monitor", "figure")
    train = {"validate_on": "named", "monitor": "val_city_miou"}
    assert config(data=data, train=train).train.validate_on == "named"
    # Named sets select, so no image needs the role val.
    data = {**data, "split": {"regions": {"train": ["1"]}}}
    assert config(data=data, train=train).data.split.regions


def test_what_does_not_train_needs_no_roles():
    assert config(data=split(regions={"test": ["1"]}), train={"enable": False}).train.enable is False


def test_another_figure_needs_no_validation():
    found = violations(
        {
            "data": DataSettings.model_validate(split(regions={"train": ["1"]})),
            "train": TrainSettings.model_validate({"monitor": {"figure": "train_loss"}}),
        }
    )
    assert found == []


def test_the_monitored_class_must_exist():
    ((path, message),) = wrong(train={"monitor": {"figure": "val_iou_lnd"}})
    assert path == ("train", "monitor", "figure")
    assert 'Did you mean "land"?' in message
    assert config(train={"monitor": {"figure": "val_iou_land"}})


def test_prepared_data_lies_outside_the_run():
    assert wrong(prepare={"folder": "runs/run/prepared"})[0][0] == ("prepare", "folder")
    assert wrong(prepare={"folder": "runs/run"})[0][0] == ("prepare", "folder")
    assert config(prepare={"folder": "runs/other"})


def test_all_violations_come_together():
    found = wrong(machine={"cudnn_benchmark": True}, prepare={"folder": "runs/run"}, data=split(regions={}))
    assert len(found) == 4


def test_rules_without_their_sections_are_left_out():
    assert violations({}) == []
    assert violations({"machine": MachineSettings(cudnn_benchmark=True)}) != []
    assert violations({"prepare": PrepareSettings(folder=Path("runs/run"))}) == []


def test_differences_name_both_values():
    ours, theirs = config(train={"epochs": 3}), config(train={"epochs": 5}, seed=1)
    assert ours.differences(theirs) == ["seed: 0 -> 1", "train.epochs: 3 -> 5"]
    assert ours.differences(config(train={"epochs": 3})) == []


def test_differences_can_leave_out_what_does_not_matter():
    ours, theirs = config(), config(machine={"workers": 3}, logging={"level": "debug"}, predict={"margin": 2})
    assert ours.differences(theirs, ignore=["machine.workers", "logging", "predict.margin"]) == []
    assert ours.differences(theirs, ignore=["machine.work", "log"]) != []


def test_another_component_differs_by_its_keys():
    lines = config().differences(config(optimizer="sgd"))
    assert 'optimizer.name: "adamw" -> "sgd"' in lines
    assert "optimizer.momentum: absent -> 0.9" in lines


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": "trm"}, "ce reads logits alone, but model trm answers Steps: use steps; see docs/losses.md."),
        ({"loss": "steps"}, "steps reads Steps, but model smp answers logits alone: use bootstrapped_ce, ce, ce_dice,"),
        ({"model": "trm", "loss": "masks"}, "masks reads Queries, but model trm answers Steps: use steps;"),
    ],
)
def test_a_loss_that_does_not_read_the_answers_is_refused_with_one_that_does(sections, message):
    ((where, told),) = wrong(**sections)
    assert where == ("loss",)
    assert told.startswith(message)


def test_a_loss_that_reads_the_answers_is_accepted():
    assert config(model="trm", loss={"name": "steps", "loss": "ce_dice"}).loss.loss.name == "ce_dice"
