"""Bands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from terrazzo.errors import ContractError
from terrazzo.geo.bands import Band, Bands

RGBN = Bands(items=tuple(Band(name=name, dtype="uint16", nodata=65535) for name in ("red", "green", "blue", "nir")))


def test_order_is_the_channel_order() -> None:
    assert RGBN.names == ("red", "green", "blue", "nir")
    assert [band.name for band in RGBN] == list(RGBN.names)
    assert len(RGBN) == 4


@given(st.permutations(["red", "green", "blue", "nir"]), st.integers(1, 4))
def test_selection_follows_the_order_asked_for(names: list[str], count: int) -> None:
    chosen = RGBN.select(names[:count])
    assert list(chosen.names) == names[:count]
    assert [RGBN.names[position] for position in RGBN.positions(names[:count])] == names[:count]
    assert all(band.nodata == 65535 for band in chosen)


def test_an_unknown_band_brings_the_nearest_one() -> None:
    with pytest.raises(ContractError, match=r'the bands are red, green, blue, nir. Did you mean "green"'):
        RGBN.select(["gren"])


def test_names_are_exact() -> None:
    with pytest.raises(ContractError, match='"Red"'):
        RGBN.positions(["Red"])


def test_no_band_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        Bands(items=())
    with pytest.raises(ValidationError):
        RGBN.select([])


def test_a_name_stands_once() -> None:
    with pytest.raises(ValidationError, match="names must differ; red stands there more than once"):
        Bands(items=(Band(name="red"), Band(name="nir"), Band(name="red")))
    with pytest.raises(ValidationError, match="nir"):
        RGBN.select(["nir", "nir"])


@pytest.mark.parametrize("nodata", [float("nan"), float("inf"), float("-inf")])
def test_what_is_missing_anyway_needs_no_mark(nodata: float) -> None:
    band = Band(name="height", nodata=nodata)
    assert band.nodata is None
    assert band == Band(name="height")
    assert json.loads(json.dumps(band.model_dump(), allow_nan=False))["nodata"] is None


def test_a_real_nodata_value_stays() -> None:
    assert Band(name="height", nodata=-9999).nodata == -9999.0
    assert Band(name="mask", nodata=0).nodata == 0.0


def test_it_is_read_back_from_what_was_dumped() -> None:
    assert Bands.model_validate(json.loads(RGBN.model_dump_json())) == RGBN


def test_bands_differ_by_what_they_mean() -> None:
    assert Band(name="red", scale=0.0001) != Band(name="red")
    assert Band(name="red", unit="reflectance") != Band(name="red")
