"""What must hold between calibrating and the rest of a configuration."""

from typing import Any

import pytest

from terrazzo.calibration.settings import CalibrateSettings
from terrazzo.config.run_config import violations
from terrazzo.data.settings import DataSettings

SOURCE = {"name": "folder", "folder": "somewhere"}


def found(calibrate: dict[str, Any], **data: Any) -> list[tuple[object, str]]:
    settings = DataSettings.model_validate({"source": SOURCE, "classes": ["a", "b", "c"], **data})
    asked = CalibrateSettings.model_validate({"enable": True, **calibrate})
    return list(violations({"data": settings, "calibrate": asked}))


def test_a_run_that_calibrates_needs_images_for_it():
    lists = {"train": "a.txt", "val": "b.txt"}
    (one,) = found({}, split={"lists": lists})
    assert one[0] == ("data", "split", "lists")
    assert 'nothing for "calibrate"' in one[1]
    assert found({}, split={"lists": {**lists, "calibrate": "c.txt"}}) == []
    # Folders may say the role, and scenes without labels have none.
    assert found({}) == []
    assert found({"unlabelled": ["scenes"]}, split={"lists": lists}) == []
    assert found({"enable": False}, split={"lists": lists}) == []


@pytest.mark.parametrize("split", ["train", "val", "val_sea"])
def test_images_that_chose_the_model_must_be_allowed(split: str):
    ((place, message),) = found({"split": split})
    assert place == ("calibrate", "split")
    assert "allow_selected" in message
    assert found({"split": split, "allow_selected": True}) == []


def test_a_decision_needs_two_classes():
    ((place, _),) = found({"decision": "f1"})
    assert place == ("calibrate", "decision")
    assert found({"decision": "f1"}, classes=["a", "b"]) == []
