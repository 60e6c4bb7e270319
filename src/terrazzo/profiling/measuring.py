"""One network measured on every asked combination of device, precision, size, batch and steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product

import torch
from jaxtyping import Float

from terrazzo.errors import ConfigError
from terrazzo.machine import Execution, MachineSettings, configure
from terrazzo.models.architecture import Adaptive, Architecture, Cacheable, Network
from terrazzo.models.fusing import fuse_batch_norms
from terrazzo.models.halting import HaltingRule
from terrazzo.profiling.counting import Operations, Parameters, count_operations, count_parameters
from terrazzo.profiling.settings import ProfileSettings
from terrazzo.profiling.stepping import StepCosts, run_steps, step_costs
from terrazzo.profiling.timing import Latency, peak_memory, time_calls
from terrazzo.progress import Listener, Progress, silent

__all__ = ["Case", "Counted", "Measurement", "Profile", "measure"]


@dataclass(frozen=True)
class Case:
    """One combination.

    Attributes:
        device: Kind of device.
        precision: Arithmetic.
        height: Rows of an image.
        width: Columns of an image.
        batch: Images at once.
        steps: Steps after which the network stops; None where it has none.
    """

    device: str
    precision: str
    height: int
    width: int
    batch: int
    steps: int | None


@dataclass(frozen=True)
class Measurement:
    """What one combination took.

    Attributes:
        case: The combination.
        macs: Multiplications on one image of the batch.
        latency: Time of a batch; None where the device had too little memory.
        memory: Bytes at the peak; None where that cannot be known, or was too little.
    """

    case: Case
    macs: int
    latency: Latency | None
    memory: int | None

    @property
    def megapixels_per_s(self) -> float | None:
        """Millions of pixels a second, from the mean latency."""
        if self.latency is None:
            return None
        pixels = self.case.batch * self.case.height * self.case.width
        return pixels / 1e6 / (self.latency.mean_ms / 1e3)


@dataclass(frozen=True)
class Counted:
    """Multiplications on one image of a size.

    Attributes:
        height: Rows.
        width: Columns.
        operations: Of the whole network; of one that refines in steps, of all its steps.
        parts: Of its parts: encoder and decoder where features can be computed once.
        steps: Of the parts of a run in steps; None where it has none.
    """

    height: int
    width: int
    operations: Operations
    parts: Mapping[str, int] = field(default_factory=dict)
    steps: StepCosts | None = None


@dataclass(frozen=True)
class Profile:
    """What a network costs.

    Attributes:
        parameters: Numbers that it holds.
        fused: Batch norms that were taken into convolutions.
        counted: Multiplications for each size.
        measurements: Each combination.
    """

    parameters: Parameters
    fused: int
    counted: tuple[Counted, ...]
    measurements: tuple[Measurement, ...]


def measure(
    architecture: Architecture,
    *,
    bands: int,
    classes: int,
    settings: ProfileSettings,
    machine: MachineSettings,
    listener: Listener = silent,
) -> Profile:
    """Build a network with random weights, count its multiplications, and time it.

    Neither depends on the weights: a network that may stop early is made to stop where it is told.

    Args:
        architecture: What to build; pretrained weights are not read.
        bands: Input channels.
        classes: Output channels.
        settings: What is measured; its sizes are not empty.
        machine: Threads and determinism.
        listener: Receives progress.

    Raises:
        ConfigError: Steps are asked of a network that has none, or that it cannot stop after; a device or a precision
            does not exist here.
        ModelError: The architecture's settings do not fit together.
    """
    executions = _executions(settings, machine)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = architecture.without_pretraining().build(bands=bands, classes=classes)
    parameters = count_parameters(network)
    network.eval().requires_grad_(False)
    smallest = torch.zeros(1, bands, *min(settings.sizes))
    fused = fuse_batch_norms(network, smallest) if settings.fuse else 0
    rule = architecture.halting_rule
    steps = _steps(architecture, settings, rule)
    counted = tuple(_counted(network, torch.zeros(1, bands, *size), rule) for size in settings.sizes)
    work = {
        (size, stop): count_operations(_call(network, torch.zeros(1, bands, *size), stop, rule)).macs
        for size, stop in product(settings.sizes, steps)
    }
    cases = list(product(executions, settings.sizes, settings.batch_sizes, steps))
    measurements = []
    with Progress("profile", listener=listener, total=len(cases), unit="combinations") as progress:
        for execution, size, batch, stop in progress.each(cases):
            configure(machine.model_copy(update={"accelerator": execution.device, "precision": execution.precision}))
            image = torch.randn((batch, bands, *size), generator=torch.Generator().manual_seed(0))
            latency, memory = _timed(network, image, stop=stop, rule=rule, execution=execution, settings=settings)
            case = Case(execution.device, execution.precision, *size, batch, stop)
            measurements.append(Measurement(case, work[size, stop], latency, memory))
    return Profile(parameters, fused, counted, tuple(measurements))


def _executions(settings: ProfileSettings, machine: MachineSettings) -> list[Execution]:
    """Return what each device and precision comes to here, once each, before anything takes time."""
    found = [
        configure(machine.model_copy(update={"accelerator": device, "precision": precision}))
        for device, precision in product(
            settings.devices or (machine.accelerator,), settings.precisions or (machine.precision,)
        )
    ]
    return list(dict.fromkeys(found))


def _steps(architecture: Architecture, settings: ProfileSettings, rule: HaltingRule | None) -> list[int | None]:
    if rule is None:
        if settings.steps or settings.mean_steps is not None:
            raise ConfigError(f"{architecture.name} answers at once, not in steps; leave steps out.")
        return [None]
    outside = [step for step in settings.steps if not rule.first <= step <= rule.last]
    if outside:
        raise ConfigError(
            f"{architecture.name} stops between step {rule.first} and step {rule.last}, so not after "
            f"{', '.join(map(str, outside))}."
        )
    return list(dict.fromkeys(settings.steps or (rule.first, rule.last)))


def _counted(network: Network, image: Float[torch.Tensor, "1 band y x"], rule: HaltingRule | None) -> Counted:
    height, width = image.shape[-2:]
    if rule is not None and isinstance(network, Adaptive):
        operations = count_operations(_call(network, image, rule.last, rule))
        return Counted(height, width, operations, steps=step_costs(network, image, rule))
    operations = count_operations(lambda: network(image))
    if not isinstance(network, Cacheable):
        return Counted(height, width, operations)
    encoder = count_operations(lambda: network.encode(image))
    return Counted(height, width, operations, {"encoder": encoder.macs, "head": operations.macs - encoder.macs})


def _timed(
    network: Network,
    image: Float[torch.Tensor, "batch band y x"],
    *,
    stop: int | None,
    rule: HaltingRule | None,
    execution: Execution,
    settings: ProfileSettings,
) -> tuple[Latency | None, int | None]:
    """Return time and memory of a batch; nothing where the device has too little memory for it."""
    device = torch.device(execution.device)

    def run() -> torch.Tensor:
        reduced = execution.precision != "float32"
        with torch.inference_mode(), torch.autocast(device.type, dtype=execution.dtype, enabled=reduced):
            return call()

    try:
        network.to(device).to(memory_format=torch.channels_last)
        call = _call(network, image.to(device).contiguous(memory_format=torch.channels_last), stop, rule)
        # What a first pass sets up for good is no need of every pass.
        run()
        memory = peak_memory(run, device)
        return time_calls(run, device, warmup=settings.warmup - 1, repeats=settings.repeats), memory
    except torch.OutOfMemoryError:
        return None, None


def _call(
    network: Network, image: Float[torch.Tensor, "batch band y x"], stop: int | None, rule: HaltingRule | None
) -> Callable[[], torch.Tensor]:
    if stop is None or rule is None or not isinstance(network, Adaptive):
        return lambda: network(image).logits
    return lambda: run_steps(network, image, rule=rule, steps=stop)
