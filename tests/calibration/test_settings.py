"""Settings of calibrating: what contradicts itself is refused before anything is computed."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from terrazzo.calibration.settings import AbstainSettings, CalibrateSettings, HaltingSettings


def test_the_grid_falls_from_never_early_to_at_once():
    grid = HaltingSettings().grid
    assert (grid[0], grid[1], grid[-1], len(grid)) == (1.0, 0.99, 0.0, 101)
    assert all(later < earlier for earlier, later in pairwise(grid))


def test_a_bare_share_is_the_allowed_error():
    assert CalibrateSettings.model_validate({"abstain": 0.05}).abstain == AbstainSettings(epsilon=0.05)


def test_a_risk_that_no_clipped_loss_exceeds_is_no_promise():
    with pytest.raises(ValidationError, match="not below bound"):
        HaltingSettings(epsilon=0.2, bound=0.2)


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": "scalar"},
        {"decision": "f1"},
        {"abstain": 0.1},
        {"sets": 0.1},
        {"halting": {"loss": "error"}},
        {"halting": None},
    ],
)
def test_scenes_without_labels_tell_disagreement_alone(asked: dict[str, object]):
    with pytest.raises(ValidationError, match=r"label|nothing to calibrate"):
        CalibrateSettings.model_validate({"unlabelled": ["scenes"], **asked})


def test_what_stopping_early_loses_depends_on_labels():
    assert CalibrateSettings().halting_loss == "error"
    assert CalibrateSettings(unlabelled=("scenes",)).halting_loss == "disagreement"
    assert CalibrateSettings(halting=HaltingSettings(loss="iou")).halting_loss == "iou"
