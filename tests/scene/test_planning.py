"""Scenes are planned as they would be mapped, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.bundle import Bundle
from terrazzo.data.distribution import Distribution
from terrazzo.errors import ContractError, DataError
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings
from terrazzo.scene.planning import plan_scenes

Make = Callable[..., Bundle]
Scene = Callable[..., Path]


def test_each_scene_is_planned_and_nothing_is_written(
    make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
) -> None:
    scenes = [make_scene("a.tif"), make_scene("b.tif", (20, 30))]
    out = tmp_path / "maps"
    found = plan_scenes(make_bundle(), scenes, out, settings=PredictSettings(), machine=machine)
    assert [one.scene for one in found] == [str(scene) for scene in scenes]
    assert [one.out for one in found] == [out / "a.tif", out / "b.tif"]
    assert [dict(one.rows)["scene"].split(" pixels")[0] for one in found] == ["37 x 53", "20 x 30"]
    assert all(one.refusals == () for one in found)
    assert all(one.host_bytes > 2**20 for one in found)
    assert dict(found[0].rows)["drift"].startswith("no drift check: the model file states no distribution")
    assert found[0].disk_bytes > 37 * 53
    assert found[0].expected_seconds is None
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.tif", "b.tif"]


def test_what_cannot_fit_is_told_and_not_raised(
    make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
) -> None:
    asked = PredictSettings(memory_gib=0.01)
    (found,) = plan_scenes(make_bundle(), [make_scene()], tmp_path, settings=asked, machine=machine)
    (said,) = found.refusals
    assert "predict.memory_gib allows 0.01 GiB" in said


def test_warnings_of_the_contract_stand_in_the_plan(
    make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
) -> None:
    far = Distribution(quantiles=((0.0, *(float(250 + number) for number in range(8))),) * 3, deviation=(2.0,) * 3)
    bundle = make_bundle(resolution_m=5.0, distribution=far)
    scene = make_scene(values=np.full((3, 20, 20), 9, dtype=np.uint8))
    (found,) = plan_scenes(bundle, [scene], tmp_path, machine=machine)
    resolution, drift = found.warnings[:2]
    assert "pixels of 0.5 m, but the model was trained on 5 m" in resolution
    assert "values lie elsewhere than in training" in drift
    assert dict(found.rows)["drift"] == 'drift 1.2e+02 standard deviations at the most, of "red"'
    with pytest.raises(ContractError, match=r"predict\.drift=warn"):
        plan_scenes(bundle, [scene], tmp_path, settings=PredictSettings(drift="refuse"), machine=machine)


def test_a_scene_that_is_missing(make_bundle: Make, machine: MachineSettings, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        plan_scenes(make_bundle(), [tmp_path / "nothing.tif"], tmp_path, machine=machine)
