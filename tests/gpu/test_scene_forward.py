"""The network on a GPU: the same bits every time, near the processor's, and told when memory runs out."""

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import OutOfMemoryError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings, configure
from terrazzo.models import ARCHITECTURES
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.window_group import WindowGroup

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


def bundle_of(architecture: str, **settings: object) -> Bundle:
    record = ARCHITECTURES.create(architecture, **settings)
    torch.manual_seed(0)
    weights = record.build(bands=3, classes=4).state_dict()
    return Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue"))),
        classes=Classes(
            items=tuple(
                Class(name=f"class {number}", colour=f"#00000{number}", values=(number,)) for number in range(4)
            )
        ),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=64,
        resolution_m=None,
        weights=weights,
        training={},
        versions={},
        licence="",
    )


def forward_of(bundle: Bundle, device: str, *, batch: int = 4, **changes: object) -> WindowForward:
    plain = {"precision": "float32", "compiled": False, "threads": 1, "strip_pixels": 64}
    decisions = Decisions.model_validate(
        {**plain, "device": device, "batch_size": batch, "group_size": 4 * batch, **changes}
    )
    settings = PredictSettings()
    products = products_of(settings, classes=4, ignore=255)
    return WindowForward(bundle, settings, decisions, products, margin=0)


def group(count: int, side: int = 64) -> WindowGroup:
    image = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return WindowGroup(image, torch.ones(count, side, side, dtype=torch.bool), ((0, 0),) * count)


@pytest.mark.parametrize(("architecture", "settings"), [("hardnet68", {}), ("trm", {"width": 16, "t_max": 3})])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_bits_repeat_and_are_near_the_processors(architecture: str, settings: dict, precision: str) -> None:
    configure(MachineSettings(accelerator="cuda", matmul_precision="highest"))
    bundle = bundle_of(architecture, **settings)
    forward = forward_of(bundle, "cuda", precision=precision)
    first, again = (forward(group(6)).scores for _ in range(2))
    assert first.device.type == "cuda"
    assert torch.equal(first, again)
    assert torch.equal(first, forward_of(bundle, "cuda", precision=precision)(group(6)).scores)
    exact = forward_of(bundle, "cpu")(group(6)).scores
    tolerance = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}[precision]
    assert float((first.cpu() - exact).abs().max()) < tolerance


def test_the_time_of_the_gpu_is_measured_by_and_by() -> None:
    forward = forward_of(bundle_of("hardnet68"), "cuda")
    seconds = 0.0
    for _ in range(5):
        seconds += forward(group(4)).seconds
        torch.cuda.synchronize()
    assert seconds > 0


def test_memory_that_runs_out_is_told_and_a_smaller_batch_goes_on() -> None:
    bundle = bundle_of("hardnet68")
    forward = forward_of(bundle, "cuda", batch=4)
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(int(free * 0.98), dtype=torch.uint8, device="cuda")
    with pytest.raises(OutOfMemoryError):
        forward(group(4, side=4096))
    del held
    torch.cuda.empty_cache()
    assert forward(group(4)).scores.shape == (4, 4, 64, 64)
