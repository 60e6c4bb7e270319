import pytest
from pydantic import ValidationError

from terrazzo.training.settings import EvaluateSettings, Monitor, TrainSettings


def test_defaults_are_a_usable_training():
    settings = TrainSettings()
    assert settings.epochs_to_run == settings.epochs == 50
    assert settings.monitor == Monitor(figure="val_miou")
    assert settings.monitor.patience is None


def test_a_bare_figure_is_a_monitor():
    assert TrainSettings.model_validate({"monitor": "val_loss"}).monitor == Monitor(figure="val_loss")


@pytest.mark.parametrize(
    ("monitor", "sign"),
    [
        ({"figure": "val_miou"}, 1),
        ({"figure": "val_loss"}, -1),
        ({"figure": "train_loss"}, -1),
        ({"figure": "val_loss", "mode": "max"}, 1),
        ({"figure": "val_miou", "mode": "min"}, -1),
    ],
)
def test_the_direction_follows_the_figure_unless_it_is_said(monitor, sign):
    assert Monitor.model_validate(monitor).sign == sign


@pytest.mark.parametrize("figure", ["epoch", "lr", "seconds", ""])
def test_a_figure_that_says_nothing_about_a_model_is_refused(figure):
    with pytest.raises(ValidationError, match="says nothing"):
        TrainSettings(monitor=Monitor(figure=figure))


def test_debug_shortens_the_run_and_never_lengthens_it():
    assert TrainSettings(epochs=50, debug=True).epochs_to_run == 2
    assert TrainSettings(epochs=1, debug=True).epochs_to_run == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"accumulate": 0},
        {"clip_norm": 0},
        {"sampling": "often"},
        {"class_weights": "log"},
        {"keep": {"best": 0}},
        {"monitor": {"patience": 0}},
        {"epoch": 3},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrainSettings.model_validate(wrong)


def test_evaluation_knows_the_four_roles_only():
    assert EvaluateSettings(splits=("val", "calibrate")).splits == ("val", "calibrate")
    with pytest.raises(ValidationError):
        EvaluateSettings.model_validate({"splits": ["dev"]})


def test_every_field_is_documented():
    for record in (TrainSettings, EvaluateSettings, Monitor):
        assert all(field.description for field in record.model_fields.values())


def test_compiling_and_checkpointing_exclude_each_other():
    with pytest.raises(ValidationError, match="exclude each other"):
        TrainSettings(compile=True, gradient_checkpointing=True)
    assert TrainSettings(compile=True).compile
    assert TrainSettings(gradient_checkpointing=True).gradient_checkpointing


def test_tolerances_are_pixels_each_named_once():
    assert TrainSettings().boundary_tolerances == ()
    assert TrainSettings.model_validate({"boundary_tolerances": [0, 3]}).boundary_tolerances == (0, 3)
    with pytest.raises(ValidationError, match="names a tolerance twice"):
        TrainSettings(boundary_tolerances=(1, 1))
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        TrainSettings(boundary_tolerances=(-1,))
