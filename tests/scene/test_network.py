"""A network made ready: fused, reduced, compiled, or told why not."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch._dynamo.exc import InternalTorchDynamoError
from torch._inductor.exc import InductorError

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.models.output import Output
from terrazzo.scene.header import Decisions
from terrazzo.scene.network import CompiledNetwork, fused_network, prepared_network

Make = Callable[..., Bundle]


def decided(**changes: object) -> Decisions:
    plain = {"device": "cpu", "precision": "float32", "compiled": False, "threads": 1, "batch_size": 1}
    return Decisions.model_validate({**plain, "group_size": 1, "strip_pixels": 64, **changes})


def types_of(network: torch.nn.Module) -> set[torch.dtype]:
    return {one.dtype for one in network.parameters()}


def test_norms_are_fused_where_asked(make_bundle: Make) -> None:
    bundle = make_bundle("trm_deepglobe", settings={"width": 4}, classes=4)
    norms = [
        sum(isinstance(module, torch.nn.BatchNorm2d) for module in fused_network(bundle, fuse=fuse).modules())
        for fuse in (True, False)
    ]
    assert norms[0] == 0
    assert norms[1] > 0


def test_weights_lie_as_convolutions_want_them_and_in_the_decided_type(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    full = prepared_network(bundle, decided(), fuse=True)
    assert types_of(full) == {torch.float32}
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in full.parameters() if one.ndim == 4)
    reduced = prepared_network(bundle, decided(precision="bfloat16"), fuse=True)
    assert types_of(reduced) == {torch.bfloat16}
    assert {one.dtype for one in bundle.weights.values()} == {torch.float32}


def test_a_network_at_hand_is_taken_over(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    network = fused_network(bundle, fuse=True)
    assert prepared_network(bundle, decided(precision="bfloat16"), fuse=True, network=network) is network
    assert types_of(network) == {torch.bfloat16}


def test_parts_that_compute_in_full_keep_the_whole_network_right(make_bundle: Make) -> None:
    bundle = make_bundle("trm", settings={"width": 4, "t_max": 2}, classes=3)
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    plain = bundle.network().to(memory_format=torch.channels_last)
    reduced = prepared_network(bundle, decided(precision="bfloat16"), fuse=False)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        image = image.contiguous(memory_format=torch.channels_last)
        assert torch.equal(plain(image).logits, reduced(image).logits)


def test_a_network_of_steps_is_not_compiled(make_bundle: Make) -> None:
    with pytest.raises(ModelError, match="answers in steps and cannot be compiled"):
        prepared_network(make_bundle("trm", settings={"width": 4}), decided(compiled=True), fuse=True)


def test_a_network_is_compiled_once_for_one_shape(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(torch, "compile", lambda call, **settings: (asked.append(settings), call)[1])
    bundle = make_bundle("probe_convolution", classes=4)
    compiled = prepared_network(bundle, decided(compiled=True), fuse=True)
    assert isinstance(compiled, CompiledNetwork)
    image = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(compiled(image).logits, bundle.network()(image).logits)
    assert prepared_network(bundle, decided(compiled=True), fuse=True, network=compiled) is compiled
    assert asked == [{"dynamic": False}]


@pytest.mark.slow
def test_torch_compiles_it_and_threads_share_that() -> None:
    # In a process of its own: the checks of types that tests switch on cannot be traced.
    script = """
import functools, torch
from concurrent.futures import ThreadPoolExecutor
torch.compile = functools.partial(torch.compile, backend="eager")
from terrazzo.models import Network, Output
from terrazzo.scene.network import CompiledNetwork

class Doubling(Network):
    def forward(self, image):
        return Output(image * 2)

network = CompiledNetwork(Doubling())
image = torch.randn(2, 3, 8, 8)

def answer(_):
    with torch.inference_mode():
        return network(image).logits

with ThreadPoolExecutor(3) as pool:
    answers = list(pool.map(answer, range(6)))
assert all(torch.equal(one, image * 2) for one in answers)
from torch._dynamo.utils import counters
print(counters["stats"]["unique_graphs"])
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "1"), found.stderr


@pytest.mark.parametrize("kind", [InternalTorchDynamoError, InductorError])
def test_a_network_that_cannot_be_compiled_says_so(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "no compiler here\nand much more")
    monkeypatch.setattr(kind, "__str__", lambda self: self.args[0])

    def fail(image: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(torch, "compile", lambda _call, **_: fail)
    compiled = CompiledNetwork(make_bundle("probe_convolution", classes=4).network())
    with pytest.raises(ModelError, match=r"compiled here: no compiler here\. Set predict\.compile=false"):
        compiled(torch.randn(1, 3, 16, 16))


def test_an_error_of_the_network_itself_stays_what_it_is(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    network = make_bundle("probe_convolution", classes=4).network()

    def fail(image: torch.Tensor) -> Output:
        raise ValueError("not an image")

    monkeypatch.setattr(network, "forward", fail)
    with pytest.raises(ValueError, match="not an image"):
        CompiledNetwork(network)(torch.randn(1, 3, 16, 16))
