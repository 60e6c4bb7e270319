"""Claim: a whole training step with Muon takes at most 1.3x the time of one with AdamW.

Usage: python benchmarks/muon_step.py [--network unet_v2] [--batch 8] [--size 512] [--channels 1024] [--taps 4]
                                      [--updates 10] [--rounds 5] [--device auto] [--threads N]

The network is a head on features of DINOv3-L's geometry (four maps of 1024 channels at stride 16, random values, of
which a 512 x 512 image has 32 x 32), or `smp`, a Unet with resnet18. A step is forward, cross-entropy, backward,
clipping, update and clearing, in bfloat16 where the device has it in hardware; both optimisers take turns on the same
batch, each with its own copy of the network. Prints milliseconds a step (median of the rounds), how Muon divides the
parameters, and the ratio; exits 1 where the bar is missed.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Sequence

import torch
from torch.nn.utils import clip_grad_norm_

from terrazzo.losses import CrossEntropy
from terrazzo.machine import Execution, MachineSettings, configure
from terrazzo.models.architecture import Network
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.head import HEADS, Head
from terrazzo.models.output import Output
from terrazzo.models.smp import Smp
from terrazzo.training.muon import Muon
from terrazzo.training.objective import MEMORY_FORMAT
from terrazzo.training.optim import AdamW, Optimizer

BAR, CLASSES, STRIDE = 1.3, 6, 16


class OnFeatures(Network):
    """A head with its features at hand."""

    def __init__(self, head: torch.nn.Module, features: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.head = head
        self.features = list(features)

    def forward(self, image: torch.Tensor) -> Output:
        """Answer logits at the size of the input."""
        return self.head(image, self.features)

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of matrices that are no hidden layers."""
        return frozenset(f"head.{name}" for name in self.head.plain_parameters())


class Stepper:
    """Trains one copy of a network with one optimiser."""

    def __init__(self, network: Network, record: Optimizer, execution: Execution) -> None:
        self.network, self.execution, self.loss = copy.deepcopy(network).train(), execution, CrossEntropy()
        self.optimizer = record.build(self.network)

    def steps(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], count: int) -> float:
        """Take steps and return the milliseconds of each."""
        image, target, ignored = batch
        self._wait()
        begun = time.perf_counter()
        for _ in range(count):
            with torch.autocast(
                self.execution.device, dtype=self.execution.dtype, enabled=self.execution.precision != "float32"
            ):
                output = self.network(image)
            self.loss(output.floating(), target, ignored).backward()
            # Waits for the device, as the training loop does to see whether gradients are finite.
            float(clip_grad_norm_(self.network.parameters(), 1.0))
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self._wait()
        return (time.perf_counter() - begun) / count * 1e3

    def _wait(self) -> None:
        if self.execution.device == "cuda":
            torch.cuda.synchronize()


def network_of(arguments: argparse.Namespace, device: str) -> Network:
    torch.manual_seed(0)
    if arguments.network == "smp":
        return Smp(encoder="resnet18").build(bands=3, classes=CLASSES).to(device, memory_format=MEMORY_FORMAT)
    record = HEADS.create(arguments.network)
    assert isinstance(record, Head)
    layout = FeatureLayout((arguments.channels,) * arguments.taps, (STRIDE,) * arguments.taps, STRIDE)
    side = arguments.size // STRIDE
    features = [torch.randn(arguments.batch, arguments.channels, side, side) for _ in range(arguments.taps)]
    features = [maps.to(device, memory_format=MEMORY_FORMAT) for maps in features]
    head = record.build(layout, bands=3, classes=CLASSES).to(device, memory_format=MEMORY_FORMAT)
    return OnFeatures(head, features)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="unet_v2", help="name of a head, or smp")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=512, help="side of the image in pixels")
    parser.add_argument("--channels", type=int, default=1024, help="of each feature map")
    parser.add_argument("--taps", type=int, default=4, help="feature maps")
    parser.add_argument("--updates", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    execution = configure(MachineSettings(accelerator=arguments.device, threads=arguments.threads or "auto"))
    network, device = network_of(arguments, execution.device), execution.device
    size = (arguments.batch, arguments.size, arguments.size)
    image = torch.randn(arguments.batch, 3, *size[1:]).to(device, memory_format=MEMORY_FORMAT)
    target = torch.randint(CLASSES, size, device=device)
    batch = image, target, torch.zeros(size, dtype=torch.bool, device=device)
    steppers = {"adamw": Stepper(network, AdamW(), execution), "muon": Stepper(network, Muon(), execution)}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(
        f"{arguments.network}, {parameters:,} parameters, batch {arguments.batch} of {arguments.size} pixels, ", end=""
    )
    print(f"{execution.precision} on {device}, {execution.threads} threads, torch {torch.__version__}")
    print(Muon().explain(steppers["muon"].network).replace("; ", "\n"))
    for stepper in steppers.values():
        stepper.steps(batch, 2)
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(arguments.rounds):
        for name, stepper in steppers.items():
            times[name].append(stepper.steps(batch, arguments.updates))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["muon"] / medians["adamw"]
    spread = ", ".join(f"{name} {min(values):.1f} to {max(values):.1f}" for name, values in times.items())
    print(f"adamw {medians['adamw']:.1f} ms, muon {medians['muon']:.1f} ms a step ({spread}): {ratio:.2f}x, bar {BAR}x")
    raise SystemExit(0 if ratio <= BAR else 1)


if __name__ == "__main__":
    main()
