"""What the probe decides, and what it says of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, ModelError, OutOfMemoryError, TerrazzoError
from terrazzo.geo.raster import RasterFile
from terrazzo.machine import Execution, MachineSettings
from terrazzo.scene import probe as probe_module
from terrazzo.scene.network import CompiledNetwork
from terrazzo.scene.plan import plan_scene
from terrazzo.scene.precision import Difference
from terrazzo.scene.probe import Decided, decide
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.trial import Trial

REDUCED = MachineSettings(accelerator="cpu", precision="bfloat16")
SMALL, LARGE = (37, 53), (100, 120)


@pytest.fixture
def decided(make_bundle: Callable[..., Bundle], make_scene: Callable[..., Path]) -> Callable[..., Decided]:
    def run(
        architecture: str = "probe_convolution",
        *,
        shape: tuple[int, int] = SMALL,
        machine: MachineSettings = REDUCED,
        values: np.ndarray | None = None,
        nodata: int | None = None,
        architecture_settings: dict[str, object] | None = None,
        **asked: object,
    ) -> Decided:
        bundle = make_bundle(architecture, settings=architecture_settings)
        settings = PredictSettings(**asked)
        products = products_of(settings, classes=len(bundle.classes), ignore=bundle.classes.ignore)
        profile = {} if nodata is None else {"nodata": nodata}
        with RasterFile(make_scene(shape=shape, values=values, **profile)) as scene:
            plan = plan_scene(bundle, scene, settings)
            return decide(bundle, plan, scene, settings, machine, products)

    return run


@pytest.fixture
def automatic(monkeypatch: pytest.MonkeyPatch) -> MachineSettings:
    """A machine whose own choice is bfloat16, whatever this one has."""
    monkeypatch.setattr(probe_module, "configure", lambda _settings: Execution("cpu", "bfloat16", 2, 0))
    return MachineSettings(accelerator="cpu", precision="auto")


def test_a_small_scene_is_not_timed_but_precision_is_checked(decided: Callable[..., Decided]) -> None:
    found = decided()
    decisions, report = found.decisions, found.report
    assert (decisions.device, decisions.precision, decisions.compiled) == ("cpu", "bfloat16", False)
    assert (decisions.threads, decisions.batch_size, decisions.group_size) == (1, 256, 256)
    assert decisions.strip_pixels == 2048
    assert report.rate is None
    assert report.windows == 4
    assert report.measured
    assert report.tried_precision == "bfloat16"
    assert 0.9 < report.agreement <= 1
    assert 0 < report.largest_difference < 0.05
    assert report.window_bytes > 0
    assert report.notes == ()
    assert found.forward.lanes == report.lanes >= 1
    said = report.describe(decisions)
    assert said.startswith("bfloat16; ")
    assert "; on 4 windows of the scene bfloat16 agrees with float32 at" in said
    assert f"batch 256, {report.lanes} side by side with 1 thread each" in said
    assert "windows/s" not in said


def test_a_large_scene_is_timed(decided: Callable[..., Decided]) -> None:
    found = decided(shape=LARGE)
    assert found.report.rate is not None
    assert found.report.rate > 0
    assert "windows/s" in found.report.describe(found.decisions)


def test_what_is_timed_decides_nothing(decided: Callable[..., Decided], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = decided(shape=LARGE).decisions
    monkeypatch.setattr(Trial, "rate", lambda _self, batch: 1.0 / batch)
    assert decided(shape=LARGE).decisions == chosen


def test_what_is_said_outright_is_obeyed(decided: Callable[..., Decided]) -> None:
    machine = MachineSettings(accelerator="cpu", precision="bfloat16", threads=2)
    found = decided(shape=LARGE, machine=machine, batch_size=3, precision="float32", strip_pixels=40)
    assert (found.decisions.precision, found.decisions.threads) == ("float32", 2)
    assert (found.decisions.batch_size, found.decisions.strip_pixels) == (3, 40)
    assert (found.report.agreement, found.report.largest_difference) == (None, None)


@pytest.mark.parametrize("limit", [{"least_agreement": 1.0}, {"largest_difference": 1e-6}])
def test_an_automatic_precision_that_differs_too_much_is_given_up(
    decided: Callable[..., Decided],
    automatic: MachineSettings,
    limit: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Trial, "check", lambda _self: Difference(agreement=0.999, largest=0.01))
    found = decided(machine=automatic, **limit)
    assert found.decisions.precision == "float32"
    assert found.report.tried_precision == "bfloat16"
    given_up = (
        "bfloat16 is given up for float32: it agrees with float32 at 99.90 % of the pixels, and the largest difference "
        "of a probability is 0.010."
    )
    assert found.report.notes == (given_up,)
    assert next(found.forward._network.parameters()).dtype == torch.float32
    kept = decided(machine=automatic)
    assert kept.decisions.precision == "bfloat16"
    assert kept.report.notes == ()


def test_a_precision_that_was_asked_for_is_reported_and_kept(decided: Callable[..., Decided]) -> None:
    found = decided(largest_difference=1e-9)
    assert found.decisions.precision == "bfloat16"
    assert found.report.largest_difference > 1e-9
    assert (
        decided(
            machine=MachineSettings(accelerator="cpu"),
            precision="bfloat16",
            least_agreement=1.0,
            largest_difference=1e-9,
        ).decisions.precision
        == "bfloat16"
    )


def test_a_scene_of_nothing_is_tried_with_noise(decided: Callable[..., Decided]) -> None:
    found = decided(values=np.zeros((3, *SMALL), dtype=np.uint8), nodata=0)
    assert not found.report.measured
    assert "windows of noise" in found.report.describe(found.decisions)


def test_compiling_is_obeyed_where_it_is_asked_for(
    decided: Callable[..., Decided], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    found = decided(compile=True)
    assert found.decisions.compiled
    assert isinstance(found.forward._network, CompiledNetwork)
    assert found.report.describe(found.decisions).startswith("bfloat16, compiled; ")
    assert not decided(compile=False).decisions.compiled
    assert not decided().decisions.compiled


def test_what_cannot_be_compiled_is_not_and_says_so(
    decided: Callable[..., Decided], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = decided("trm", architecture_settings={"width": 4, "t_max": 2}, compile=True)
    assert not found.decisions.compiled
    assert "cannot be compiled" in found.report.notes[0]

    def refuse(_self: Trial) -> Difference:
        raise ModelError("no compiler here")

    monkeypatch.setattr(Trial, "compile", refuse)
    assert decided(compile=True).report.notes == ("no compiler here",)


@pytest.mark.parametrize(
    ("pixels", "difference", "kept", "note"),
    [
        (2 * 10**11, Difference(1.0, 0.0), True, ""),
        (10**11, Difference(1.0, 0.0), False, ""),
        (2 * 10**11, Difference(0.5, 0.0), False, "compiled network is given up: it agrees with float32 at 50.00 %"),
    ],
)
def test_on_a_gpu_compiling_has_to_pay(pixels: int, difference: Difference, kept: bool, note: str) -> None:
    class OnGpu:
        """A trial whose figures are given."""

        def __init__(self) -> None:
            self.compiled = False
            self.decisions = type("", (), {"device": "cuda", "batch_size": 8})

        def compile(self) -> Difference:
            self.compiled = True
            return difference

        def give_up_compiling(self) -> None:
            self.compiled = False

    trial = OnGpu()
    notes = probe_module._compiled.__wrapped__(trial, PredictSettings(), pixels=pixels)
    assert trial.compiled == kept
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)


class RecordedTrial:
    """A trial on some device, whose recording ends as it is told."""

    def __init__(self, device: str, outcome: bool | TerrazzoError = True, *, compiled: bool = False) -> None:
        self.decisions = SimpleNamespace(device=device, compiled=compiled, batch_size=4)
        self.outcome = outcome
        self.tried = False

    def record(self) -> bool:
        self.tried = True
        if isinstance(self.outcome, TerrazzoError):
            raise self.outcome
        return self.outcome


def recorded(trial: RecordedTrial, asked: bool | str, pixels: int = 2**19) -> list[str]:
    notes: list[str] = probe_module._recorded.__wrapped__(
        trial, PredictSettings(cuda_graphs=asked), batch_pixels=pixels
    )
    return notes


class TestRecording:
    """CUDA graphs."""

    @pytest.mark.parametrize(
        ("asked", "device", "compiled", "pixels", "tried"),
        [
            ("auto", "cuda", False, 2**20, True),
            ("auto", "cuda", False, 2**20 + 1, False),
            ("auto", "cuda", True, 2**20, False),
            ("auto", "cpu", False, 2**20, False),
            (True, "cuda", False, 2**30, True),
            (False, "cuda", False, 2**20, False),
        ],
    )
    def test_small_batches_on_a_gpu_are_recorded(
        self, asked: bool | str, device: str, compiled: bool, pixels: int, tried: bool
    ) -> None:
        trial = RecordedTrial(device, compiled=compiled)
        assert recorded(trial, asked, pixels) == []
        assert trial.tried == tried

    def test_other_bits_are_given_up(self) -> None:
        assert "given up" in recorded(RecordedTrial("cuda", outcome=False), "auto")[0]

    def test_what_cannot_be_recorded_is_told_to_whom_it_was_promised(self) -> None:
        refusing = RecordedTrial("cuda", ModelError("steps"))
        assert recorded(refusing, "auto") == []
        assert recorded(refusing, asked=True) == ["steps"]
        full = RecordedTrial("cuda", OutOfMemoryError("no room"))
        assert recorded(full, "auto") == []
        assert recorded(full, asked=True) == ["no room"]

    def test_it_cannot_be_asked_for_without_a_gpu(self, decided: Callable[..., Decided]) -> None:
        with pytest.raises(ConfigError, match=r"cuda_graphs is true, but the device is cpu"):
            decided(cuda_graphs=True)
        with pytest.raises(ConfigError, match=r"compiled is not recorded as well"):
            recorded(RecordedTrial("cuda", compiled=True), asked=True)


def test_steps_that_the_network_lacks_are_refused(decided: Callable[..., Decided]) -> None:
    with pytest.raises(ConfigError, match="answers at once"):
        decided(tau=0.5)


def test_the_same_is_decided_again_where_nothing_is_timed(decided: Callable[..., Decided]) -> None:
    first, second = decided(), decided()
    assert first.decisions == second.decisions
    assert first.report.model_copy(update={"seconds": 0.0}) == second.report.model_copy(update={"seconds": 0.0})
