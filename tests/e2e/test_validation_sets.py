"""Blocks, folds and named validation sets through the command line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

Terrazzo = Callable[..., Result]


def change(project: Path, **data: object) -> None:
    path = project / "terrazzo.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["data"] |= data
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_named_sets_are_trained_against_judged_and_reported(project: Path, terrazzo: Terrazzo) -> None:
    (project / "Städte").mkdir()
    source = {"name": "geotiff", "folder": str(project / "Städte"), "images": "i/*.tif", "labels": "l/*.tif"}
    for kind, here in (("images", "i"), ("gt", "l")):
        (project / "Städte" / here).mkdir()
        (project / "my dàta" / kind / "test_0.tif").rename(project / "Städte" / here / "0.tif")
    change(project, validation={"city": {"source": source, "every": 2}})
    done = terrazzo("run", "terrazzo.yaml", "train.epochs=3", "train.monitor=val_city_miou", "predict.enable=false")
    assert done.exit_code == 0, done.output
    log = rows(project / "runs/tiny/log.csv")
    assert [bool(row["val_city_miou"]) for row in log] == [False, True, True]
    summary = json.loads((project / "runs/tiny/summary.json").read_text(encoding="utf-8"))
    assert set(summary["miou"]) == {"val", "val_city", "test"}
    judged = json.loads((project / "runs/tiny/evaluate/val_city/summary.json").read_text(encoding="utf-8"))
    assert judged["images"] == 1
    assert judged["pixels"] == 64 * 64 - 36
    page = (project / "runs/tiny/report.html").read_text(encoding="utf-8")
    assert "mIoU, val_city" in page
    alone = terrazzo("evaluate", "runs/tiny", "--split", "val_city", "--json")
    assert alone.exit_code == 0, alone.output
    assert json.loads(alone.stdout)["miou"] == pytest.approx(judged["miou"])


def test_a_named_set_that_is_not_there_is_a_mistake_of_the_configuration(terrazzo: Terrazzo) -> None:
    done = terrazzo("train", "terrazzo.yaml", "train.validate_on=named")
    assert done.exit_code != 0
    assert "train.validate_on: named needs data.validation" in done.output


def test_folds_turn_by_an_override(project: Path, terrazzo: Terrazzo) -> None:
    change(project, split={"folds": {"count": 3}})
    held = []
    for fold in range(3):
        done = terrazzo("prepare", "terrazzo.yaml", f"data.fold={fold}")
        assert done.exit_code == 0, done.output
        table = rows(project / "prepared/splits.csv")
        assert {row["split"] for row in table if row["fold"] == str(fold)} == {"val"}
        assert {row["split"] for row in table if row["fold"] == ""} == {"test"}
        held.append({row["image_id"] for row in table if row["split"] == "val"})
    assert sorted(map(len, held)) == [2, 2, 2]
    assert len(set.union(*held)) == 6
