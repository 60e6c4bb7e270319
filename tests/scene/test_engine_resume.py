"""A job that was stopped goes on where it was, to the same bytes; what changed meanwhile is computed anew."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import LockedError, OutOfMemoryError
from terrazzo.machine import MachineSettings
from terrazzo.progress import Event
from terrazzo.scene import Mapped, PredictSettings, map_scene
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.geotiff import GeoTiffWriter
from terrazzo.scene.receipt import receipt_path
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores
from terrazzo.storage import locked

Make = Callable[..., Bundle]
Scene = Callable[..., Path]

SETTINGS = PredictSettings(strip_pixels=16, layers=("confidence", "entropy"), batch_size=3)


class StoppedEarlyError(Exception):
    """Ends a job in its middle."""


def stop_after(windows: int) -> Callable[[Event], None]:
    """Return a listener that ends a job once so many windows are done."""

    def hear(event: Event) -> None:
        if event.kind == "advance" and event.done >= windows:
            raise StoppedEarlyError

    return hear


@pytest.fixture
def job(make_bundle: Make, make_scene: Scene, machine: MachineSettings) -> Callable[..., Mapped]:
    """Map one and the same scene of 13 strips."""
    bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})
    scene = make_scene(shape=(180, 50))

    def run(out: Path, **more: object) -> Mapped:
        return map_scene(more.pop("bundle", bundle), scene, out, **{"settings": SETTINGS, "machine": machine, **more})

    return run


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.parent.glob(f"{out.stem}*.tif"))}


def test_goes_on_to_the_same_bytes(job: Callable[..., Mapped], tmp_path: Path) -> None:
    whole, stopped = tmp_path / "a" / "map.tif", tmp_path / "b" / "map.tif"
    job(whole)
    with pytest.raises(StoppedEarlyError):
        job(stopped, listener=stop_after(30))
    assert not stopped.exists()
    mapped = job(stopped)
    assert 0 < mapped.summary.resumed_strips < mapped.summary.strips == 13
    assert mapped.summary.busy_share is not None
    assert 0 < mapped.summary.busy_share < 1
    assert content(stopped) == content(whole)
    hidden = [entry.name for entry in stopped.parent.iterdir() if entry.name.startswith(".")]
    assert hidden == [receipt_path(stopped).name]


def test_what_was_asked_otherwise_is_not_taken(job: Callable[..., Mapped], make_bundle: Make, tmp_path: Path) -> None:
    out = tmp_path / "map.tif"
    for change in (
        {"settings": SETTINGS.model_copy(update={"overlap": 0.25})},
        {"settings": SETTINGS.model_copy(update={"layers": ("confidence",)})},
        {"bundle": make_bundle("probe_convolution", classes=4, settings={"depth": 3})},
    ):
        with pytest.raises(StoppedEarlyError):
            job(out, listener=stop_after(30))
        assert job(out, **change).summary.resumed_strips == 0


def test_what_leaves_no_trace_may_change(job: Callable[..., Mapped], tmp_path: Path) -> None:
    out = tmp_path / "map.tif"
    with pytest.raises(StoppedEarlyError):
        job(out, listener=stop_after(30))
    changed = SETTINGS.model_copy(update={"compression": "zstd", "retries": 1, "values": "source"})
    assert job(out, settings=changed).summary.resumed_strips > 0


def test_changed_pixels_are_computed_anew(
    job: Callable[..., Mapped], make_scene: Scene, tmp_path: Path, make_bundle: Make, machine: MachineSettings
) -> None:
    out = tmp_path / "map.tif"
    with pytest.raises(StoppedEarlyError):
        job(out, listener=stop_after(40))
    scene = tmp_path / "in puts" / "scène 1.tif"
    with rasterio.open(scene, "r+") as file:
        values = file.read()
        values[:, 3, 3] ^= 255
        file.write(values)
    mapped = job(out)
    resumed = mapped.summary.resumed_strips
    assert resumed > 0
    fresh = tmp_path / "fresh" / "map.tif"
    job(fresh)
    assert content(out) == content(fresh)
    with rasterio.open(out) as file:
        assert (file.read() != 255).all()
    assert np.array_equal(values.shape, (3, 180, 50))


def test_exhausted_memory_halves_the_batch_and_leaves_nothing_of_the_first_try(
    job: Callable[..., Mapped], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strips were joined already: the second try begins its files anew, so that no row stands twice or is another's."""
    expected, out = tmp_path / "a" / "map.tif", tmp_path / "b" / "map.tif"
    bare = SETTINGS.model_copy(update={"layers": ()})
    job(expected, settings=bare.model_copy(update={"batch_size": 2}))
    answer, take = WindowForward.__call__, GeoTiffWriter.write
    joined, notes = threading.Event(), list[str]()

    def exhausted(self: WindowForward, group: WindowGroup) -> WindowScores:
        probed = not threading.current_thread().name.startswith("terrazzo-lane")
        if self.group_size == 5 and group.windows[0][0] > 5 and not probed:
            assert joined.wait(10)
            raise OutOfMemoryError("The device has too little memory.")
        return answer(self, group)

    def noted(self: GeoTiffWriter, rows: np.ndarray) -> None:
        take(self, rows)
        joined.set()

    def hear(event: Event) -> None:
        notes.append(event.message)

    monkeypatch.setattr(WindowForward, "__call__", exhausted)
    monkeypatch.setattr(GeoTiffWriter, "write", noted)
    mapped = job(out, settings=bare.model_copy(update={"batch_size": 5}), listener=hear)
    assert mapped.summary.decisions.batch_size == 2
    assert mapped.summary.resumed_strips == 0
    (said,) = [note for note in notes if "halved" in note]
    assert "The batch is halved to 2; all strips are computed anew" in said
    with rasterio.open(out) as found, rasterio.open(expected) as wanted:
        np.testing.assert_array_equal(found.read(), wanted.read())
    assert [entry.name for entry in out.parent.iterdir() if entry.name.startswith(".")] == [receipt_path(out).name]


def test_two_jobs_on_one_map_refuse_each_other(job: Callable[..., Mapped], tmp_path: Path) -> None:
    with locked(tmp_path / ".map.tif.strips"), pytest.raises(LockedError, match="in use by process"):
        job(tmp_path / "map.tif")


@pytest.mark.parametrize("pixels", [1, 40, 4096])
def test_strips_leave_no_trace(job: Callable[..., Mapped], tmp_path: Path, pixels: int) -> None:
    whole, other = tmp_path / "a" / "map.tif", tmp_path / "b" / "map.tif"
    job(whole)
    job(other, settings=SETTINGS.model_copy(update={"strip_pixels": pixels}))
    for name in ("map.tif", "map_confidence.tif", "map_entropy.tif"):
        with rasterio.open(whole.with_name(name)) as first, rasterio.open(other.with_name(name)) as second:
            np.testing.assert_array_equal(first.read(), second.read())
