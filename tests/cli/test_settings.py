"""Single settings laid over a record."""

import pytest

from terrazzo.cli.settings import changed
from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.scene.settings import PredictSettings


def test_every_wrong_setting_is_named_at_once() -> None:
    given = {"predict": {"window": "big", "overlap": 0.9}}
    with pytest.raises(ConfigError) as caught:
        changed(PredictSettings(), "predict", given)
    assert "predict.window" in str(caught.value)
    assert "predict.overlap" in str(caught.value)


def test_settings_are_laid_over_the_runs_own() -> None:
    base = PredictSettings(batch_size=7, overlap=0.25)
    assert changed(base, "predict", {"predict": {"overlap": 0.5}}) == PredictSettings(batch_size=7, overlap=0.5)
    assert changed(base, "predict", {"predict": {}}) == base


def test_a_rule_over_several_settings_names_the_section() -> None:
    with pytest.raises(ConfigError, match=r"^predict: .*not both"):
        changed(PredictSettings(overlap=0.25), "predict", {"predict": {"stride": 100}})


def test_the_record_keeps_its_kind_and_is_not_changed() -> None:
    base = MachineSettings()
    found = changed(base, "machine", {"machine": {"threads": 3}})
    assert found == MachineSettings(threads=3)
    assert base == MachineSettings()
