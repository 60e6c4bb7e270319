"""Every asked combination is measured once, and nothing of the caller's is changed."""

from typing import Literal

import pytest
import torch
from torch import nn

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network
from terrazzo.models.output import Output
from terrazzo.profiling import ProfileSettings, measure, measuring
from terrazzo.profiling.measuring import Profile

MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)
pytestmark = pytest.mark.usefixtures("quiet_torch")


class TwoLayers(Architecture):
    """Two convolutions, a norm between them."""

    name: Literal["two_layers"] = "two_layers"

    def build(self, *, bands: int, classes: int) -> Network:
        return Layers(bands, classes)


class Layers(Network):
    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(bands, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, classes, 1)
        self.frozen = nn.Parameter(torch.zeros(5), requires_grad=False)

    def forward(self, image):
        return Output(self.last(self.norm(self.first(image)).relu()))


def measured(record: Architecture, **settings: object) -> Profile:
    quick = {"warmup": 1, "repeats": 1, "sizes": (16,), **settings}
    return measure(record, bands=3, classes=4, settings=ProfileSettings.model_validate(quick), machine=MACHINE)


def test_a_tiny_network_is_counted_as_by_hand() -> None:
    found = measured(TwoLayers(), sizes=(16, (8, 32)))
    hand = 256 * (8 * 27 + 4 * 8)
    assert [one.operations.macs for one in found.counted] == [hand, hand]
    assert found.parameters.trainable == 8 * 27 + 16 + 8 * 4 + 4
    assert found.parameters.frozen == 5
    assert found.fused == 1


def test_every_combination_is_measured_once_in_order() -> None:
    found = measured(TwoLayers(), sizes=(8, 16), batch_sizes=(1, 2), precisions=("float32", "bfloat16"))
    cases = [each.case for each in found.measurements]
    assert [(case.precision, case.height, case.batch) for case in cases] == [
        (precision, size, batch) for precision in ("float32", "bfloat16") for size in (8, 16) for batch in (1, 2)
    ]
    for each in found.measurements:
        assert each.latency is not None
        pixels = each.case.batch * each.case.height * each.case.width
        assert each.megapixels_per_s == pytest.approx(pixels / 1000 / each.latency.mean_ms)
        assert each.macs == each.case.height * each.case.width * (8 * 27 + 4 * 8)


def test_what_comes_to_the_same_is_measured_once() -> None:
    found = measured(TwoLayers(), precisions=("float32", "float32"), devices=("cpu", "cpu"))
    assert len(found.measurements) == 1


def test_norms_stay_where_that_is_asked() -> None:
    assert measured(TwoLayers(), fuse=False).fused == 0


def test_a_refiner_is_measured_at_its_least_and_largest_step() -> None:
    record = ARCHITECTURES.create("trm", width=8, t_min=2, t_max=4)
    found = measured(record)
    costs = found.counted[0].steps
    assert costs is not None
    assert [each.case.steps for each in found.measurements] == [2, 4]
    assert [each.macs for each in found.measurements] == [costs.macs(2), costs.macs(4)]
    assert found.counted[0].operations.macs == costs.macs(4)


@pytest.mark.parametrize("steps", [(1,), (2, 5)])
def test_steps_outside_the_rule_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="between step 2 and step 4"):
        measured(ARCHITECTURES.create("trm", width=8, t_min=2, t_max=4), steps=steps)


@pytest.mark.parametrize("asked", [{"steps": (2,)}, {"mean_steps": 2.0}])
def test_steps_of_a_network_without_them_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="answers at once"):
        measured(TwoLayers(), **asked)


def test_a_precision_that_the_device_lacks_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="float16 needs a GPU"):
        measured(TwoLayers(), precisions=("float32", "float16"))


def test_too_little_memory_leaves_a_gap_and_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measuring, "peak_memory", full)
    found = measured(TwoLayers())
    (each,) = found.measurements
    assert (each.latency, each.memory, each.megapixels_per_s) == (None, None, None)
    assert each.macs > 0


def test_the_callers_random_numbers_stay() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    measured(TwoLayers())
    assert torch.equal(torch.get_rng_state(), before)
