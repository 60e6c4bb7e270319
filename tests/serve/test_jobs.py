"""Jobs: what a kill leaves is gone on with, what is cancelled stops, and what is old goes."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient

from terrazzo.machine import MachineSettings
from terrazzo.phases.predict import predict
from terrazzo.scene.settings import PredictSettings
from terrazzo.serve.job_record import JobRecord, JobState, load_record, save_record
from terrazzo.serve.jobs import Jobs, Kept

Client = Callable[..., TestClient]
Values = Callable[..., np.ndarray]
Encode = Callable[..., bytes]

KEPT = Kept(days=1.0, gib=1.0, waiting=4)


def _ended(client: TestClient, name: str, *, seconds: float = 120) -> dict[str, object]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = client.get(f"/v1/jobs/{name}").json()
        if found["state"] in {"finished", "failed", "cancelled"}:
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.slow
def test_a_job_goes_on_after_a_kill_with_the_bits_of_predict(
    make_client: Client, make_values: Values, tiff_of: Encode, bundle_path: Path, tmp_path: Path
) -> None:
    """Asked for, followed, its process killed in the middle, gone on with, fetched, removed."""
    content = tiff_of(make_values(700, 500))
    client = make_client(root=tmp_path)
    asked = client.post(
        "/v1/jobs", files={"image": ("../gröt.tif", content)}, params={"layers": ["confidence"], "polygons": True}
    )
    assert asked.status_code == 202, asked.text
    name = asked.json()["id"]
    jobs = client.app.state.service.jobs
    folder = tmp_path / "served" / "jobs" / name
    until = time.monotonic() + 120
    while not list(folder.glob(".map.tif.strips/*.strip")) and time.monotonic() < until:
        time.sleep(0.002)
    process = jobs._jobs[name].process
    if process is not None:
        os.kill(process.pid, signal.SIGKILL)
    with client.stream("GET", f"/v1/jobs/{name}/events") as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert events[-1]["state"] == "finished", events[-1]
    assert events[-1]["starts"] == 2
    assert events[-1]["scene"] == "gröt.tif"
    assert events[-1]["progress"]["done"] == events[-1]["progress"]["total"] > 0
    assert events[-1]["summary"]["height"] == 700
    assert str(tmp_path) not in json.dumps(events)
    files = {one["name"] for one in client.get(f"/v1/jobs/{name}/results").json()["files"]}
    assert {"map.tif", "map_confidence.tif", "map_polygons.gpkg", "map.summary.json", "map_report.html"} <= files
    assert not {"job.json", "task.json", "scene.tif"} & files
    (tmp_path / "scene.tif").write_bytes(content)
    predict(
        bundle_path,
        [tmp_path / "scene.tif"],
        tmp_path / "map.tif",
        settings=PredictSettings(report=False),
        machine=MachineSettings(accelerator="cpu", precision="float32", threads=1),
    )
    (tmp_path / "fetched.tif").write_bytes(client.get(f"/v1/jobs/{name}/results/map.tif").content)
    with rasterio.open(tmp_path / "fetched.tif") as found, rasterio.open(tmp_path / "map.tif") as wanted:
        np.testing.assert_array_equal(found.read(), wanted.read())
    part = client.get(f"/v1/jobs/{name}/results/map.tif", headers={"Range": "bytes=0-3"})
    assert (part.status_code, len(part.content)) == (206, 4)
    for wrong in ("job.json", "..%2Fjob.json", "%2Fetc%2Fpasswd", "scene.tif"):
        assert client.get(f"/v1/jobs/{name}/results/{wrong}").status_code == 404
    assert client.delete(f"/v1/jobs/{name}").status_code == 204
    assert client.get(f"/v1/jobs/{name}").status_code == 404
    assert not folder.exists()


@pytest.mark.slow
def test_a_server_that_stops_leaves_its_jobs_to_the_next(
    make_client: Client, make_values: Values, tiff_of: Encode, tmp_path: Path
) -> None:
    first = make_client(root=tmp_path)
    # It was just asked to stop: what comes in is kept for the next start.
    first.app.state.service.jobs.stop(seconds=5.0)
    (tmp_path / "größe 1.tif").write_bytes(tiff_of(make_values(300, 300)))
    asked = first.post("/v1/jobs", params={"path": "größe 1.tif"})
    assert asked.status_code == 202, asked.text
    name = asked.json()["id"]
    first.__exit__(None, None, None)
    assert load_record(tmp_path / "served" / "jobs" / name).state is JobState.WAITING
    second = make_client(root=tmp_path)
    found = _ended(second, name)
    assert found["state"] == "finished", found
    scenes = second.get("/viewer/scenes").json()["scenes"]
    assert any("größe 1" in scene["name"] for scene in scenes), scenes


def test_paths_lead_nowhere_but_below_the_root(
    make_client: Client, make_values: Values, tiff_of: Encode, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (tmp_path / "outside.tif").write_bytes(tiff_of(make_values(64, 64)))
    (root / "link.tif").symlink_to(tmp_path / "outside.tif")
    (root / "loop.tif").symlink_to(root / "loop.tif")
    client = make_client(root=root)
    wrong = {
        "../outside.tif": 403, "/etc/passwd": 403, "inner/../../outside.tif": 403, "link.tif": 403, "a\x00b": 403,
        "inner": 404, "missing.tif": 404, "loop.tif": 404, "/vsicurl/http://127.0.0.1/a.tif": 403,
        "x" * 300: 404,
    }  # fmt: skip
    for path, status in wrong.items():
        answer = client.post("/v1/jobs", params={"path": path})
        assert answer.status_code == status, (path, answer.text)
        assert str(tmp_path) not in answer.text
    assert client.get("/v1/jobs").json() == {"jobs": []}
    assert not any((tmp_path / "served" / "jobs").iterdir())
    assert make_client(folder=tmp_path / "other").post("/v1/jobs", params={"path": "a.tif"}).status_code == 403


def test_a_scene_that_cannot_be_mapped_is_refused_when_it_is_asked_for(
    make_client: Client, make_values: Values, tiff_of: Encode, tmp_path: Path
) -> None:
    client = make_client()
    two = client.post("/v1/jobs", files={"image": ("two.tif", tiff_of(make_values(64, 64)[:2]))})
    assert (two.status_code, "two.tif does not fit" in two.json()["detail"]) == (422, True)
    sets = client.post("/v1/jobs", files={"image": ("a.tif", tiff_of(make_values(64, 64)))}, params={"layers": "sets"})
    assert (sets.status_code, "terrazzo calibrate" in sets.json()["detail"]) == (422, True)
    assert not any((tmp_path / "served" / "jobs").iterdir())


def _record(folder: Path, number: int, **changes: object) -> JobRecord:
    name = f"{number:032x}"
    parts = {"id": name, "state": JobState.FINISHED, "model": "m", "scene": "s", "created": float(number)}
    record = JobRecord(**{**parts, **changes})
    (folder / name).mkdir(parents=True)
    save_record(folder / name, record)
    return record


def test_ended_jobs_are_kept_by_age_and_size(tmp_path: Path) -> None:
    now = time.time()
    old = _record(tmp_path, 1, ended=now - 90_000)
    large = _record(tmp_path, 2, ended=now - 100)
    fresh = _record(tmp_path, 3, ended=now)
    (tmp_path / large.id / "map.tif").write_bytes(bytes(20_000))
    removed: list[str] = []
    jobs = Jobs(
        tmp_path, Kept(days=1.0, gib=10_000 / 2**30, waiting=4), removed=lambda folder: removed.append(folder.name)
    )
    jobs.start()
    until = time.monotonic() + 10
    while len(removed) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    jobs.stop(seconds=5.0)
    assert removed == [old.id, large.id]
    assert [record.id for record, _ in jobs.all()] == [fresh.id]
    assert [path.name for path in tmp_path.iterdir()] == [fresh.id]


def test_what_is_no_job_is_removed_and_waiting_jobs_are_cancelled_or_limited(tmp_path: Path) -> None:
    (tmp_path / "half uploaded").mkdir()
    (tmp_path / "half uploaded" / "upload").write_bytes(b"II*")
    jobs = Jobs(tmp_path, KEPT)
    jobs._stopping = True  # nothing is begun
    for number in range(4):
        _record(tmp_path, number, state=JobState.RUNNING if number == 3 else JobState.WAITING)
    jobs.start()
    assert not (tmp_path / "half uploaded").exists()
    assert jobs.count(JobState.WAITING) == 4
    with pytest.raises(Exception, match="4 jobs wait") as caught:
        jobs.new_folder()
    assert caught.value.status_code == 503
    assert not jobs.cancel(f"{3:032x}")
    assert load_record(tmp_path / f"{3:032x}").state is JobState.CANCELLED
    assert jobs.cancel(f"{3:032x}")
    assert not (tmp_path / f"{3:032x}").exists()


@pytest.mark.slow
def test_a_running_job_is_cancelled(make_client: Client, make_values: Values, tiff_of: Encode, tmp_path: Path) -> None:
    client = make_client()
    name = client.post("/v1/jobs", files={"image": ("a.tif", tiff_of(make_values(900, 900)))}).json()["id"]
    until = time.monotonic() + 60
    while client.get(f"/v1/jobs/{name}").json()["state"] == "waiting" and time.monotonic() < until:
        time.sleep(0.01)
    assert client.get(f"/v1/jobs/{name}/results").status_code == 409
    assert client.delete(f"/v1/jobs/{name}").status_code == 202
    assert _ended(client, name)["state"] == "cancelled"
    assert [path.name for path in (tmp_path / "served" / "jobs" / name).iterdir()] == ["job.json"]
