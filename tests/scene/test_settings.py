"""Settings of mapping: what they accept, and that they survive a dump."""

import pytest
from pydantic import ValidationError

from terrazzo.scene import PredictSettings


def test_load_dump_load_is_the_identity() -> None:
    settings = PredictSettings(inputs=("a/*.tif",), window=64, stride=48, bands=(3, 2, 1), values="colour")
    assert PredictSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_defaults() -> None:
    settings = PredictSettings()
    assert (settings.window, settings.overlap, settings.stride, settings.margin) == (None, None, None, 0)
    assert (settings.blend, settings.values, settings.confidence) == ("probabilities", "index", False)


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"values": "rgb"}, {"compression": "lzw"}, {"colour": 1}])
def test_wrong_settings_name_their_field(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PredictSettings(**wrong)


def test_every_field_has_its_sentence() -> None:
    assert all(field.description for field in PredictSettings.model_fields.values())
