"""A frozen backbone in a folder of its own, end to end: train on it, then map and judge with it, moved or not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio
from click.testing import Result
from safetensors.torch import load_file, save_file

from terrazzo.bundle import Bundle

MODEL = """model:
  name: dinov3
  backbone:
    name: dinov3_vit
    size: {{channels: 16, layers: 4, heads: 2, inner: 24}}
    weights: {weights}
  head: linear
"""


@pytest.fixture
def weights(project: Path, dinov3_folder: Callable[..., Path]) -> Path:
    """Weights, and a configuration that names them."""
    folder = dinov3_folder("weights größe")
    file = project / "terrazzo.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(line for line in lines if not line.startswith("model:")).replace("epochs: 2", "epochs: 1")
    file.write_text(f"{kept}\n{MODEL.format(weights=folder)}", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_run_and_what_comes_after_it(project: Path, terrazzo: Callable[..., Result], weights: Path) -> None:
    done = terrazzo("run")
    assert done.exit_code == 0, done.output
    run, scene = project / "runs" / "tiny", project / "my dàta" / "images" / "test_0.tif"
    bundle = Bundle.load(run, backbone=weights)
    assert "DINOv3 License" in bundle.licence
    assert "DINOv3 License" in (run / "log.txt").read_text(encoding="utf-8")
    # What the weights expect, not what the data has.
    assert bundle.normalisation.mean == pytest.approx((255 * 0.485, 255 * 0.456, 255 * 0.406))
    assert (run / "bundle.safetensors").stat().st_size < (weights / "model.safetensors").stat().st_size / 2

    # The run's own folder knows where the weights lie; a copy of the bundle does not.
    assert terrazzo("predict", str(run), str(scene), "--out", "first.tif").exit_code == 0
    lone = project / "copied" / "model.safetensors"
    lone.parent.mkdir()
    lone.write_bytes((run / "bundle.safetensors").read_bytes())
    refused = terrazzo("predict", str(lone), str(scene), "--out", "second.tif")
    assert refused.exit_code != 0
    assert "--backbone PATH" in " ".join(refused.stderr.split())
    for given in (("--backbone", str(weights)), (f"predict.backbone={weights / 'model.safetensors'}",)):
        assert terrazzo("predict", str(lone), str(scene), "--out", "second.tif", *given).exit_code == 0
        with rasterio.open(project / "first.tif") as one, rasterio.open(project / "second.tif") as other:
            assert (one.read() == other.read()).all()

    # Moved weights are no longer where the run found them.
    moved = project / "moved"
    weights.rename(moved)
    refused = terrazzo("evaluate", str(run))
    assert refused.exit_code != 0
    assert "where its training found that, it is no longer" in " ".join(refused.stderr.split())
    assert terrazzo("evaluate", str(run), "--backbone", str(moved)).exit_code == 0
    assert (run / "evaluate" / "test" / "summary.json").is_file()


def test_other_weights_where_the_run_found_its_own_are_refused(
    project: Path, terrazzo: Callable[..., Result], weights: Path, dinov3_folder: Callable[..., Path]
) -> None:
    assert terrazzo("train").exit_code == 0
    other = dinov3_folder("other", seed=1)
    (weights / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    refused = terrazzo("evaluate", "runs/tiny")
    assert refused.exit_code != 0
    assert "give that very file" in " ".join(refused.stderr.split())


def test_weights_of_another_size_are_refused_by_name(
    project: Path, terrazzo: Callable[..., Result], weights: Path
) -> None:
    refused = terrazzo("train", "model.backbone.size=small")
    assert refused.exit_code != 0
    assert "set `size` to that of the weights" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_cached_maps_of_weights_of_a_file(project: Path, terrazzo: Callable[..., Result], weights: Path) -> None:
    settings = ("prepare.cache=features", "augment=none")
    done = terrazzo("train", *settings)
    assert done.exit_code == 0, done.output
    assert terrazzo("evaluate", "runs/tiny").exit_code == 0
    # The cache is of these weights: others in their place are not read from it.
    file = weights / "model.safetensors"
    tensors = load_file(file)
    tensors["norm.bias"] += 1
    save_file(tensors, file)
    again = terrazzo("train", *settings, "name=other")
    assert again.exit_code == 0, again.output
    one, other = (Bundle.backbone_of(project / "runs" / name) for name in ("tiny", "other"))
    assert one != other
