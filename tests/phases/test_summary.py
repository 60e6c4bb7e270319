"""Tests of what the public verbs return."""

import json
from pathlib import Path

import pytest

from terrazzo.phases.summary import PhaseTiming, RunSummary, plain


def summary(folder: Path, miou: float = 0.5) -> RunSummary:
    return RunSummary(
        folder=folder,
        seconds=1.5,
        name="first",
        phases=(PhaseTiming("train", 1.0, None), PhaseTiming("predict", 0.0, "predict.enable is false")),
        miou={"val": miou},
        bundle=None,
        maps=(folder / "a.tif",),
        report=folder / "report.html",
    )


def test_a_summary_is_plain_data(tmp_path: Path) -> None:
    content = summary(tmp_path).as_dict()
    assert content["folder"] == str(tmp_path)
    assert content["phases"][1] == {"name": "predict", "seconds": 0.0, "skipped": "predict.enable is false"}
    assert content["maps"] == [str(tmp_path / "a.tif")]
    assert content["bundle"] is None


def test_a_summary_lands_in_its_folder(tmp_path: Path) -> None:
    path = summary(tmp_path / "ünï codé").save()
    assert path == tmp_path / "ünï codé" / "summary.json"
    assert json.loads(path.read_text()) == summary(tmp_path / "ünï codé").as_dict()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_does_not_exist_is_null(tmp_path: Path, value: float) -> None:
    assert summary(tmp_path, miou=value).as_dict()["miou"] == {"val": None}


def test_text_is_no_sequence() -> None:
    assert plain({"a": ("bc", 1)}) == {"a": ["bc", 1]}
