"""A finished map is kept where nothing has changed, and made anew where anything has."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.machine import MachineSettings
from terrazzo.progress import Event
from terrazzo.scene import Mapped, PredictSettings, map_scene, map_scenes
from terrazzo.scene.receipt import WITHOUT_EFFECT, Receipt, receipt_path

Make = Callable[..., Bundle]
Scene = Callable[..., Path]
Job = Callable[..., Mapped]

SETTINGS = PredictSettings(strip_pixels=16, layers=("confidence",), batch_size=3, quick_look=64)


@pytest.fixture
def scene(make_scene: Scene) -> Path:
    return make_scene(shape=(90, 40))


@pytest.fixture
def job(make_bundle: Make, scene: Path, machine: MachineSettings, tmp_path: Path) -> Job:
    bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})

    def run(**more: object) -> Mapped:
        return map_scene(bundle, scene, tmp_path / "kärte 1.tif", **{"settings": SETTINGS, "machine": machine, **more})

    return run


def states(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


def test_a_finished_map_is_kept(job: Job, tmp_path: Path) -> None:
    first, before = job(), states(tmp_path)
    events: list[Event] = []
    again = job(listener=events.append)
    assert states(tmp_path) == before
    assert not first.summary.kept
    assert again.summary.kept
    assert again.summary.resumed_strips == again.summary.strips
    for name in ("out", "layers", "class_pixels", "decisions", "windows", "valid_share", "warnings"):
        assert getattr(again.summary, name) == getattr(first.summary, name)
    assert again.quality == first.quality
    assert again.notes == first.notes
    assert any("the map is kept" in (event.message) for event in events)
    # The journal's folder does not stay.
    assert not list(tmp_path.glob(".*.strips"))


def test_what_computes_it_may_be_another(job: Job) -> None:
    job()
    assert job(settings=SETTINGS.model_copy(update={"workers": 2, "retries": 1, "memory_gib": 8.0})).summary.kept


def test_force_maps_anew(job: Job) -> None:
    job()
    assert not job(settings=SETTINGS.model_copy(update={"force": True})).summary.kept
    assert job().summary.kept


@pytest.mark.parametrize(
    "change",
    [{"overlap": 0.25}, {"compression": "deflate"}, {"layers": ("confidence", "entropy")}, {"quick_look": 32},
     {"stac": False}, {"drift": "off"}],
)  # fmt: skip
def test_what_is_asked_otherwise_is_mapped(job: Job, change: dict[str, object]) -> None:
    job()
    assert not job(settings=SETTINGS.model_copy(update=change)).summary.kept


def test_another_model_maps_anew(job: Job, make_bundle: Make, scene: Path, machine: MachineSettings) -> None:
    out = job().summary.out
    other = make_bundle("probe_convolution", classes=4, settings={"depth": 3})
    assert not map_scene(other, scene, out, settings=SETTINGS, machine=machine).summary.kept


def test_changed_pixels_are_found_whatever_the_files_time_says(job: Job, scene: Path, tmp_path: Path) -> None:
    first = job()
    status = scene.stat()
    with rasterio.open(scene, "r+") as file:
        values = file.read(1)
        values[71, 5] ^= 255
        file.write(values, 1)
    os.utime(scene, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scene.stat().st_size == status.st_size
    events: list[Event] = []
    again = job(listener=events.append)
    assert not again.summary.kept
    assert any("pixels have changed" in (event.message) for event in events)
    assert first.notes == again.notes


@pytest.mark.parametrize(
    "name", ["kärte 1.tif", "kärte 1_confidence.tif", "kärte 1_quicklook.png", "kärte 1.stac.json"]
)
def test_a_file_that_is_missing_or_altered_is_made_again(job: Job, tmp_path: Path, name: str) -> None:
    job()
    (tmp_path / name).unlink()
    assert not job().summary.kept
    assert (tmp_path / name).exists()
    with (tmp_path / name).open("ab") as file:
        file.write(b"x")
    assert not job().summary.kept


def test_a_damaged_receipt_counts_for_nothing(job: Job) -> None:
    out = job().summary.out
    for text in (
        "",
        "{}",
        receipt_path(out).read_text()[:-40],
        receipt_path(out).read_text().replace('"format": 1', '"format": 2'),
    ):
        receipt_path(out).write_text(text)
        assert Receipt.read(out) is None
        assert not job().summary.kept


def test_what_could_not_be_read_is_tried_again(job: Job, scene: Path) -> None:
    file = scene.read_bytes()
    scene.write_bytes(file[: len(file) * 2 // 3])
    settings = SETTINGS.model_copy(update={"max_errors": 100, "retries": 0})
    first = job(settings=settings)
    assert first.summary.unreadable
    assert not job(settings=settings).summary.kept


def test_a_folder_goes_on_at_the_scene_where_it_was_stopped(
    make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
) -> None:
    bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})
    scenes = [make_scene(name=f"{name}.tif", shape=(40, 40)) for name in "abc"]
    out = tmp_path / "maps"

    def stop_at_b(event: Event) -> None:
        if event.job == "map b" and event.kind == "advance":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_scenes(bundle, scenes, out, settings=SETTINGS, machine=machine, listener=stop_at_b)
    found = map_scenes(bundle, scenes, out, settings=SETTINGS, machine=machine)
    assert [one.summary.kept for one in found] == [True, False, False]


def test_every_setting_that_has_no_effect_exists() -> None:
    assert set(PredictSettings.model_fields) >= WITHOUT_EFFECT
