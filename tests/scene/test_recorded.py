"""Passes that are recorded once and replayed: the network's own bits, whatever else was seen between."""

from collections.abc import Callable

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.models.architecture import Network
from terrazzo.scene import recorded as recorded_module
from terrazzo.scene.header import Decisions
from terrazzo.scene.network import prepared_network
from terrazzo.scene.recorded import RecordedNetwork, Recording

Make = Callable[..., Bundle]
Recorder = Callable[..., Callable[..., Recording]]


@pytest.fixture
def network(make_bundle: Make) -> Network:
    return make_bundle("probe_convolution", classes=4).network()


def images(*shape: int, count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def test_every_image_is_answered_as_by_the_network(network: Network, recorder: Recorder) -> None:
    calls: list[torch.Size] = []
    recorded = RecordedNetwork(network, record=recorder(calls=calls))
    with torch.inference_mode():
        for image in (*images(2, 3, 16, 16), *images(1, 3, 16, 16), *images(2, 3, 16, 16)):
            assert torch.equal(recorded(image).logits, network(image).logits)
    assert calls == [(2, 3, 16, 16), (1, 3, 16, 16)]


def test_an_answer_is_the_callers_own(network: Network, recorder: Recorder) -> None:
    recorded = RecordedNetwork(network, record=recorder())
    one, two = images(1, 3, 16, 16, count=2)
    with torch.inference_mode():
        first = recorded(one).logits
        kept = first.clone()
        recorded(two)
        assert torch.equal(first, kept)


def test_further_shapes_are_answered_without_recordings(
    network: Network, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "_MOST_RECORDINGS", 2)
    calls: list[torch.Size] = []
    recorded = RecordedNetwork(network, record=recorder(calls=calls))
    with torch.inference_mode():
        for side in (8, 12, 16, 16, 8):
            (image,) = images(1, 3, side, side, count=1)
            assert torch.equal(recorded(image).logits, network(image).logits)
    assert calls == [(1, 3, 8, 8), (1, 3, 12, 12)]


def test_autocast_keeps_no_weights_of_a_recording(network: Network, recorder: Recorder) -> None:
    seen: list[tuple[bool, bool, torch.dtype]] = []

    def record(answer: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> Recording:
        cached = torch.is_autocast_cache_enabled()
        seen.append((torch.is_autocast_enabled("cpu"), cached, torch.get_autocast_dtype("cpu")))
        return recorder()(answer, image)

    (image,) = images(1, 3, 16, 16, count=1)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        RecordedNetwork(network, record=record)(image)
    with torch.inference_mode():
        RecordedNetwork(network, record=record)(image)
    assert seen[0] == (True, False, torch.bfloat16)
    assert seen[1][:2] == (False, False)


def test_what_cannot_be_recorded_says_why(network: Network) -> None:
    def refuse(_answer: object, _image: torch.Tensor) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing.\nCompile with ...")

    (image,) = images(1, 3, 16, 16, count=1)
    with pytest.raises(ModelError, match=r"not permitted when stream is capturing\. Set predict\.cuda_graphs=false"):
        RecordedNetwork(network, record=refuse)(image)


def test_exhausted_memory_stays_what_it_is(network: Network) -> None:
    def exhaust(_answer: object, _image: torch.Tensor) -> Recording:
        raise torch.OutOfMemoryError("no room")

    (image,) = images(1, 3, 16, 16, count=1)
    with pytest.raises(torch.OutOfMemoryError):
        RecordedNetwork(network, record=exhaust)(image)


def test_a_network_of_steps_is_not_recorded(make_bundle: Make) -> None:
    decisions = Decisions(
        device="cpu", precision="float32", compiled=False, recorded=True, threads=1, batch_size=1, group_size=1,
        strip_pixels=64,
    )  # fmt: skip
    with pytest.raises(ModelError, match="differ from batch to batch"):
        prepared_network(make_bundle("trm", settings={"width": 4}), decisions, fuse=True)
    recorded = prepared_network(make_bundle("probe_convolution", classes=4), decisions, fuse=True)
    assert isinstance(recorded, RecordedNetwork)
    assert prepared_network(make_bundle("probe_convolution"), decisions, fuse=True, network=recorded) is recorded


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_on_a_gpu_the_bits_are_the_networks_own(network: Network, precision: torch.dtype) -> None:
    network = network.to("cuda", memory_format=torch.channels_last)
    recorded = RecordedNetwork(network)
    with torch.inference_mode(), torch.autocast("cuda", precision, enabled=precision != torch.float32):
        for image in (*images(2, 3, 64, 64), *images(1, 3, 32, 32)):
            image = image.to("cuda").contiguous(memory_format=torch.channels_last)
            assert torch.equal(recorded(image).logits, network(image).logits)
