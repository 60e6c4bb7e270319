"""Temperatures fitted end to end: on images through the scene engine, checked on images that were not fitted on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.assessment.images import pass_image, target_rows
from terrazzo.assessment.temperatures import Fitted, fit_temperatures
from terrazzo.assessment.window_samples import core, window_answers
from terrazzo.bundle import Bundle
from terrazzo.calibration.pixel_sample import SampledPixels
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures
from terrazzo.data.augment.geometry import Resize
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError, DataError, ModelError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.progress import Event
from terrazzo.record import load_plugin
from terrazzo.scene import PredictSettings
from terrazzo.scene.image_pass import ImagePass
from terrazzo.scene.windows import Axis

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)
BANDS = Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue")))
CLASSES = Classes(
    ignore_values=(200,),
    items=tuple(
        Class(name=f"class {number} ö", colour=colour, values=(10 * number + 1,))
        for number, colour in enumerate(("#3C1098", "#00FF00", "#0000FF"))
    ),
)
SETTINGS = PredictSettings(overlap=0.25)
# Normalised values, which are the logits of the probe network, lie within 3 of 0.
NORMALISATION = Normalisation(mean=(127.0,) * 3, std=(42.0,) * 3)
Write = Callable[..., ImageEntry]


def bundle_of(architecture: str = "probe_identity", **changes: object) -> Bundle:
    settings = changes.pop("settings", {})
    record = ARCHITECTURES.create(architecture, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        weights = record.build(bands=3, classes=3).state_dict()
    parts = {
        "architecture": record,
        "bands": BANDS,
        "classes": CLASSES,
        "normalisation": NORMALISATION,
        "patch_size": 32,
        "resolution_m": 0.5,
        "weights": weights,
        "training": {},
        "versions": {},
        "licence": "",
    }
    return Bundle(**(parts | changes))


def shares_of(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=0))
    return raised / raised.sum(axis=0)


def drawn(shares: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return a class for each pixel, drawn from its probabilities."""
    return (shares.cumsum(axis=0) < draw.random(shares.shape[1:])).sum(axis=0).clip(0, 2)


