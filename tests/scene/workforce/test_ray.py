"""A real Ray cluster of one machine with two workers: the bits of one process, whoever is killed."""

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.receipt import receipt_path
from terrazzo.scene.request import code_fingerprint, device_of
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.ray import RayWorkforce, dismiss_workers
from terrazzo.scene.workforce.workforce import Workforce

Tiny = Any

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")

KILL_OVER_A_STRIP = """
    import os, pathlib, signal
    from terrazzo.scene.strip_file import StripWriter

    block = StripWriter.block

    def deadly(self, *arguments):
        for number in range({times} if self._strip == {strip} else 0):
            try:
                (pathlib.Path({folder!r}) / f"death {{number}}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        block(self, *arguments)

    StripWriter.block = deadly
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two cores, with little memory of its own."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    heard = signal.getsignal(signal.SIGTERM)
    ray.init(
        num_cpus=2,
        num_gpus=0,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield
    dismiss_workers()
    ray.shutdown()
    signal.signal(signal.SIGTERM, heard)


def run(tiny: Tiny, workforce: Workforce, job: SceneJob) -> tuple[dict[int, StripRecord], int]:
    """Compute all strips into a fresh journal; return their records and how many windows were told of."""
    job.folder.mkdir(exist_ok=True)
    records: dict[int, StripRecord] = {}
    told: list[int] = []
    workforce.run(
        job,
        tiny.plan.strips,
        done=lambda record: records.update({record.strip: record}),
        advance=told.append,
        stop=threading.Event(),
    )
    return records, sum(told)


def job_of(tiny: Tiny, **changes: object) -> SceneJob:
    request = tiny.job.header.request.model_copy(update={"code": code_fingerprint(), "device": device_of("cpu")})
    header = tiny.job.header.model_copy(update={"request": request})
    return tiny.job.model_copy(update={"header": header, **changes})


def pixels_of(tiny: Tiny, job: SceneJob, records: dict[int, StripRecord]) -> bytes:
    found: bytes = type(tiny)(job, tiny.plan, tiny.products).pixels(records)
    return found


@pytest.fixture
def expected(tiny: Tiny) -> bytes:
    job = tiny.job.model_copy(update={"folder": tiny.job.folder.with_name("expected")})
    return pixels_of(tiny, job, run(tiny, InlineWorkforce(), job)[0])


def test_it_is_a_workforce() -> None:
    assert isinstance(RayWorkforce(2), Workforce)


def test_nothing_to_do_needs_no_cluster(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    RayWorkforce().run(tiny.job, (), done=print, advance=print, stop=threading.Event())


def test_without_ray_it_is_said_what_to_install(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    tiny.job.folder.mkdir()
    with pytest.raises(ConfigError, match=r"pip install 'terrazzo\[ray\]'"):
        RayWorkforce().run(tiny.job, tiny.plan.strips, done=print, advance=print, stop=threading.Event())
    assert not list(tiny.job.folder.iterdir())


@needs_ray
@pytest.mark.slow
def test_scenes_side_by_side_have_the_bits_of_one_process(tiny: Tiny, cluster: None, expected: bytes) -> None:
    found: dict[str, tuple[bytes, int]] = {}

    def scene(name: str) -> None:
        job = job_of(tiny, folder=tiny.job.folder.with_name(name))
        records, told = run(tiny, RayWorkforce(2), job)
        found[name] = pixels_of(tiny, job, records), told
        assert not list(job.folder.glob(".shared-*"))

    threads = [threading.Thread(target=scene, args=(f"scene {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"scene {number}": (expected, tiny.plan.windows) for number in range(3)}
    assert RayWorkforce(2).scenes_at_once(tiny.job.header.decisions) == 2


@needs_ray
@pytest.mark.slow
def test_strips_of_a_killed_worker_are_computed_by_another(
    tiny: Tiny, cluster: None, expected: bytes, make_plugin: Any, tmp_path: Any
) -> None:
    plugin = make_plugin("kill", KILL_OVER_A_STRIP.format(strip=2, times=1, folder=str(tmp_path)))
    job = job_of(tiny, plugins=(*tiny.job.plugins, plugin))
    records, told = run(tiny, RayWorkforce(2), job)
    assert len(list(tmp_path.glob("death *"))) == 1
    assert pixels_of(tiny, job, records) == expected
    assert told == tiny.plan.windows


@needs_ray
@pytest.mark.slow
def test_a_stop_finishes_what_is_under_way(tiny: Tiny, cluster: None) -> None:
    stop, records = threading.Event(), []
    job = job_of(tiny)
    job.folder.mkdir()

    def done(record: StripRecord) -> None:
        records.append(record)
        stop.set()

    RayWorkforce(2).run(job, tiny.plan.strips, done=done, advance=lambda _windows: None, stop=stop)
    assert 1 <= len(records) <= len(tiny.plan.strips)
    assert len(list(job.folder.glob("*.strip"))) == len(records)


@needs_ray
@pytest.mark.slow
def test_a_map_has_the_same_bytes_whoever_computed_it(
    cluster: None, make_bundle: Any, make_scene: Any, machine: MachineSettings, tmp_path: Path
) -> None:
    bundle, scene = make_bundle("probe_convolution", classes=4, settings={"depth": 2}), make_scene(shape=(150, 60))
    asked = PredictSettings(strip_pixels=28, batch_size=3, layers=("confidence",), report=False)
    maps = []
    for executor, workers in (("local", 1), ("ray", 2)):
        settings = asked.model_copy(update={"executor": executor, "workers": workers})
        out = tmp_path / executor / "map.tif"
        map_scene(bundle, scene, out, settings=settings, machine=machine)
        maps.append([path.read_bytes() for path in sorted(out.parent.glob("*.tif"))])
        assert list(out.parent.glob(".*")) == [receipt_path(out)], "nothing is left of the journal"
    assert len(maps[0]) == 2
    assert maps[0] == maps[1]


@needs_ray
@pytest.mark.slow
def test_the_cluster_must_offer_what_is_asked_for(tiny: Tiny, cluster: None) -> None:
    job = job_of(tiny)
    job.folder.mkdir()
    with pytest.raises(ConfigError, match="offers 2 cores"):
        RayWorkforce(3).run(job, tiny.plan.strips, done=print, advance=print, stop=threading.Event())
    assert not list(job.folder.iterdir())
