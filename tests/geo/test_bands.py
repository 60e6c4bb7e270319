"""Bands."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from terrazzo.errors import ContractError
from terrazzo.geo.bands import Band, Bands, Collar

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


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_a_collar_is_where_every_band_is_close_to_its_value(dtype: str) -> None:
    values = np.array([[0, 6, 7, 0, 250]], dtype).repeat(2, axis=0)[:, None]
    values[1, 0, 3] = 100
    assert Collar(value=0, nodata_tolerance=6).missing(values).tolist() == [[True, True, False, False, False]]
    assert Collar(value=250).missing(values).tolist() == [[False] * 4 + [True]]


def test_not_a_number_is_no_collar() -> None:
    values = np.array([[[np.nan, 0.0]]], "float32")
    assert Collar(value=0, nodata_tolerance=1).missing(values).tolist() == [[False, True]]


def test_a_collar_stays_with_chosen_bands_and_in_json() -> None:
    bands = Bands(items=RGBN.items, collar=Collar(value=255, nodata_tolerance=2))
    assert bands.select(["nir"]).collar == bands.collar
    assert Bands.model_validate_json(bands.model_dump_json()) == bands
    assert Bands.model_validate({"items": bands.model_dump()["items"]}).collar is None


def test_a_collar_tolerates_nothing_negative() -> None:
    with pytest.raises(ValidationError, match="nodata_tolerance"):
        Collar(value=0, nodata_tolerance=-1)