def said_by(bundle: Bundle) -> Callable[[np.ndarray], np.ndarray]:
    """Return what answers as a bundle's network does to a window of the image's size."""
    network = bundle.network()

    def logits(normalised: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(normalised)[None]).logits[0].numpy()

    return logits


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an image of noise, and labels drawn from what its normalised values would say at a temperature."""

    def made(
        name: str,
        shape: tuple[int, int] = (70, 61),
        *,
        known: float | np.ndarray = 1.0,
        bias: Sequence[float] = (0.0, 0.0, 0.0),
        smooth: bool = False,
        logits: Callable[[np.ndarray], np.ndarray] | None = None,
        ignored: float = 0.1,
        labelled: bool = True,
    ) -> ImageEntry:
        seed = int.from_bytes(name.encode()[-4:], "little")
        draw = np.random.default_rng(seed)
        if smooth:
            coarse = draw.integers(1, 256, (3, -(-shape[0] // 8), -(-shape[1] // 8)))
            values = coarse.repeat(8, 1).repeat(8, 2)[:, : shape[0], : shape[1]].astype(np.uint8)
        else:
            values = draw.integers(1, 256, (3, *shape)).astype(np.uint8)
        normalised = (values.astype(np.float32) - 127) / 42
        said = normalised if logits is None else logits(normalised)
        target = drawn(shares_of(said / known + np.array(bias)[:, None, None]), draw)
        raw = (10 * target + 1).astype(np.uint8)
        # Labels that would say another temperature, where nothing counts.
        wrong = draw.random(shape) < ignored
        raw[wrong] = 200
        values[:, draw.random(shape) < 0.05] = 0
        folder = tmp_path / "Bilder ü"
        folder.mkdir(exist_ok=True)
        for file, planes, nodata in ((f"{name}.tif", values, 0), (f"{name} label.tif", raw[None], None)):
            with rasterio.open(
                folder / file,
                "w",
                driver="GTiff",
                count=len(planes),
                height=shape[0],
                width=shape[1],
                dtype="uint8",
                nodata=nodata,
            ) as opened:
                opened.write(planes)
        return ImageEntry(
            image_id=name,
            image=folder / f"{name}.tif",
            label=RasterLabel(rasters=(folder / f"{name} label.tif",)) if labelled else None,
            extra=(),
            split="calibrate",
            region=None,
            height=shape[0],
            width=shape[1],
            stack=tuple(BandPlace(band.name, 0, number) for number, band in enumerate(BANDS)),
        )

    return made


def fit(bundle: Bundle, entries: Sequence[ImageEntry], kind: str = "scalar", **more: object) -> Fitted:
    asked = {"bands": BANDS, "classes": CLASSES, "settings": SETTINGS, "machine": MACHINE, "pixels_per_image": 3000}
    return fit_temperatures(bundle, entries, kind=kind, **(asked | more))


def with_fitted(bundle: Bundle, found: Fitted) -> Bundle:
    return replace(
        bundle,
        calibration=Calibration(window_temperature=found.window_temperature, temperature=found.temperature),
    )


def error_of(bundle: Bundle, entries: Sequence[ImageEntry], settings: PredictSettings = SETTINGS) -> float:
    """The expected calibration error of whole images in 15 bins, all at once."""
    passing = ImagePass(bundle, settings, MACHINE)
    confidences, right = [], []
    for entry in entries:
        for rows in passing.rows(pass_image(entry, BANDS, CLASSES)):
            target, ignored = target_rows(entry, CLASSES, rows.y, rows.valid)
            confidence, number = passing.products.chosen(passing.products.probabilities(rows.scores))
            confidences.append(confidence.numpy()[~ignored])
            right.append((number.numpy() == target)[~ignored])
    sure, correct = np.concatenate(confidences), np.concatenate(right)
    bins = np.minimum((sure * 15).astype(int), 14)
    return sum(abs(sure[bins == one].sum() - correct[bins == one].sum()) for one in range(15)) / len(sure)


class TestBlended:
    @pytest.mark.parametrize("known", [0.5, 2.5])
    @pytest.mark.parametrize("blend", ["probabilities", "logits"])
    def test_a_known_temperature_is_found_and_others_images_are_better_calibrated(
        self, known: float, blend: str, write: Write
    ) -> None:
        # Windows that do not overlap: the blended probabilities are then just the network's.
        settings = SETTINGS.model_copy(update={"blend": blend, "overlap": 0.0})
        fitted_on, others = ([write(f"{word} {number}", known=known) for number in range(3)] for word in ("fit", "new"))
        bundle = bundle_of()
        found = fit(bundle, fitted_on, settings=settings)
        assert isinstance(found.temperature, ScalarTemperature)
        assert found.temperature.temperature == pytest.approx(known, rel=0.06)
        assert found.nll_after < found.nll_before - 0.02
        before, after = (error_of(one, others, settings) for one in (bundle, with_fitted(bundle, found)))
        assert before > 0.1
        assert after < 0.03

    def test_what_is_blended_is_what_is_fitted(self, write: Write) -> None:
        settings = PredictSettings(overlap=0.5, views=("identity", "rot90"), scales=(1.0, 0.5))
        fitted_on, others = ([write(f"{word} {number}", smooth=True) for number in range(3)] for word in ("fit", "new"))
        bundle = bundle_of("probe_convolution")
        found = fit(bundle, fitted_on, settings=settings)
        before, after = (error_of(one, others, settings) for one in (bundle, with_fitted(bundle, found)))
        assert after < before / 2

    def test_vector_finds_a_class_that_is_named_too_seldom(self, write: Write) -> None:
        settings = SETTINGS.model_copy(update={"overlap": 0.0})
        entries = [write(f"image {number}", known=2.0, bias=(1.0, 0.0, -1.0)) for number in range(3)]
        bundle = bundle_of()
        scalar, vector = (fit(bundle, entries, kind, settings=settings) for kind in ("scalar", "vector"))
        assert isinstance(vector.temperature, VectorScaling)
        np.testing.assert_allclose(vector.temperature.weight, 0.5, atol=0.06)
        np.testing.assert_allclose(np.diff(vector.temperature.bias), -1, atol=0.15)
        assert vector.nll_after < scalar.nll_after - 0.05

    def test_an_earlier_calibration_does_not_leak_in(self, write: Write) -> None:
        entries = [write("one", known=2.0), write("two", known=2.0)]
        plain = bundle_of()
        earlier = replace(
            plain, calibration=Calibration(temperature=VectorScaling(weight=(9.0, 1.0, 1.0), bias=(0.0, 5.0, 0.0)))
        )
        first = fit(plain, entries)
        assert fit(earlier, entries) == first
        assert fit(earlier, entries, settings=SETTINGS.model_copy(update={"calibrated": False})) == first
        assert fit(earlier, entries, settings=SETTINGS.model_copy(update={"layers": ("confidence",)})) == first

    def test_windows_are_already_tempered(self, write: Write) -> None:
        bundle = bundle_of("trm", settings={"width": 8, "t_max": 2})
        entries = [write(name, (48, 48), logits=said_by(bundle), known=0.5, smooth=True) for name in ("one", "two")]
        tempered = replace(
            bundle,
            calibration=Calibration(
                window_temperature=StepTemperatures(temperatures=(4.0, 4.0)),
                temperature=ScalarTemperature(temperature=11.0),
            ),
        )
        plain, found = (fit(one, entries, settings=PredictSettings(window=48)) for one in (bundle, tempered))
        assert plain.window_temperature is None
        assert found.window_temperature == tempered.calibration.window_temperature
        assert found.temperature.temperature * 4 == pytest.approx(plain.temperature.temperature, rel=1e-3)
        assert found.nll_after == pytest.approx(plain.nll_after, abs=1e-5)
        assert found.nll_before != pytest.approx(plain.nll_before, abs=1e-3)

    def test_order_rows_and_neighbours_make_no_difference(self, write: Write) -> None:
        entries = [write("a", (40, 90)), write("b", (33, 20)), write("c", (5, 61)), write("d", (1, 1))]
        bundle = bundle_of("probe_convolution")
        first = fit(bundle, entries, "vector")
        assert fit(bundle, entries[::-1], "vector") == first
        unlabelled = write("e", labelled=False)
        assert fit(bundle, [unlabelled, *entries], "vector") == first


class TestSteps:
    def test_each_step_has_its_own(self, write: Write) -> None:
        bundle = bundle_of("trm", settings={"width": 8, "t_min": 1, "t_max": 3})
        settings = PredictSettings(window=48)
        entries = [
            write(f"image {number}", (48, 48), logits=said_by(bundle), known=0.3, smooth=True) for number in range(6)
        ]
        found = fit(bundle, entries, "step", settings=settings.model_copy(update={"steps": 2}))
        assert isinstance(found.window_temperature, StepTemperatures)
        assert found.temperature is None
        assert len(found.window_temperature.temperatures) == 3
        assert found.window_temperature.temperatures[2] == pytest.approx(0.3, rel=0.15)
        assert len(set(found.window_temperature.temperatures)) == 3
        assert found.nll_after < found.nll_before

    def test_a_network_that_answers_at_once_has_none(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="probe_identity answers at once"):
            fit(bundle_of(), [write("one")], "step")


class TestLocal:
    def test_finds_where_the_network_is_too_sure(self, write: Write) -> None:
        def patches(name: str) -> ImageEntry:
            # Too sure where red is bright: that the image tells, and one temperature cannot.
            draw = np.random.default_rng(int.from_bytes(name.encode()[-4:], "little"))
            red = draw.integers(1, 256, (3, 9, 8)).repeat(8, 1).repeat(8, 2)[0, :70, :61]
            return write(name, smooth=True, known=np.where(red > 127, 4.0, 0.8))

        fitted_on, others = ([patches(f"{word} {number}") for number in range(4)] for word in ("fit", "new"))
        bundle = bundle_of()
        local, scalar = fit(bundle, fitted_on, "local"), fit(bundle, fitted_on)
        assert local.temperature is None
        assert local.held_after < local.held_before
        judged = {
            name: fit(with_fitted(bundle, found), others).nll_before
            for name, found in (("local", local), ("plain", Fitted(None, None, 0.0, 0.0, 0, 0)))
        }
        scaled = fit(bundle, others)
        # On new images, better than the best that one temperature could do there.
        assert judged["local"] < scaled.nll_after - 0.02 < judged["plain"] - 0.02
        assert scalar.nll_after > local.nll_after
        again = fit(with_fitted(bundle, local), fitted_on)
        assert again.window_temperature == local.window_temperature
        assert again.temperature.temperature == pytest.approx(1, abs=0.15)

    def test_needs_an_image_to_stop_by(self, write: Write) -> None:
        with pytest.raises(DataError, match="two images at least, not of 1"):
            fit(bundle_of(), [write("one"), write("bare", ignored=1.0)], "local")

    def test_a_network_that_halts_is_taken_where_it_stops(self, write: Write) -> None:
        bundle = bundle_of("trm", settings={"width": 8, "t_min": 1, "t_max": 3})
        entries = [write(f"image {number}", (40, 33)) for number in range(3)]
        first, again = (fit(bundle, order, "local", pixels_per_image=200) for order in (entries, entries[::-1]))
        assert first == again
        assert with_fitted(bundle, first).calibration.window_temperature == first.window_temperature


def test_many_images_leave_less_room_for_each(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.assessment.temperatures.MOST_BYTES", 3 * 50 * 600)
    events: list[Event] = []
    found = fit(bundle_of(), [write(f"image {number}") for number in range(3)], "local", listener=events.append)
    assert 3 * 50 <= found.pixels <= 2 * 3 * 50
    assert any("50 pixels of each image" in event.message for event in events)


def test_progress_tells_each_image_and_what_came_of_it(write: Write) -> None:
    events: list[Event] = []
    fit(bundle_of(), [write("one"), write("two")], listener=events.append)
    assert [event.kind for event in events] == ["start", "advance", "advance", "note", "finish"]
    assert {event.job for event in events} == {"fit scalar temperature"}
    assert "pixels of 2 images; on these" in events[3].message


@pytest.mark.parametrize("kind", ["scalar", "vector", "step", "local"])
def test_without_a_labelled_pixel_there_is_nothing_to_fit(kind: str, write: Write) -> None:
    bundle = bundle_of("trm", settings={"width": 8, "t_max": 2}) if kind == "step" else bundle_of()
    for entries in ([], [write("bare", ignored=1.0)], [write("no label", labelled=False)]):
        with pytest.raises(DataError, match="labelled pixel"):
            fit(bundle, entries, kind)


def test_a_single_pixel_is_enough_for_one_temperature(write: Write) -> None:
    found = fit(bundle_of(), [write("dot", (1, 1), ignored=0.0)])
    assert found.pixels == 1
    assert found.temperature.temperature > 0
    with pytest.raises(ConfigError, match="pixels_per_image is 0"):
        fit(bundle_of(), [write("dot", (1, 1))], pixels_per_image=0)


@pytest.mark.parametrize("kind", ["scalar", "local"])
def test_answers_that_are_no_numbers_are_told(kind: str, write: Write) -> None:
    bundle = bundle_of("probe_convolution")
    bundle.weights["layers.0.bias"][1] = float("nan")
    with pytest.raises(ModelError, match="not a number"):
        fit(bundle, [write("one"), write("two")], kind)


class TestWindows:
    def test_cores_are_where_a_window_has_most_weight_and_tile_the_axis(self) -> None:
        for axis in (Axis(26, 10, 9), Axis(100, 16, 8), Axis(5, 5, 5), Axis(33, 16, 15), Axis(17, 16, 8)):
            cores = [core(axis, number) for number in range(len(axis))]
            assert [one.start for one in cores[1:]] == [one.stop for one in cores[:-1]]
            assert (cores[0].start, cores[-1].stop) == (0, axis.length)
            for number, one in enumerate(cores):
                start = axis.starts[number]
                assert (axis.weights(number)[one.start - start : one.stop - start] >= 0.5 - 1e-6).all()

    @pytest.mark.parametrize("margin", [0, 5])
    @pytest.mark.parametrize("views", [("identity",), ("rot90", "transverse", "hflip")])
    def test_every_pixel_is_read_where_the_network_saw_it(
        self, margin: int, views: tuple[str, ...], write: Write
    ) -> None:
        entry = write("one", (37, 53))
        passing = ImagePass(bundle_of(), PredictSettings(overlap=0.3, margin=margin, views=views), MACHINE)
        image = pass_image(entry, BANDS, CLASSES)
        y, x = (part.ravel() for part in np.mgrid[0:37, 0:53])
        pixels = SampledPixels(y, x, np.zeros(len(y), np.int64), np.ones(len(y)), np.empty((len(y), 0), np.float32))
        found = window_answers(passing, image, pixels, kind="local")
        np.testing.assert_array_equal(found.pixel, np.tile(np.arange(len(y)), len(views)))
        with rasterio.open(entry.image) as file:
            values = file.read().astype(np.float32)
        expected = np.where((values == 0).any(axis=0), 0, (values - 127) / 42)[:, y, x].T
        own = found.logits[:, :, 2, 2].reshape(len(views), -1, 3)
        for one in own:
            np.testing.assert_allclose(one, expected, atol=1e-5)
        np.testing.assert_array_equal(found.image, found.logits)

    def test_of_another_size_the_nearest_pixel_is_read(self, write: Write) -> None:
        entry = write("one", (64, 64), smooth=True)
        bundle = bundle_of(resize=Resize(height=16, width=16))
        passing = ImagePass(bundle, PredictSettings(overlap=0.0), MACHINE)
        y, x = np.array([0, 9, 40, 63]), np.array([0, 9, 33, 63])
        pixels = SampledPixels(y, x, np.zeros(4, np.int64), np.ones(4), np.empty((4, 0), np.float32))
        found = window_answers(passing, pass_image(entry, BANDS, CLASSES), pixels, kind="local")
        assert found.logits.shape == (4, 3, 5, 5)
        with rasterio.open(entry.image) as file:
            values = (file.read().astype(np.float32) - 127) / 42
        # Patches of 8 x 8 pixels of one colour, 4 x 4 of which are 2 x 2 of what the network sees.
        inside = [(values[:, a // 8 * 8 + 4, b // 8 * 8 + 4]) for a, b in zip(y, x, strict=True)]
        close = np.abs(found.logits[:, :, 2, 2] - np.array(inside)).max(axis=1) < 1.5
        assert close.all()

    def test_windows_without_sampled_pixels_are_not_computed(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry, seen = write("one", (120, 120)), []
        passing = ImagePass(bundle_of(), PredictSettings(overlap=0.0), MACHINE)
        image = pass_image(entry, BANDS, CLASSES)
        original = ImagePass.groups

        def counted(self: ImagePass, *given: object, **more: object):
            for group in original(self, *given, **more):
                seen.extend(group.windows)
                yield group

        monkeypatch.setattr(ImagePass, "groups", counted)
        pixels = SampledPixels(
            np.array([3, 100]), np.array([3, 5]), np.zeros(2, np.int64), np.ones(2), np.empty((2, 0), np.float32)
        )
        window_answers(passing, image, pixels, kind="local")
        assert set(seen) == {(0, 0), (3, 0)}
