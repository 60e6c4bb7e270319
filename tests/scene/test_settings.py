"""Settings of mapping: what they accept, that they survive a dump, and that contradictions are named."""

import pytest
from pydantic import ValidationError

from terrazzo.scene import PredictSettings
from terrazzo.scene.settings import PolygonSettings


def test_load_dump_load_is_the_identity() -> None:
    settings = PredictSettings(
        inputs=("a/*.tif",),
        window=64,
        stride=48,
        bands=(3, 2, 1),
        values="colour",
        layers=("confidence", "probabilities"),
        views=("identity", "hflip"),
        scales=(1.0, 0.5),
        polygons=PolygonSettings(classes=("wood",)),
        memory_gib=2.5,
    )
    assert PredictSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_defaults() -> None:
    settings = PredictSettings()
    assert (settings.window, settings.overlap, settings.stride, settings.margin) == (None, None, None, 0)
    assert (settings.blend, settings.values, settings.layers) == ("probabilities", "index", ())
    assert (settings.views, settings.scales) == (("identity",), (1.0,))
    assert settings.polygons is None
    assert settings.max_errors == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 0},
        {"values": "rgb"},
        {"compression": "lzw"},
        {"colour": 1},
        {"confidence": True},
        {"overlap": 0.51},
        {"overlap": -0.1},
        {"bands": (0,)},
        {"views": ()},
        {"scales": (0.0,)},
        {"scales": (9.0,)},
        {"tau": 1.5},
        {"largest_drift": 0.0},
        {"batch_size": "many"},
        {"batch_size": 0},
        {"memory_gib": 0},
        {"layers": ("sharpness",)},
        {"polygons": {"format": "shp"}},
        {"polygons": {"simplify": -1}},
    ],
)
def test_wrong_settings_name_their_field(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PredictSettings(**wrong)


@pytest.mark.parametrize(
    ("name", "twice"),
    [("views", ("hflip", "hflip")), ("scales", (1.0, 0.5, 1.0)), ("layers", ("confidence", "confidence"))],
)
def test_nothing_is_named_twice(name: str, twice: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError, match=f"`{name}` names one twice"):
        PredictSettings(**{name: twice})


def test_overlap_and_stride_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="give `overlap` or `stride`, not both"):
        PredictSettings(overlap=0.1, stride=48)


def test_every_field_has_its_sentence() -> None:
    for record in (PredictSettings, PolygonSettings):
        assert all(field.description for field in record.model_fields.values())
