"""Maps made with an ONNX file: the bundle's classes, and the same bits whatever computes them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.calibration.settings import CalibrateSettings
from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.phases.calibrate import calibrate
from terrazzo.phases.predict import predict
from terrazzo.progress import Event
from terrazzo.scene import PredictSettings, map_scene

Case = Any  # a bundle and what was exported of it

SETTINGS = PredictSettings(strip_pixels=32, window=32, layers=("confidence",), batch_size=3, report=False)
MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)


class StoppedEarlyError(Exception):
    """Ends a job in its middle."""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "in puts" / "scène.tif"
    path.parent.mkdir()
    values = np.random.default_rng(5).integers(0, 255, (3, 150, 90)).astype(np.uint8)
    with rasterio.open(path, "w", driver="GTiff", count=3, height=150, width=90, dtype="uint8") as file:
        file.write(values)
    return path


def content(out: Path) -> list[bytes]:
    found = []
    for path in sorted(out.parent.glob("*.tif")):
        with rasterio.open(path) as file:
            found.append(file.read().tobytes())
    return found


def test_the_same_classes_as_the_bundle(plain: Case, scene: Path, tmp_path: Path) -> None:
    plain.bundle.save(tmp_path / "bundle.safetensors")
    maps = []
    for model in (tmp_path / "bundle.safetensors", plain.file):
        out = tmp_path / model.suffix.removeprefix(".") / "map.tif"
        predict(model, [scene], out, settings=SETTINGS, machine=MACHINE)
        with rasterio.open(out) as file:
            maps.append(file.read(1))
    assert (maps[0] == maps[1]).mean() >= 0.999
    assert len(np.unique(maps[1])) > 1


def test_workers_strips_and_restarts_change_no_bit(plain: Case, scene: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(plain.file)

    def run(name: str, listener: Callable[[Event], None] | None = None, **changes: object) -> list[bytes]:
        out = tmp_path / name / "map.tif"
        more = {} if listener is None else {"listener": listener}
        map_scene(bundle, scene, out, settings=SETTINGS.model_copy(update=changes), machine=MACHINE, **more)
        return content(out)

    def stop(event: Event) -> None:
        if event.kind == "advance" and event.done >= 8:
            raise StoppedEarlyError

    whole = run("whole")
    assert run("strips", strip_pixels=16) == whole
    with pytest.raises(StoppedEarlyError):
        run("stopped", stop)
    assert not (tmp_path / "stopped" / "map.tif").exists()
    assert run("stopped") == whole
    assert run("workers", workers=2) == whole


def test_its_own_arithmetic_stays(plain: Case, scene: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(plain.file)
    asked = SETTINGS.model_copy(update={"precision": "bfloat16"})
    with pytest.raises(ConfigError, match="--precision float16"):
        map_scene(bundle, scene, tmp_path / "map.tif", settings=asked, machine=MACHINE)


def test_an_onnx_file_is_calibrated_into_a_bundle(plain: Case, tmp_path: Path, quiet_torch: None) -> None:
    # With the weights that lie beside it.
    model, data = shutil.copytree(plain.file.parent, tmp_path / "model") / plain.file.name, tmp_path / "data"
    generator = np.random.default_rng(1)
    for number in range(3):
        for kind, count, most in (("images", 3, 255), ("labels", 1, 3)):
            path = data / kind / f"{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(path, "w", driver="GTiff", count=count, height=48, width=56, dtype="uint8") as file:
                file.write(generator.integers(0, most, (count, 48, 56)).astype(np.uint8))
    told = calibrate(model, data=data, settings=CalibrateSettings(temperature="scalar"))
    assert told.bundle == model.with_name(f"{model.stem}-calibrated.safetensors")
    # Labels are drawn by lot: nothing is to be believed.
    assert told.after["nll"] < told.before["nll"]
    calibrated = Bundle.load(told.bundle)
    assert calibrated.calibration is not None
    assert calibrated.calibration.source == replace(Bundle.load(model), calibration=None).fingerprint
    predict(told.bundle, [data / "images" / "0.tif"], tmp_path / "map.tif", settings=SETTINGS, machine=MACHINE)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["TERRAZZO_BUNDLE"] == calibrated.fingerprint
