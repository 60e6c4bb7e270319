"""The probe: the real network on a few windows of the scene, and what is decided from that for all of it."""

import time
from dataclasses import dataclass
from typing import Literal

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, ModelError, OutOfMemoryError
from terrazzo.machine import MachineSettings, configure
from terrazzo.record import Record
from terrazzo.scene.batch_choice import PIXELS, choose_batch
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.precision import Difference, Precision
from terrazzo.scene.products import Products
from terrazzo.scene.sampled_windows import noise_windows, sampled_windows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.trial import Trial
from terrazzo.scene.window_group import WindowGroup

__all__ = ["Decided", "ProbeReport", "decide", "decide_on"]

# Pixels on which precisions are compared: two windows of the usual size.
_CHECKED_PIXELS = 2 * 512 * 512
_CHECKED_WINDOWS = 4
# A scene of fewer windows is mapped before its time could be told.
_TIMED_WINDOWS = 32
# Pixels from which on compiling pays on a GPU: a quarter of the time of a usual network, at 400 million pixels a
# second, is more than the minute and a half that compiling takes. A rule, because a measured gain would come and go.
_COMPILED_PIXELS = 150_000_000_000
# Pixels of a batch up to which recording passes is tried: a quarter of what keeps a GPU busy for one.
_RECORDED_PIXELS = PIXELS["cuda"] // 4


class ProbeReport(Record):
    """What the probe saw."""

    windows: int
    """Windows on which the network was tried."""
    measured: bool
    """Whether these are the scene's; noise stood in where no measured pixel was found."""
    tried_precision: Precision
    """What was compared with float32."""
    agreement: float | None = None
    """Share of pixels, 0..1, whose class was float32's; None where float32 itself was asked for."""
    largest_difference: float | None = None
    """Largest difference of a probability, 0..1, from float32's; None likewise."""
    window_bytes: int
    """Memory that a forward pass takes for each window of its batch, what kernels use inside allowed for."""
    lanes: int
    """Forward passes side by side in one process that has the machine for itself."""
    rate: float | None = None
    """Windows a second of all lanes with what was decided; None where the scene is too small to time it."""
    notes: tuple[str, ...] = ()
    """What a reader should know: a precision that was given up, a network that cannot be compiled."""
    seconds: float = 0.0
    """What the probe took."""

    def describe(self, decisions: Decisions) -> str:
        """Return one line for a reader.

        Args:
            decisions: What was decided.
        """
        seen = f"{self.windows} windows of {'the scene' if self.measured else 'noise'}"
        parts = [decisions.computing]
        if self.agreement is not None and self.largest_difference is not None:
            difference = Difference(self.agreement, self.largest_difference)
            parts.append(f"on {seen} {self.tried_precision} {_words(difference)}")
        threads = "1 thread" if decisions.threads == 1 else f"{decisions.threads} threads"
        parts.append(f"batch {decisions.batch_size}, {self.lanes} side by side with {threads} each")
        if self.rate is not None:
            parts.append(f"{self.rate:.3g} windows/s")
        return "; ".join(parts)


@dataclass(frozen=True)
class Decided:
    """What the probe decided.

    Attributes:
        decisions: For the journal's header.
        report: What the probe saw.
        forward: The network, ready to work with these decisions in this process.
    """

    decisions: Decisions
    report: ProbeReport
    forward: WindowForward


def decide(
    bundle: Bundle,
    plan: ScenePlan,
    scene: OpenScene,
    settings: PredictSettings,
    machine: MachineSettings,
    products: Products,
) -> Decided:
    """Run the network on a few windows of a scene and decide how all of it is computed.

    The threads and the determinism of this process become the machine's.

    Args:
        bundle: The network and what it was trained for.
        plan: How the scene is cut.
        scene: Its pixels.
        settings: How it becomes a map; what they say outright is obeyed.
        machine: What it is computed on.
        products: What is decided from the network's scores.

    Raises:
        ConfigError: The device or the precision does not exist here, or steps are asked for that the network lacks.
        ModelError: The network cannot be built, or answers wrong shapes.
        OutOfMemoryError: Not even one window has room.
    """
    windows, measured = _windows(bundle, plan, scene)
    return decide_on(windows, bundle, plan, settings, machine, products, measured=measured)


