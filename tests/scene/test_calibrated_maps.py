"""Temperatures in maps: where they are applied, that no piece or batch shows in a pixel, and who is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.bundle import Bundle
from terrazzo.calibration.local_temperature import LocalTemperature, LocalWeights
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures, WindowTemperature
from terrazzo.data.augment.geometry import Resize
from terrazzo.errors import BundleError
from terrazzo.machine import MachineSettings
from terrazzo.models.adaptive import refine
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.window_group import WindowGroup

Make = Callable[..., Bundle]
Scene = Callable[..., Path]
LAYERS = ("confidence", "probabilities")
PLAIN = {"layers": LAYERS, "probability_type": "float16", "stac": False, "quick_look": 0, "report": False}


def local(classes: int = 3, bands: int = 3, *, scale: float = 0.05, seed: int = 0) -> LocalTemperature:
    generator = torch.Generator().manual_seed(seed)
    shapes = (8, classes, 5, 5), (8,), (1, bands, 5, 5), (1,)
    return LocalTemperature.of(LocalWeights(*(torch.randn(shape, generator=generator) * scale for shape in shapes)))


def calibrated(bundle: Bundle, **parts: object) -> Bundle:
    return replace(bundle, calibration=Calibration(**parts))


def group(count: int = 2, height: int = 12, width: int = 10, *, bands: int = 3) -> WindowGroup:
    image = torch.randn(count, bands, height, width, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(count, height, width, dtype=torch.bool)
    return WindowGroup(image, valid, tuple((0, number) for number in range(count)))


def forward_of(
    bundle: Bundle, *, batch: int = 8, margin: int = 0, precision: str = "float32", **settings: object
) -> WindowForward:
    asked = PredictSettings(**settings)
    products = products_of(
        asked, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
    )
    decisions = Decisions(
        device="cpu",
        precision=precision,
        compiled=False,
        threads=1,
        batch_size=batch,
        group_size=4 * batch,
        strip_pixels=64,
    )
    return WindowForward(bundle, asked, decisions, products, margin=margin)


def halting_bundle(make_bundle: Make, **settings: object) -> Bundle:
    bundle = make_bundle("trm", classes=4, settings={"width": 8, "t_min": 1, "t_max": 5, **settings})
    generator = torch.Generator().manual_seed(6)
    for name in ("halting.last.weight", "halting.hidden.weight"):
        if name in bundle.weights:
            bundle.weights[name].normal_(0, 3, generator=generator)
    bundle.weights["halting.last.bias"].zero_()
    return bundle


def mapped(
    bundle: Bundle, scene: Path, out: Path, machine: MachineSettings, **settings: object
) -> dict[str, np.ndarray]:
    out.mkdir(parents=True)
    summary = map_scene(
        bundle, scene, out / "map.tif", settings=PredictSettings(**(PLAIN | settings)), machine=machine
    ).summary
    found = {}
    for name, path in {"class": summary.out, **summary.layers}.items():
        with rasterio.open(path) as file:
            found[name] = file.read()
    return found


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class TestBits:
    @pytest.mark.parametrize(
        ("blend", "parts"),
        [
            ("probabilities", {"temperature": ScalarTemperature(temperature=2.3)}),
            ("logits", {"temperature": VectorScaling(weight=(0.4, 1.3, 0.9), bias=(0.2, -0.4, 0.0))}),
            ("probabilities", {"window_temperature": local(), "temperature": ScalarTemperature(temperature=0.7)}),
        ],
        ids=["scalar", "vector", "local and scalar"],
    )
    def test_pieces_batches_and_workers_make_no_difference(
        self,
        blend: str,
        parts: dict[str, object],
        make_bundle: Make,
        make_scene: Scene,
        machine: MachineSettings,
        tmp_path: Path,
    ) -> None:
        scene = make_scene(shape=(61, 53))
        bundle = calibrated(make_bundle("probe_identity"), **parts)
        cut = {"blend": blend, "overlap": 0.4}
        first = mapped(bundle, scene, tmp_path / "a", machine, **cut, strip_pixels=1000, batch_size=16)
        others = [{"strip_pixels": 17, "batch_size": 1}, {"strip_pixels": 30, "batch_size": 5}]
        if "window_temperature" in parts:
            others.append({"strip_pixels": 20, "batch_size": 2, "workers": 2})
        for number, other in enumerate(others):
            same(first, mapped(bundle, scene, tmp_path / f"b{number}", machine, **cut, **other))

    def test_steps_of_cells_too(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        scene = make_scene(shape=(50, 40))
        steps = StepTemperatures(temperatures=(3.0, 2.5, 2.0, 1.5, 1.0))
        bundle = calibrated(halting_bundle(make_bundle, pixel_act=True), window_temperature=steps)
        # One batch size: a network of convolutions may round otherwise in another.
        first, second = (
            mapped(bundle, scene, tmp_path / str(strip), machine, strip_pixels=strip, batch_size=1)
            for strip in (16, 99)
        )
        same(first, second)


class TestBlended:
    @pytest.mark.parametrize("blend", ["probabilities", "logits"])
    @pytest.mark.parametrize("temperature", [0.3, 7.0])
    def test_one_temperature_changes_no_class_and_every_probability_as_it_should(
        self,
        blend: str,
        temperature: float,
        make_bundle: Make,
        make_scene: Scene,
        machine: MachineSettings,
        tmp_path: Path,
    ) -> None:
        scene, bundle = make_scene(shape=(40, 45)), make_bundle("probe_identity")
        plain = mapped(bundle, scene, tmp_path / "plain", machine, blend=blend)
        warm = calibrated(bundle, temperature=ScalarTemperature(temperature=temperature))
        found = mapped(warm, scene, tmp_path / "warm", machine, blend=blend)
        np.testing.assert_array_equal(found["class"], plain["class"])
        shares = plain["probabilities"].astype(np.float64)
        certain = shares.min(axis=0) > 1e-2
        assert certain.mean() > 0.3
        raised = shares ** (1 / temperature)
        expected = raised / raised.sum(axis=0)
        np.testing.assert_allclose(found["probabilities"][:, certain], expected[:, certain], atol=4e-3)
        assert (found["confidence"] < plain["confidence"]).mean() > 0.5 if temperature > 1 else True
        assert (found["confidence"] > plain["confidence"]).mean() > 0.5 if temperature < 1 else True
        same(plain, mapped(warm, scene, tmp_path / "off", machine, blend=blend, calibrated=False))

    def test_factors_may_change_classes(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        scene, bundle = make_scene(shape=(40, 45)), make_bundle("probe_identity")
        plain = mapped(bundle, scene, tmp_path / "plain", machine)
        pushed = calibrated(bundle, temperature=VectorScaling(weight=(1.0,) * 3, bias=(0.0, 0.0, 2.0)))
        found = mapped(pushed, scene, tmp_path / "pushed", machine)
        assert (found["class"] == 2).mean() > (plain["class"] == 2).mean() + 0.2

    def test_classes_that_rounding_makes_equal_stay_apart(self) -> None:
        scores = torch.tensor([0.49999997, 0.5, 3e-8]).reshape(3, 1, 1)
        hot = Calibration(temperature=ScalarTemperature(temperature=50.0))
        products = products_of(PredictSettings(layers=("confidence",)), classes=3, ignore=255, calibration=hot)
        probabilities = products.probabilities(scores)
        assert probabilities[0] == probabilities[1]
        assert products.decide(scores, y=0)["class"].item() == 1
        assert products.chosen(probabilities, scores)[1].item() == 1

    def test_factors_see_log_probabilities_whatever_is_blended(self) -> None:
        logits = torch.randn(3, 7, 9, generator=torch.Generator().manual_seed(0)) * 3 + 11
        vector = Calibration(temperature=VectorScaling(weight=(0.3, 1.0, 2.0), bias=(0.0, 0.5, 0.1)))

        def found(blend: str, scores: torch.Tensor) -> torch.Tensor:
            made: Products = products_of(PredictSettings(blend=blend), classes=3, ignore=255, calibration=vector)
            return made.probabilities(scores)

        torch.testing.assert_close(found("logits", logits), found("probabilities", logits.softmax(0)))
        torch.testing.assert_close(found("logits", logits), found("logits", logits - 40), atol=1e-5, rtol=1e-4)

    def test_a_probability_of_nothing_is_no_harm(self) -> None:
        scores = torch.tensor([0.0, 1.0, 0.0]).reshape(3, 1, 1)
        hot = Calibration(temperature=ScalarTemperature(temperature=3.0))
        products = products_of(PredictSettings(), classes=3, ignore=255, calibration=hot)
        probabilities = products.probabilities(scores)
        assert bool(torch.isfinite(probabilities).all())
        assert probabilities[1].item() == pytest.approx(1)


class TestWindows:
    @pytest.mark.parametrize("view", ["identity", "rot90", "transverse"])
    def test_the_temperature_sees_what_the_network_saw(self, view: str, make_bundle: Make) -> None:
        plain, temperature = make_bundle("probe_identity"), local()
        given = group()
        found = forward_of(calibrated(plain, window_temperature=temperature), blend="logits", views=(view,))(given)
        # The same by hand: turned, answered, tempered, turned back.
        seen = {
            "identity": lambda x: x,
            "rot90": lambda x: x.rot90(1, (2, 3)),
            "transverse": lambda x: x.rot90(2, (2, 3)).transpose(2, 3),
        }
        back = {
            "identity": lambda x: x,
            "rot90": lambda x: x.rot90(-1, (2, 3)),
            "transverse": lambda x: x.transpose(2, 3).rot90(2, (2, 3)),
        }
        turned = seen[view](given.image)
        torch.testing.assert_close(found.scores, back[view](temperature(turned, turned, None)))

    def test_a_resize_is_undone_after_the_temperature(self, make_bundle: Make) -> None:
        resize = Resize(height=6, width=20)
        bundle, temperature = make_bundle("probe_identity", resize=resize), local()
        given = group()
        small, _ = resize.forward(given.image, given.valid)
        found = forward_of(calibrated(bundle, window_temperature=temperature), blend="logits")(given).scores
        torch.testing.assert_close(found, resize.undo(temperature(small, small, None), (12, 10)))

    def test_full_precision_under_autocast(self, make_bundle: Make) -> None:
        # Bands that bfloat16 holds exactly, so that the network itself rounds nothing.
        given = group()
        given = replace(given, values=given.image.to(torch.bfloat16).float())
        for temperature in (local(), local(scale=0.2, seed=3)):
            bundle = calibrated(make_bundle("probe_identity"), window_temperature=temperature)
            full, reduced = (forward_of(bundle, precision=one)(given).scores for one in ("float32", "bfloat16"))
            assert torch.equal(full, reduced)

    def test_off_is_off(self, make_bundle: Make) -> None:
        bundle = make_bundle("probe_identity")
        warm = calibrated(bundle, window_temperature=local())
        assert torch.equal(forward_of(warm, calibrated=False)(group()).scores, forward_of(bundle)(group()).scores)
        assert not torch.equal(forward_of(warm)(group()).scores, forward_of(bundle)(group()).scores)

    def test_each_window_by_the_step_it_stopped_after(self, make_bundle: Make) -> None:
        bundle = halting_bundle(make_bundle)
        temperatures = (5.0, 4.0, 3.0, 2.0, 0.5)
        given = group(10, 24, 20)
        with torch.inference_mode():
            alone = refine(bundle.network(), given.image, rule=bundle.architecture.halting_rule)
        assert len(set(alone.steps.tolist())) > 2
        warm = calibrated(bundle, window_temperature=StepTemperatures(temperatures=temperatures))
        found = forward_of(warm, batch=3, fuse=False, blend="logits")(given).scores
        divisors = torch.tensor([temperatures[step - 1] for step in alone.steps.tolist()])
        torch.testing.assert_close(found, alone.logits / divisors[:, None, None, None], atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("views", [("identity",), ("rot90",)])
    def test_each_cell_by_the_step_it_settled_in(self, views: tuple[str, ...], make_bundle: Make) -> None:
        bundle = halting_bundle(make_bundle, pixel_act=True)
        temperatures = (5.0, 4.0, 3.0, 2.0, 0.5)
        given = group(3, 22, 18)
        settings = {"views": views, "blend": "logits", "layers": ("steps",)}
        plain = forward_of(bundle, **settings)(given).scores
        warm = calibrated(bundle, window_temperature=StepTemperatures(temperatures=temperatures))
        found = forward_of(warm, **settings)(given).scores
        steps = plain[:, 4].long()
        assert len(steps.unique()) > 2
        assert torch.equal(found[:, 4], plain[:, 4])
        torch.testing.assert_close(found[:, :4], plain[:, :4] / torch.tensor(temperatures)[steps - 1][:, None])

    def test_answers_are_handed_over_untempered(self, make_bundle: Make) -> None:
        bundle = calibrated(make_bundle("probe_convolution", classes=4), window_temperature=local(4))
        given, found = group(5), []
        forward = forward_of(bundle, batch=2, views=("identity", "hflip"), fuse=False)
        forward.answers(given, found.append)
        assert [(one.sight.view, one.tiles) for one in found] == [
            (view, tiles) for view in ("identity", "hflip") for tiles in ((0, 1), (2, 3), (4,))
        ]
        network = bundle.network()
        for one in found:
            torch.testing.assert_close(one.logits[0], network(one.seen).logits)
        assert torch.equal(found[3].seen, given.image[:2].flip(-1))

    @pytest.mark.parametrize("cells", [False, True])
    def test_answers_of_every_step(self, cells: bool, make_bundle: Make) -> None:
        bundle = halting_bundle(make_bundle, pixel_act=cells)
        given, every, settled = group(3, 24, 20), [], []
        # Fewer steps in a map make no difference: each step is to have its temperature.
        forward_of(bundle, batch=2, fuse=False, steps=2).answers(given, every.append, every_step=True)
        network = bundle.network()
        assert [len(one.logits) for one in every] == [5, 5]
        with torch.inference_mode():
            state = network.start(given.image[:2])
            for step in range(5):
                state = network.step(state)
                torch.testing.assert_close(every[0].logits[step], network.answer(state), atol=1e-4, rtol=1e-4)
        forward = forward_of(bundle, batch=2, fuse=False, blend="logits")
        forward.answers(given, settled.append)
        assert sorted(tile for one in settled for tile in one.tiles) == [0, 1, 2]
        scores = forward(given).scores
        for one in settled:
            torch.testing.assert_close(one.logits[0], scores[list(one.tiles)])


class TestBundles:
    @pytest.mark.parametrize(
        "parts",
        [
            {"temperature": ScalarTemperature(temperature=1.3)},
            {"temperature": VectorScaling(weight=(0.3, 1.1, 2.0), bias=(0.1, 0.2, -0.3))},
            {"window_temperature": local()},
        ],
    )
    def test_a_calibrated_bundle_is_saved_and_loaded(
        self, parts: dict[str, object], make_bundle: Make, tmp_path: Path
    ) -> None:
        bundle = calibrated(make_bundle("probe_identity"), **parts)
        bundle.save(tmp_path / "ö.safetensors")
        loaded = Bundle.load(tmp_path / "ö.safetensors")
        assert loaded.calibration == bundle.calibration
        assert loaded.fingerprint == bundle.fingerprint != make_bundle("probe_identity").fingerprint
        assert torch.equal(forward_of(loaded)(group()).scores, forward_of(bundle)(group()).scores)

    def test_steps_are_saved_and_loaded(self, make_bundle: Make, tmp_path: Path) -> None:
        steps = StepTemperatures(temperatures=(1.0, 2.0, 3.0, 4.0, 5.0))
        calibrated(halting_bundle(make_bundle), window_temperature=steps).save(tmp_path / "b.safetensors")
        assert Bundle.load(tmp_path / "b.safetensors").calibration == Calibration(window_temperature=steps)

    def test_factors_of_other_classes_are_refused(self, make_bundle: Make) -> None:
        with pytest.raises(BundleError, match="3 classes, but its vector scaling has factors of 2"):
            calibrated(make_bundle(), temperature=VectorScaling(weight=(1.0, 1.0), bias=(0.0, 0.0)))

    @pytest.mark.parametrize(
        ("window", "match"),
        [
            (StepTemperatures(temperatures=(1.0,)), "answers at once"),
            (local(4), "3 classes and 3 bands, but its local temperature reads 4 classes"),
            (local(3, 2), "reads 3 classes and 2 bands"),
        ],
    )
    def test_window_temperatures_of_other_networks_are_refused(
        self, window: WindowTemperature, match: str, make_bundle: Make
    ) -> None:
        with pytest.raises(BundleError, match=match):
            calibrated(make_bundle(), window_temperature=window)

    @pytest.mark.parametrize("count", [1, 4, 6])
    def test_temperatures_of_other_steps_are_refused(self, count: int, make_bundle: Make) -> None:
        with pytest.raises(BundleError, match=f"runs up to 5 steps, but its calibration has temperatures of {count}"):
            calibrated(halting_bundle(make_bundle), window_temperature=StepTemperatures(temperatures=(1.0,) * count))
