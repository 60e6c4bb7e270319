"""Which mean and deviation a network is to see."""

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from terrazzo.data.catalog import Catalog
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import COLUMNS, PatchIndex
from terrazzo.data.prepared import Prepared
from terrazzo.geo.bands import Band, Bands
from terrazzo.models.architecture import Architecture, Pretraining
from terrazzo.models.smp import Smp
from terrazzo.phases.normalisation import expected_normalisation


class Pretrained(Architecture):
    """Settings of a network that is never built."""

    name: Literal["pretrained"] = "pretrained"

    def pretraining(self, *, bands: int) -> Pretraining:
        return Pretraining(mean=(0.5,) * bands, std=(0.25,) * bands)


def prepared(dtype: str) -> Prepared:
    return Prepared(
        folder=Path(),
        catalog=Catalog([]),
        index=PatchIndex(pd.DataFrame(columns=list(COLUMNS))),
        bands=Bands(items=(Band(name="red", dtype=dtype), Band(name="nir", dtype=dtype))),
        classes=Classes(items=(Class(name="land"), Class(name="water"))),
        normalisation=Normalisation(mean=(1.0, 2.0), std=(3.0, 4.0)),
        pixel_counts={},
        ignored_counts={},
        unlisted_counts={},
        warnings=(),
        fingerprint="",
        resolution_m=None,
        patch_size=16,
        max_ignored_share=0.9,
    )


def test_published_values_are_those_of_8_bit_imagery() -> None:
    found = expected_normalisation(Pretrained(), prepared("uint8"))
    assert found == Normalisation(mean=(127.5, 127.5), std=(63.75, 63.75))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_other_imagery_keeps_its_own(dtype: str) -> None:
    assert expected_normalisation(Pretrained(), prepared(dtype)) is None


def test_random_weights_expect_nothing() -> None:
    assert expected_normalisation(Smp(encoder="resnet18"), prepared("uint8")) is None
