"""From a scene to a map, whole: right values, right place, nothing lost, and never half a file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from terrazzo.bundle import Bundle
from terrazzo.data.augment.geometry import Resize
from terrazzo.errors import ConfigError, ContractError, DataError, ModelError, SpaceError, StorageError
from terrazzo.geo.bands import Collar
from terrazzo.machine import MachineSettings
from terrazzo.progress import Event
from terrazzo.scene import PredictSettings, SceneSummary
from terrazzo.scene import map_scene as map_whole
from terrazzo.scene.windows import Axis

Make = Callable[..., Bundle]
Scene = Callable[..., Path]

BESIDE = {".a map.tif.receipt.json", "a map.tif", "a map.tif.aux.xml", "a map.stac.json", "a map_quicklook.png"}
"""All that lies in a map's folder once it is there."""

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "maps é" / "a map.tif"


def map_scene(*arguments: object, **more: object) -> SceneSummary:
    """Map a scene and return what it came to."""
    return map_whole(*arguments, **more).summary


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def normalised(scene: Path, bundle: Bundle) -> torch.Tensor:
    values = read(scene)
    return torch.from_numpy(bundle.normalisation(values, np.ones(values.shape[1:], dtype=bool)))[None]


def reference(bundle: Bundle, scene: Path, *, window: int, stride: int) -> torch.Tensor:
    """Blended probabilities by the plainest means: the whole scene in memory, in double precision."""
    image, network = normalised(scene, bundle)[0], bundle.network()
    _, height, width = image.shape
    rows, columns = Axis.of(height, window=window, stride=stride), Axis.of(width, window=window, stride=stride)
    total = torch.zeros(len(bundle.classes), height, width, dtype=torch.float64)
    for row, y in enumerate(rows.starts):
        for column, x in enumerate(columns.starts):
            part = image[None, :, y : y + rows.size, x : x + columns.size]
            weight = np.outer(rows.weights(row), columns.weights(column))
            answer = network(part).logits.softmax(1)[0].double()
            total[:, y : y + rows.size, x : x + columns.size] += answer * torch.from_numpy(weight)
    return total