def decide_on(
    windows: WindowGroup,
    bundle: Bundle,
    plan: ScenePlan,
    settings: PredictSettings,
    machine: MachineSettings,
    products: Products,
    *,
    measured: bool = True,
) -> Decided:
    """Run the network on some windows and decide how all others are computed, as `decide` does.

    Args:
        windows: What it is tried on.
        bundle: The network and what it was trained for.
        plan: How what is mapped is cut.
        settings: How it becomes a map; what they say outright is obeyed.
        machine: What it is computed on.
        products: What is decided from the network's scores.
        measured: Whether the windows are of the scene, and no noise.
    """
    begun = time.monotonic()
    asked = _asked_precision(bundle, settings, machine)
    execution = configure(machine.model_copy(update={"precision": asked}))
    decisions = Decisions(
        device=execution.device,
        precision=execution.precision,
        compiled=False,
        threads=1 if machine.threads == "auto" else machine.threads,
        batch_size=1,
        group_size=1,
        strip_pixels=settings.strip_pixels,
    )
    trial = Trial(bundle, plan, settings, products, windows, decisions)
    difference = trial.check()
    notes = []
    if asked == "auto" and difference is not None and _too_far(difference, settings):
        notes.append(f"{execution.precision} is given up for float32: it {_words(difference)}.")
        trial.return_to_float32()
    trial.measure_memory()
    if settings.batch_size == "auto":
        trial.settle(choose_batch(execution.device, plan.window_shape, fits=trial.fits))
    else:
        trial.settle(settings.batch_size)
    window_pixels = plan.window_shape[0] * plan.window_shape[1]
    notes += _compiled(trial, settings, pixels=plan.windows * window_pixels)
    notes += _recorded(trial, settings, batch_pixels=trial.decisions.batch_size * window_pixels)
    rate = trial.rate(trial.decisions.batch_size) if plan.windows >= _TIMED_WINDOWS else None
    report = ProbeReport(
        windows=len(windows.windows),
        measured=measured,
        tried_precision=execution.precision,
        agreement=None if difference is None else difference.agreement,
        largest_difference=None if difference is None else difference.largest,
        window_bytes=trial.window_bytes,
        lanes=trial.lanes,
        rate=rate,
        notes=tuple(notes),
        seconds=time.monotonic() - begun,
    )
    return Decided(trial.decisions, report, trial.forward())


def _asked_precision(
    bundle: Bundle, settings: PredictSettings, machine: MachineSettings
) -> Precision | Literal["auto"]:
    """Return the precision that is asked for; of a network that decides it itself, float32: nothing is reduced.

    Raises:
        ConfigError: Another one is asked of such a network.
    """
    if not bundle.architecture.own_arithmetic:
        return settings.precision or machine.precision
    if settings.precision not in {None, "auto", "float32"}:
        raise ConfigError(
            f"predict.precision is {settings.precision}, but an ONNX graph says itself in which type it computes; "
            "leave it out, or export the bundle with --precision float16."
        )
    return "float32"


def _windows(bundle: Bundle, plan: ScenePlan, scene: OpenScene) -> tuple[WindowGroup, bool]:
    """Return what the network is tried on, and whether it is of the scene."""
    height, width = plan.window_shape
    count = min(max(_CHECKED_PIXELS // (height * width), 1), _CHECKED_WINDOWS, plan.windows)
    seen = sampled_windows(plan, scene, bundle.normalisation, count=count)
    return (noise_windows(plan, count=count), False) if seen is None else (seen, True)


def _compiled(trial: Trial, settings: PredictSettings, *, pixels: int) -> list[str]:
    """Compile where that was asked for or pays; return what a reader should know."""
    pays = trial.decisions.device == "cuda" and pixels > _COMPILED_PIXELS
    if settings.compile is False or (settings.compile == "auto" and not pays):
        return []
    try:
        difference = trial.compile()
    except ModelError as error:
        return [str(error)]
    if settings.compile == "auto" and _too_far(difference, settings):
        trial.give_up_compiling()
        return [f"The compiled network is given up: it {_words(difference)}."]
    return []


def _recorded(trial: Trial, settings: PredictSettings, *, batch_pixels: int) -> list[str]:
    """Record passes where that was asked for or helps; return what a reader should know.

    Raises:
        ConfigError: It was asked for on another device than a GPU, or of a network that is compiled.
    """
    wanted, device, compiled = settings.cuda_graphs, trial.decisions.device, trial.decisions.compiled
    if wanted is True and (device != "cuda" or compiled):
        what = "a network that is compiled is not recorded as well" if compiled else f"the device is {device}"
        raise ConfigError(f"predict.cuda_graphs is true, but {what}; leave it out.")
    if wanted is False or device != "cuda" or compiled or (wanted == "auto" and batch_pixels > _RECORDED_PIXELS):
        return []
    try:
        same = trial.record()
    except (ModelError, OutOfMemoryError) as error:
        # A network of steps never can, and a recording takes memory: nothing is lost that anybody asked for.
        return [str(error)] if wanted is True else []
    return [] if same else ["CUDA graphs are given up: they do not answer the network's own bits."]


def _too_far(difference: Difference, settings: PredictSettings) -> bool:
    return difference.agreement < settings.least_agreement or difference.largest > settings.largest_difference


def _words(difference: Difference) -> str:
    return (
        f"agrees with float32 at {100 * difference.agreement:.2f} % of the pixels, and the largest difference of a "
        f"probability is {difference.largest:.3f}"
    )
