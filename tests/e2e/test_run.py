"""The command line end to end: from scenes and labels to a model, its scores, a map and a report."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from click.testing import Result

Terrazzo = Callable[..., Result]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def test_run_does_every_phase(project: Path, terrazzo: Terrazzo) -> None:
    done = terrazzo("run", "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    run = project / "runs" / "tiny"
    done_phases = [phase["name"] for phase in summary["phases"] if phase["skipped"] is None]
    assert done_phases == [
        "verify",
        "prepare",
        "train",
        "evaluate val",
        "evaluate test",
        "predict",
    ]
    skipped = {phase["name"]: phase["skipped"] for phase in summary["phases"] if phase["skipped"] is not None}
    assert skipped == {"calibrate": "calibrate.enable is false"}
    assert json.loads((run / "summary.json").read_text()) == summary
    for name in (
        "config.yaml",
        "metadata.json",
        "log.csv",
        "log.txt",
        "bundle.safetensors",
        "data.json",
        "verify.json",
        "data/gallery.json",
        "report.html",
    ):
        assert (run / name).is_file(), name
    scores = json.loads((run / "evaluate" / "test" / "summary.json").read_text())
    # Two of eight scenes are judged, each labelled pixel once; 36 of each scene are nodata.
    images = scores["images"]
    assert scores["pixels"] == images * (64 * 64 - 36)
    assert sum(map(sum, scores["confusion"])) == scores["pixels"]
    check_map(Path(summary["maps"][0]), project / "my dàta" / "images" / "test_0.tif")


def check_map(mapped: Path, scene: Path) -> None:
    with rasterio.open(mapped) as answered, rasterio.open(scene) as source:
        assert (answered.crs, answered.transform, answered.shape) == (source.crs, source.transform, source.shape)
        values = answered.read(1)
        assert (values[:6, :6] == answered.nodata).all()
        assert set(np.unique(values)) <= {0, 1, answered.nodata}
        assert (values == answered.nodata).sum() == 36
        assert answered.colormap(1)[0] is not None


def test_a_second_run_prepares_and_trains_nothing(project: Path, terrazzo: Terrazzo) -> None:
    first = json.loads(terrazzo("run", "--json").stdout)
    bundle = project / "runs" / "tiny" / "bundle.safetensors"
    stamp = bundle.stat().st_mtime_ns
    second = terrazzo("run", "--json")
    assert second.exit_code == 0, second.stderr
    assert bundle.stat().st_mtime_ns == stamp
    assert json.loads(second.stdout)["miou"] == first["miou"]


def test_another_configuration_is_refused_with_the_difference(terrazzo: Terrazzo) -> None:
    assert terrazzo("train", "train.epochs=1").exit_code == 0
    refused = terrazzo("train", "train.epochs=1", "optimizer.lr=0.5")
    assert refused.exit_code == 1
    assert "optimizer.lr" in refused.stderr
    assert "0.002" in refused.stderr
    assert "0.5" in refused.stderr


def test_prepare_evaluate_and_predict_stand_alone(project: Path, terrazzo: Terrazzo) -> None:
    prepared = terrazzo("prepare", "--json", "--preview", "2")
    assert prepared.exit_code == 0, prepared.stderr
    assert len(json.loads(prepared.stdout)["previews"]) == 2
    assert terrazzo("train", "train.epochs=1").exit_code == 0
    run = project / "runs" / "tiny"
    stale = run / "evaluate" / "test" / "samples" / "99.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier evaluation")
    by_folder = terrazzo("evaluate", str(run / "bundle.safetensors"), "--data", str(project / "my dàta"), "--json")
    assert by_folder.exit_code == 0, by_folder.stderr
    assert json.loads(by_folder.stdout)["images"] == 8
    assert not stale.exists()
    mapped = terrazzo(
        "predict", str(run), str(project / "my dàta" / "images" / "test_1.tif"), "--out", str(project / "map.tif")
    )
    assert mapped.exit_code == 0, mapped.stderr
    check_map(project / "map.tif", project / "my dàta" / "images" / "test_1.tif")
    told = json.loads((project / "map.summary.json").read_text())
    assert told["maps"][0]["out"] == str(project / "map.tif")


def test_two_processes_count_the_same_pixels(project: Path, terrazzo: Terrazzo, program: Program) -> None:
    assert terrazzo("train", "train.epochs=1").exit_code == 0
    run = project / "runs" / "tiny"
    alone = json.loads(terrazzo("evaluate", str(run), "--json").stdout)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "terrazzo.cli")
    together = program("evaluate", str(run), "--json", launcher=launcher)
    assert together.returncode == 0, together.stderr
    found = json.loads(together.stdout)
    assert found["confusion"] == alone["confusion"]
    # Each image is judged by one process alone, and only integers are summed.
    for figure in ("loss", "intervals", "boundary", "reliability", "confidence"):
        assert found[figure] == alone[figure], figure
    patches = json.loads(terrazzo("evaluate", str(run), "evaluate.on=patches", "--json").stdout)
    assert patches["pixels"] == alone["pixels"]
    assert patches["loss"] is not None


def test_the_program_stands_alone(project: Path, program: Program) -> None:
    done = program("prepare", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == {"train": 4, "val": 2, "test": 2}
    assert (project / "prepared" / "prepared.json").is_file()