class TestAnswers:
    @pytest.mark.parametrize("overlap", [0.0, 0.125, 0.5])
    @pytest.mark.parametrize("blend", ["probabilities", "logits"])
    def test_identity_network_reproduces_the_image(
        self, overlap: float, blend: str, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        scene = make_scene()
        settings = PredictSettings(overlap=overlap, blend=blend, layers=("confidence",))
        map_scene(make_bundle(), scene, out, settings=settings, machine=machine)
        values = read(scene).astype(int)
        top_two = np.sort(values, axis=0)[-2:]
        clear = top_two[0] < top_two[1]
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(read(out)[0][clear], values.argmax(axis=0)[clear])
        expected = normalised(scene, make_bundle()).softmax(1).amax(1)[0].numpy() * 254
        found = read(out.with_name("a map_confidence.tif"))[0]
        assert np.abs(found - expected).max() <= 0.501

    def test_a_collar_has_no_class(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path, tmp_path: Path
    ) -> None:
        values = np.random.default_rng(1).integers(20, 256, (3, 37, 53)).astype(np.uint8)
        values[:, :9] = np.random.default_rng(2).integers(0, 7, (3, 9, 53))
        bundle = make_bundle()
        bands = bundle.bands.model_copy(update={"collar": Collar(value=0, nodata_tolerance=6)})
        file = tmp_path / "b.safetensors"
        Bundle(**{**vars(bundle), "bands": bands}).save(file)
        map_scene(Bundle.load(file), make_scene(values=values), out, machine=machine)
        found = read(out)[0]
        assert (found[:9] == 255).all()
        assert (found[9:] != 255).all()

    def test_constant_network_gives_a_constant_map(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        settings = PredictSettings(layers=("confidence",), overlap=0.3)
        summary = map_scene(
            make_bundle("probe_constant", classes=5), make_scene(), out, settings=settings, machine=machine
        )
        assert (read(out) == 4).all()
        expected = round(254 * float(torch.arange(5.0).softmax(0)[4]))
        assert (read(out.with_name("a map_confidence.tif")) == expected).all()
        assert summary.class_pixels == (0, 0, 0, 0, 37 * 53)

    @pytest.mark.parametrize("shape", [(37, 53), (16, 16), (17, 90), (5, 40), (90, 5), (3, 3), (1, 1), (1, 40)])
    def test_streaming_is_the_whole_array_result(
        self, shape: tuple[int, int], make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})
        scene = make_scene(shape=shape)
        map_scene(bundle, scene, out, settings=PredictSettings(layers=("confidence",)), machine=machine)
        expected = reference(bundle, scene, window=16, stride=14)
        top_two = expected.topk(2, dim=0).values
        clear = (top_two[0] - top_two[1] > 1e-6).numpy()
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(read(out)[0][clear], expected.argmax(0).numpy()[clear])
        found = read(out.with_name("a map_confidence.tif"))[0]
        assert np.abs(found - top_two[0].numpy() * 254).max() <= 0.501

    def test_a_margin_of_half_the_receptive_field_gives_full_image_inference(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 3})
        scene = make_scene(shape=(45, 61))
        map_scene(
            bundle,
            scene,
            out,
            settings=PredictSettings(margin=3, layers=("probabilities",)),
            machine=machine,
        )
        # The receptive field is 7 pixels; beyond the scene stands its reflection.
        whole = torch.nn.functional.pad(normalised(scene, bundle), (3, 3, 3, 3), mode="reflect")
        expected = bundle.network()(whole).logits.softmax(1)[0, :, 3:-3, 3:-3]
        found = torch.from_numpy(read(out.with_name("a map_probabilities.tif"))).float()
        torch.testing.assert_close(found / 254, expected, atol=1e-4 + 0.5 / 254, rtol=0)

    def test_a_margin_larger_than_the_scene(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        scene = make_scene(shape=(2, 3), values=np.full((3, 2, 3), [[[9]], [[200]], [[7]]], dtype=np.uint8))
        map_scene(make_bundle(), scene, out, settings=PredictSettings(margin=9), machine=machine)
        assert (read(out) == 1).all()

    def test_batch_size_does_not_change_the_map(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})
        scene = make_scene(shape=(60, 90))
        maps = []
        for size in (1, 3, 64):
            out = tmp_path / f"{size}.tif"
            map_scene(
                bundle, scene, out, settings=PredictSettings(batch_size=size, layers=("confidence",)), machine=machine
            )
            maps.append((read(out), read(tmp_path / f"{size}_confidence.tif")))
        for classes, confidence in maps[1:]:
            np.testing.assert_array_equal(classes, maps[0][0])
            np.testing.assert_array_equal(confidence, maps[0][1])

    def test_the_same_run_writes_the_same_bytes(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        bundle = make_bundle("probe_convolution", settings={"depth": 2})
        scene = make_scene()
        for name in ("a.tif", "b.tif"):
            map_scene(bundle, scene, tmp_path / name, machine=machine)
        assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()

    def test_training_resize_is_made_and_undone(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[int, ...]] = []
        bundle = make_bundle(resize=Resize(height=8, width=32))
        forward = type(bundle.network()).forward

        def look(self: object, image: torch.Tensor) -> object:
            seen.append(tuple(image.shape[-2:]))
            return forward(self, image)

        monkeypatch.setattr(type(bundle.network()), "forward", look)
        y, x = np.mgrid[:40, :52]
        smooth = np.stack([y * 4, x * 4, 160 - y * 2 - x]).astype(np.uint8)
        scene = make_scene(values=smooth)
        map_scene(bundle, scene, out, machine=machine)
        assert set(seen) == {(8, 32)}
        assert read(out).shape == (1, 40, 52)
        assert (read(out)[0] == smooth.argmax(0)).mean() > 0.95

    @pytest.mark.parametrize("settings", [{"margin": 1}, {"window": 32}])
    def test_training_resize_allows_no_other_scale(
        self, settings: dict[str, int], make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        with pytest.raises(ConfigError, match="another scale"):
            map_scene(
                make_bundle(resize=Resize(height=8, width=8)),
                make_scene(),
                out,
                settings=PredictSettings(**settings),
                machine=machine,
            )

    def test_reduced_precision_stays_close(self, make_bundle: Make, make_scene: Scene, tmp_path: Path) -> None:
        bundle = make_bundle("probe_convolution", settings={"depth": 2})
        scene = make_scene()
        for precision in ("float32", "bfloat16"):
            map_scene(
                bundle,
                scene,
                tmp_path / f"{precision}.tif",
                machine=MachineSettings(accelerator="cpu", precision=precision, threads=1),
            )
        assert (read(tmp_path / "float32.tif") == read(tmp_path / "bfloat16.tif")).mean() > 0.97


class TestNodata:
    @pytest.mark.parametrize("values", ["index", "source", "colour"])
    def test_missing_pixels_stay_missing(
        self, values: str, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        pixels = np.random.default_rng(3).integers(1, 256, (3, 40, 50)).astype(np.uint8)
        pixels[0, :20, :20] = 0
        scene = make_scene(values=pixels, nodata=0)
        settings = PredictSettings(values=values, layers=("confidence",))
        summary = map_scene(make_bundle(), scene, out, settings=settings, machine=machine)
        with rasterio.open(out) as file:
            mask = file.read(4) if values == "colour" else file.read_masks(1)
        np.testing.assert_array_equal(mask != 0, pixels[0] != 0)
        np.testing.assert_array_equal(read(out.with_name("a map_confidence.tif"))[0] == 255, pixels[0] == 0)
        assert summary.valid_share == 1 - 400 / 2000
        assert sum(summary.class_pixels) == 1600
        assert summary.skipped_windows > 0

    def test_missing_pixels_do_not_leak_into_their_neighbours(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        bundle = make_bundle("probe_convolution", dtype="float32", settings={"depth": 2})
        maps = []
        for name, missing in (("a.tif", np.nan), ("b.tif", -3.0e38)):
            pixels = np.random.default_rng(3).uniform(0, 255, (3, 40, 50)).astype(np.float32)
            pixels[:, 10:14, 20:33] = missing
            scene = make_scene(name, values=pixels, nodata=None if np.isnan(missing) else missing)
            map_scene(bundle, scene, tmp_path / name, machine=machine)
            maps.append(read(tmp_path / name))
        np.testing.assert_array_equal(maps[0], maps[1])
        assert (maps[0][0, 10:14, 20:33] == 255).all()
        assert (maps[0] == 255).sum() == 4 * 13

    def test_a_scene_without_any_measurement(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        scene = make_scene(values=np.zeros((3, 20, 20), dtype=np.uint8), nodata=0)
        summary = map_scene(make_bundle(), scene, out, machine=machine)
        assert (read(out) == 255).all()
        assert summary.skipped_windows == summary.windows == 4
        assert summary.valid_share == 0

    def test_the_bundles_nodata_counts_too(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        bundle = make_bundle()
        items = tuple(band.model_copy(update={"nodata": 9.0}) for band in bundle.bands)
        pixels = np.full((3, 20, 20), 50, dtype=np.uint8)
        pixels[1, 3, 4] = 9
        bundle = make_bundle(bands=bundle.bands.names)
        bundle = Bundle(**{**vars(bundle), "bands": bundle.bands.model_copy(update={"items": items})})
        map_scene(bundle, make_scene(values=pixels), out, machine=machine)
        assert np.argwhere(read(out)[0] == 255).tolist() == [[3, 4]]


class TestFile:
    def test_lies_where_the_scene_lies(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        turned = Affine(0.3, 0.1, 500_000.25, 0.1, 0.3, 4_000_000.75)
        scene = make_scene(transform=turned, crs="EPSG:2953")
        bundle = make_bundle(resolution_m=None)
        map_scene(bundle, scene, out, machine=machine)
        with rasterio.open(scene) as before, rasterio.open(out) as after:
            assert after.crs == before.crs
            assert after.transform == before.transform
            assert after.shape == before.shape
            assert after.dtypes == ("uint8",)
            assert after.nodata == 255
            assert after.colorinterp == (ColorInterp.palette,)
            assert after.colormap(1)[0][:3] == (0x3C, 0x10, 0x98)
            assert after.descriptions == ("class",)
            tags = after.tags()
            assert after.profile["compress"] == "zstd"
            assert after.profile["tiled"]
        assert json.loads(tags["CLASS_NAMES"]) == ["class 0 ä", "class 1 ä", "class 2 ä"]
        assert tags["TERRAZZO_BUNDLE"] == bundle.fingerprint
        assert tags["TERRAZZO_SCENE"] == "scène 1.tif"
        assert json.loads(tags["TERRAZZO_DECISIONS"])["precision"] == "float32"
        assert {entry.name for entry in out.parent.iterdir()} == BESIDE

    def test_control_points_are_kept(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        points = [
            GroundControlPoint(row, col, 500_000 + 3 * col, 4_000_000 - 2 * row)
            for row, col in ((0, 0), (0, 53), (37, 0), (37, 53))
        ]
        scene = make_scene(georeferenced=False, gcps=points, crs="EPSG:32612")
        map_scene(make_bundle(), scene, out, machine=machine)
        with rasterio.open(out) as after:
            found, crs = after.gcps
            assert crs == rasterio.crs.CRS.from_epsg(32612)
            assert [(point.row, point.col, point.x, point.y) for point in found] == [
                (point.row, point.col, point.x, point.y) for point in points
            ]

    def test_source_values(self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
        scene = make_scene()
        map_scene(make_bundle(), scene, out, settings=PredictSettings(values="source"), machine=machine)
        assert set(np.unique(read(out))) == {1, 11, 21}
        with rasterio.open(out) as file:
            assert file.nodata == 255
            assert file.colormap(1)[11] == (0, 255, 0, 255)
            assert json.loads(file.tags()["CLASS_VALUES"]) == [1, 11, 21]

    def test_colours(self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
        scene = make_scene()
        map_scene(make_bundle(), scene, out, settings=PredictSettings(values="colour"), machine=machine)
        found = read(out)
        assert set(map(tuple, found.reshape(4, -1).T)) == {(0x3C, 0x10, 0x98, 255), (0, 255, 0, 255), (0, 0, 255, 255)}
        with rasterio.open(out) as file:
            assert file.colorinterp[3] == ColorInterp.alpha

    def test_more_than_254_classes_are_16_bits(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        from terrazzo.data.classes import Classes

        classes = Classes(items=[f"c{number}" for number in range(300)])
        bundle = make_bundle("probe_constant", classes=3)
        weights = {"logits": torch.arange(300, dtype=torch.float32)}
        bundle = Bundle(**{**vars(bundle), "classes": classes, "weights": weights})
        pixels = np.full((3, 20, 20), 5, dtype=np.uint8)
        pixels[:, 0, 0] = 0
        map_scene(bundle, make_scene(values=pixels, nodata=0), out, machine=machine)
        with rasterio.open(out) as file:
            assert file.nodata == 65535
            assert file.read(1)[0, :2].tolist() == [65535, 299]

    def test_a_picture_gives_a_png_with_palette(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        scene = make_scene("photo.tif", georeferenced=False)
        map_scene(make_bundle(), scene, tmp_path / "mask.png", machine=machine)
        map_scene(make_bundle(), scene, tmp_path / "mask.tif", machine=machine)
        np.testing.assert_array_equal(read(tmp_path / "mask.png"), read(tmp_path / "mask.tif"))
        with rasterio.open(tmp_path / "mask.png") as file:
            assert file.colormap(1)[1] == (0, 255, 0, 255)
            assert file.crs is None

    def test_a_png_cannot_say_where_a_scene_lies(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match="cannot say where the scene lies"):
            map_scene(make_bundle(), make_scene(), tmp_path / "m.png", machine=machine)
        with pytest.raises(ConfigError, match=r"\.tif or \.png, not \.jpg"):
            map_scene(make_bundle(), make_scene(), tmp_path / "m.jpg", machine=machine)
        assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith((".", "m."))]

    def test_stale_overviews_of_an_earlier_map_go(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        out.parent.mkdir()
        out.with_name("a map.tif.ovr").write_bytes(b"old")
        map_scene(make_bundle(), make_scene(), out, machine=machine)
        assert {entry.name for entry in out.parent.iterdir()} == BESIDE


class TestRefusals:
    def left(self, out: Path) -> list[str]:
        return [entry.name for entry in out.parent.iterdir()] if out.parent.exists() else []

    def test_wrong_bands(self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
        with pytest.raises(ContractError, match=r"2 bands.*needs 3"):
            map_scene(make_bundle(), make_scene(bands=2), out, machine=machine)
        assert self.left(out) == []

    def test_truncated_scene(self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
        scene = make_scene(shape=(200, 200), tiled=True, blockxsize=16, blockysize=16)
        scene.write_bytes(scene.read_bytes()[:60_000])
        with pytest.raises(DataError, match=r"scène 1\.tif"):
            map_scene(make_bundle(), scene, out, machine=machine)
        assert self.left(out) == []

    def test_missing_scene(self, make_bundle: Make, tmp_path: Path, out: Path) -> None:
        with pytest.raises(DataError, match="nothing"):
            map_scene(make_bundle(), tmp_path / "nothing.tif", out)

    def test_the_scene_itself_is_never_replaced(self, make_bundle: Make, make_scene: Scene) -> None:
        scene = make_scene()
        before = scene.read_bytes()
        with pytest.raises(ConfigError, match="replace its own scene"):
            map_scene(make_bundle(), scene, scene.parent / ".." / scene.parent.name / scene.name)
        assert scene.read_bytes() == before

    def test_answers_that_are_no_numbers(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        bundle = make_bundle("probe_constant", weights={"logits": torch.tensor([0.0, torch.nan, 1.0])})
        with pytest.raises(ModelError, match="not a number in rows 0 to"):
            map_scene(bundle, make_scene(), out, machine=machine)
        assert self.left(out) == []

    def test_answers_of_another_shape(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle = make_bundle("probe_constant")
        network = type(bundle.network())
        forward = network.forward
        monkeypatch.setattr(network, "forward", lambda self, image: forward(self, image[..., 1:]))
        with pytest.raises(ModelError, match=r"probe_constant answered logits of shape \(1, 3, 16, 15\)"):
            map_scene(bundle, make_scene(), out, machine=machine)

    def test_a_full_disk_is_seen_before_and_while_writing(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        left = out.with_name(".a map.partial-999999999-0123abcd.scratch")
        left.mkdir()
        monkeypatch.setattr("terrazzo.storage.shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
        with pytest.raises(SpaceError, match="the map of scène 1 needs"):
            map_scene(make_bundle(), make_scene(), out, machine=machine)
        # What a killed start has left was removed before there was too little room.
        assert not left.exists()
        monkeypatch.undo()

        def full(self: object, rows: np.ndarray) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("terrazzo.scene.writer.GeoTiffWriter.write", full)
        with pytest.raises(StorageError, match=r"a map\.tif cannot be written.*No space"):
            map_scene(make_bundle(), make_scene(shape=(200, 40)), out, machine=machine)
        # What was computed is kept for the next start.
        assert self.left(out) == [".a map.tif.strips"]

    def test_an_interrupt_leaves_nothing(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path
    ) -> None:
        map_scene(make_bundle("probe_constant"), make_scene(), out, machine=machine)
        before = out.read_bytes()

        def interrupt(event: Event) -> None:
            if event.kind == "advance":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            map_scene(make_bundle(), make_scene(), out, machine=machine, listener=interrupt)
        assert out.read_bytes() == before
        assert set(self.left(out)) == BESIDE


def test_summary_and_progress(make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
    events: list[Event] = []
    settings = PredictSettings(strip_pixels=1)
    summary = map_scene(make_bundle(), make_scene(), out, settings=settings, machine=machine, listener=events.append)
    assert isinstance(summary, SceneSummary)
    assert (summary.height, summary.width, summary.windows) == (37, 53, 12)
    assert summary.pixels == sum(summary.class_pixels) == 37 * 53
    assert summary.valid_share == 1
    assert summary.pixels_per_second > 0
    assert summary.warnings == ()
    assert (events[0].kind, events[0].total, events[0].unit) == ("start", 12, "windows")
    assert any("3 strips" in event.message for event in events)
    assert (events[-1].kind, events[-1].done) == ("finish", 12)


def test_another_resolution_is_said(make_bundle: Make, make_scene: Scene, machine: MachineSettings, out: Path) -> None:
    events: list[Event] = []
    bundle = make_bundle(resolution_m=1.0)
    summary = map_scene(bundle, make_scene(), out, machine=machine, listener=events.append)
    assert "pixels of 0.5 m" in summary.warnings[0]
    assert summary.warnings[0] in [event.message for event in events]


def test_a_real_scene_with_nodata(make_bundle: Make, machine: MachineSettings, out: Path, real_data: Path) -> None:
    scene = next(path for path in sorted((real_data / "geotiff_newbrunswick").rglob("*.tif")))
    with rasterio.open(scene) as file:
        names = [f"band_{number}" for number in file.indexes if file.colorinterp[number - 1] != ColorInterp.alpha]
    bundle = make_bundle("probe_convolution", bands=names, patch_size=512)
    map_scene(bundle, scene, out, machine=machine)
    with rasterio.open(scene) as before, rasterio.open(out) as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        np.testing.assert_array_equal(after.read(1) == 255, before.dataset_mask() == 0)
