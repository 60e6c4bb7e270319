"""The file of a sample's design."""

import json
from pathlib import Path

import pytest

from terrazzo.assessment.sample_design import SampleDesign, Stratum, design_path, read_design, write_design
from terrazzo.errors import DataError, StorageError

DESIGN = SampleDesign(
    unit="m2",
    strata=(Stratum(name="Wässer", value=3, colour=(1, 2, 3), pixels=7, area=63.5, points=2),),
    maps=("a.tif",),
    left_out=("7",),
    allocation="equal",
    minimum=50,
    seed=4,
    target_error=None,
    expected_accuracies=(0.9,),
    expected_error=0.01,
)


def test_a_design_comes_back(tmp_path: Path) -> None:
    path = design_path(tmp_path / "p.gpkg")
    write_design(path, DESIGN)
    assert read_design(path) == DESIGN


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("unit", "acres"), ("strata", []), ("areas", 1)])
def test_another_file_is_none(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "p.design.json"
    path.write_text(json.dumps({**DESIGN.model_dump(mode="json"), key: value}))
    with pytest.raises(DataError, match=rf"no sample design: {key}"):
        read_design(path)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "p.design.json").write_text("{")
    with pytest.raises(StorageError, match="cannot be read as JSON"):
        read_design(tmp_path / "p.design.json")
