"""What all refiners are told."""

import pytest

from terrazzo.config.run_config import violations
from terrazzo.losses import CrossEntropy
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Steps
from terrazzo.models.refiner.deepglobe import TrmDeepglobe
from terrazzo.models.refiner.trm import Trm

BOTH = pytest.mark.parametrize("kind", [Trm, TrmDeepglobe])


@BOTH
def test_the_defaults_are_those_of_system_one(kind):
    assert kind().halting_rule == HaltingRule(threshold=0.7, first=2, last=6)
    assert kind().answers == {Steps}


@BOTH
def test_without_halting_every_tile_runs_to_the_end(kind):
    assert kind(act=False).halting_rule == HaltingRule(threshold=0.7, first=6, last=6)


@BOTH
def test_a_loss_that_reads_no_steps_is_refused(kind):
    (found,) = violations({"model": kind(), "loss": CrossEntropy()})
    assert "answers Steps" in found[1]


@BOTH
def test_dumping_and_loading_is_the_identity(kind):
    record = kind(width=32, t_max=3, pixel_act=True)
    assert kind.model_validate(record.model_dump()) == record
    assert kind.model_validate_json(record.model_dump_json()) == record


@BOTH
def test_every_setting_is_documented(kind):
    assert all("description" in field for field in kind.model_json_schema()["properties"].values())
