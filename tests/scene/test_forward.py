"""The network on a batch: layout, margin, resize, and answers that break the contract."""

from collections.abc import Callable

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.data.augment.geometry import Resize
from terrazzo.errors import ModelError
from terrazzo.machine import Execution
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.reader import WindowBatch

Make = Callable[..., Bundle]

FULL = Execution("cpu", "float32", 1, 0)


def batch(height: int = 12, width: int = 10) -> WindowBatch:
    image = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    return WindowBatch(image, torch.ones(2, height, width, dtype=torch.bool), 0, (0, 1))


def test_probabilities_are_the_networks_own(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    found = WindowForward(bundle, FULL, blend="probabilities", margin=0)(batch())
    torch.testing.assert_close(found, bundle.network()(batch().image).logits.softmax(1))
    assert found.dtype == torch.float32
    assert found.is_contiguous()


def test_logits_are_the_networks_own(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    found = WindowForward(bundle, FULL, blend="logits", margin=0)(batch())
    torch.testing.assert_close(found, bundle.network()(batch().image).logits)


def test_the_margin_is_seen_and_cropped(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    found = WindowForward(bundle, FULL, blend="logits", margin=2)(batch())
    torch.testing.assert_close(found, bundle.network()(batch().image).logits[..., 2:-2, 2:-2])


def test_reduced_precision_answers_in_full(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    reduced = WindowForward(bundle, Execution("cpu", "bfloat16", 1, 0), blend="probabilities", margin=0)(batch())
    full = WindowForward(bundle, FULL, blend="probabilities", margin=0)(batch())
    assert reduced.dtype == torch.float32
    assert not torch.equal(reduced, full)
    torch.testing.assert_close(reduced, full, atol=0.02, rtol=0)
    torch.testing.assert_close(reduced.sum(1), torch.ones(2, 12, 10))


def test_batch_norms_are_taken_in_and_the_bundle_stays(make_bundle: Make) -> None:
    bundle = make_bundle("hardnet68", classes=4)
    generator = torch.Generator().manual_seed(2)
    for name, value in bundle.weights.items():
        if name.endswith(("running_mean", "norm.bias")):
            value.normal_(0, 0.3, generator=generator)
    before = {name: value.clone() for name, value in bundle.weights.items()}
    fused, plain = (WindowForward(bundle, FULL, blend="logits", margin=0, fuse=fuse) for fuse in (True, False))
    given = batch(40, 33)
    assert float((fused(given) - plain(given)).abs().max()) < 1e-4
    torch.testing.assert_close(plain(given), bundle.network()(given.image).logits, atol=1e-4, rtol=0)
    counts = [
        sum(isinstance(module, torch.nn.BatchNorm2d) for module in one._network.modules()) for one in (fused, plain)
    ]
    assert counts == [0, 62]
    assert all(torch.equal(value, before[name]) for name, value in bundle.weights.items())
    again = WindowForward(bundle, FULL, blend="logits", margin=0)
    assert torch.equal(again(given), fused(given))


def test_a_resize_is_what_training_made_and_is_undone(make_bundle: Make) -> None:
    resize = Resize(height=6, width=20)
    bundle = make_bundle(resize=resize)
    found = WindowForward(bundle, FULL, blend="logits", margin=0)(batch())
    small, _ = resize.forward(batch().image, batch().valid)
    assert small.shape[-2:] == (6, 20)
    torch.testing.assert_close(found, resize.undo(small, (12, 10)))


def test_another_shape_is_an_error(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle("probe_constant")
    network = type(bundle.network())
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda self, image: forward(self, image[:, :, ::2]))
    with pytest.raises(ModelError, match=r"\(2, 3, 6, 10\) instead of \(2, 3, 12, 10\)"):
        WindowForward(bundle, FULL, blend="probabilities", margin=0)(batch())
