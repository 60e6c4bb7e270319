"""A network on trial: compared, measured, timed, compiled."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.scene import trial as trial_module
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.memory import memory_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.recorded import RecordedNetwork, Recording
from terrazzo.scene.sampled_windows import noise_windows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.trial import Trial

Bundles = Callable[..., Bundle]
Plans = Callable[..., ScenePlan]


@pytest.fixture
def make_trial(make_bundle: Bundles, make_plan: Plans) -> Callable[..., Trial]:
    def make(
        architecture: str = "probe_convolution",
        *,
        settings: dict[str, object] | None = None,
        precision: str = "float32",
        margin: int = 0,
        **asked: object,
    ) -> Trial:
        bundle = make_bundle(architecture, settings=settings)
        plan = make_plan((80, 80), margin=margin)
        wanted = PredictSettings(**asked)
        products = products_of(wanted, classes=3, ignore=255)
        plain = {"device": "cpu", "compiled": False, "threads": 1, "batch_size": 1, "group_size": 1, "strip_pixels": 64}
        decisions = Decisions.model_validate({**plain, "precision": precision})
        return Trial(bundle, plan, wanted, products, noise_windows(plan, count=2), decisions)

    return make


def test_float32_is_compared_with_nothing(make_trial: Callable[..., Trial]) -> None:
    assert make_trial().check() is None


def test_a_reduced_precision_is_compared_and_can_be_given_up(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(precision="bfloat16", settings={"depth": 3}, margin=2)
    difference = trial.check()
    assert difference is not None
    assert 0.9 < difference.agreement <= 1
    assert 0 < difference.largest < 0.05
    assert next(trial.forward()._network.parameters()).dtype == torch.bfloat16
    trial.return_to_float32()
    assert trial.decisions.precision == "float32"
    assert next(trial.forward()._network.parameters()).dtype == torch.float32
    assert trial.check() is None


def test_memory_is_measured_with_what_kernels_use(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    threads = torch.get_num_threads()
    trial.measure_memory()
    assert torch.get_num_threads() == threads
    # Logits and their soft-max of a window of 16 x 16, twice.
    assert trial.window_bytes >= 2 * 2 * 3 * 16 * 16 * 4
    assert trial.window_bytes < 2 * 20 * 3 * 16 * 16 * 4


def test_memory_is_counted_once_for_scenes_alike(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "_COUNTED", {})
    first = make_trial()
    first.measure_memory()
    counts: list[int] = []

    def count(call: Callable[[], object]) -> int:
        call()
        counts.append(1)
        return 12

    monkeypatch.setattr(trial_module, "pass_bytes", count)
    again = make_trial()
    again.measure_memory()
    assert again.window_bytes == first.window_bytes
    assert not counts
    other = make_trial(settings={"depth": 3})
    other.measure_memory()
    assert other.window_bytes == 24
    assert counts == [1]


def test_views_and_scales_count_in_the_rate(make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 1.0)
    monkeypatch.setattr(trial_module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    plain = make_trial()
    lanes = plain.lanes
    assert plain.rate(4) == pytest.approx(4 * lanes)
    turned = make_trial(views=("identity", "hflip"), scales=(1.0, 2.0))
    assert turned.rate(4) == pytest.approx(4 * lanes / (2 * (1 + 4)))


def test_groups_hold_batches_where_windows_stop_by_themselves(make_trial: Callable[..., Trial]) -> None:
    once = make_trial()
    once.settle(4)
    assert (once.decisions.batch_size, once.decisions.group_size) == (4, 4)
    steps = make_trial("trm", settings={"width": 4, "t_max": 2})
    steps.settle(4)
    assert (steps.decisions.batch_size, steps.decisions.group_size) == (4, 16)
    steps.settle(1)
    assert (steps.decisions.batch_size, steps.decisions.group_size) == (1, 1)


def test_a_batch_has_to_fit_the_memory(
    make_trial: Callable[..., Trial], make_plan: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial()
    trial.window_bytes = 10**6

    def needed(batch: int) -> int:
        products = products_of(PredictSettings(), classes=3, ignore=255)
        return memory_bytes(
            make_plan((80, 80)), products, batch_size=batch, group_size=batch, lanes=1, network_bytes=10**6
        )

    monkeypatch.setattr(trial_module, "free_memory", lambda: needed(8))
    assert trial.fits(8)
    assert not trial.fits(16)
    monkeypatch.setattr(trial_module, "free_memory", lambda: 10**15)
    assert trial.fits(256)
    assert not trial.fits(512)
    monkeypatch.setattr(trial_module, "resident_memory", lambda: 10**9 - needed(4))
    bounded = make_trial(memory_gib=10**9 / 2**30)
    bounded.window_bytes = 10**6
    assert bounded.fits(2)
    assert not bounded.fits(8)


def test_a_compiled_network_is_compared_kept_and_given_up(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: lambda image: call(image) * 1.5)
    trial = make_trial()
    trial.settle(2)
    difference = trial.compile()
    assert difference.largest > 0.01
    assert trial.decisions.compiled
    one = noise_windows(trial._plan, count=2)
    wrong = trial.forward()(one).scores
    trial.give_up_compiling()
    assert not trial.decisions.compiled
    right = trial.forward()(one).scores
    assert not torch.equal(wrong, right)


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_a_recorded_network_is_kept_where_its_bits_are_the_networks_own(
    gain: float,
    make_trial: Callable[..., Trial],
    recorder: Callable[..., Callable[..., Recording]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        trial_module, "RecordedNetwork", lambda network: RecordedNetwork(network, record=recorder(gain))
    )
    trial = make_trial()
    trial.settle(2)
    one = noise_windows(trial._plan, count=2)
    plain = trial.forward()(one).scores
    assert trial.record() == (gain == 1)
    assert trial.decisions.recorded == (gain == 1)
    assert isinstance(trial.forward()._network, RecordedNetwork) == (gain == 1)
    assert torch.equal(trial.forward()(one).scores, plain)


def test_the_network_comes_ready_with_every_view_and_lane(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(views=("identity", "hflip"), margin=3)
    forward = trial.forward()
    assert isinstance(forward, WindowForward)
    assert forward.lanes == trial.lanes
    assert len(forward._sights) == 2
    assert forward(noise_windows(trial._plan, count=1)).scores.shape == (1, 3, 16, 16)
