"""The network on groups of windows: margin, resize, views, steps, lanes, and answers that break the contract."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.data.augment.geometry import Resize
from terrazzo.errors import ConfigError, ModelError, OutOfMemoryError
from terrazzo.models.adaptive import refine
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.window_group import WindowGroup

Make = Callable[..., Bundle]
VIEWS = ("identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")


def group(count: int = 2, height: int = 12, width: int = 10, *, bands: int = 3) -> WindowGroup:
    image = torch.randn(count, bands, height, width, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(count, height, width, dtype=torch.bool)
    return WindowGroup(image, valid, tuple((0, number) for number in range(count)))


def part(whole: WindowGroup, *numbers: int) -> WindowGroup:
    chosen = list(numbers)
    return WindowGroup(whole.image[chosen], whole.valid[chosen], tuple(whole.windows[number] for number in chosen))


def decided(batch: int = 8, **changes: object) -> Decisions:
    plain = {
        "device": "cpu",
        "precision": "float32",
        "compiled": False,
        "threads": 1,
        "batch_size": batch,
        "group_size": 4 * batch,
        "strip_pixels": 64,
    }
    return Decisions.model_validate(plain | changes)


def forward_of(bundle: Bundle, *, margin: int = 0, decisions: Decisions | None = None, **settings: object):
    asked = PredictSettings(**settings)
    products = products_of(asked, classes=len(bundle.classes), ignore=bundle.classes.ignore)
    return WindowForward(bundle, asked, decisions or decided(), products, margin=margin)


def halting_bundle(make_bundle: Make, **settings: object) -> Bundle:
    """A refiner whose halting head was given weights, so that tiles stop at different steps."""
    bundle = make_bundle("trm", classes=4, settings={"width": 8, "t_min": 1, "t_max": 5, **settings})
    generator = torch.Generator().manual_seed(6)
    for name in ("halting.last.weight", "halting.hidden.weight"):
        if name in bundle.weights:
            bundle.weights[name].normal_(0, 3, generator=generator)
    bundle.weights["halting.last.bias"].zero_()
    return bundle


def test_probabilities_are_the_networks_own(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    found = forward_of(bundle)(group())
    torch.testing.assert_close(found.scores, bundle.network()(group().image).logits.softmax(1))
    assert found.scores.dtype == torch.float32
    assert found.scores.is_contiguous()
    assert found.steps == 0
    assert found.seconds > 0


def test_logits_are_the_networks_own_and_the_callers(make_bundle: Make) -> None:
    bundle = make_bundle("probe_identity")
    given = group()
    before = given.image.clone()
    scores = forward_of(bundle, blend="logits")(given).scores
    torch.testing.assert_close(scores, before)
    with torch.inference_mode():
        scores.zero_()
    assert torch.equal(given.image, before)


def test_the_margin_is_seen_and_cropped(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    found = forward_of(bundle, blend="logits", margin=2)(group()).scores
    torch.testing.assert_close(found, bundle.network()(group().image).logits[..., 2:-2, 2:-2])
    assert found.is_contiguous()


def test_a_group_is_answered_batch_by_batch(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    network = type(bundle.network())
    original, sizes = network.forward, []
    monkeypatch.setattr(network, "forward", lambda self, image: (sizes.append(len(image)), original(self, image))[1])
    whole = group(7)
    forward = forward_of(bundle, decisions=decided(batch=3), fuse=False)
    sizes.clear()
    found = forward(whole).scores
    assert sizes == [3, 3, 1]
    torch.testing.assert_close(found, forward_of(bundle, decisions=decided(batch=7))(whole).scores)


def test_a_compiled_network_always_sees_whole_batches(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(torch, "compile", lambda call, **_: lambda image: (sizes.append(len(image)), call(image))[1])
    bundle = make_bundle("probe_convolution", classes=4)
    whole = group(5)
    found = forward_of(bundle, decisions=decided(batch=3, compiled=True))(whole).scores
    assert sizes == [3, 3]
    torch.testing.assert_close(found, forward_of(bundle, decisions=decided(batch=5))(whole).scores)


def test_a_group_is_answered_the_same_in_any_lane(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 4})
    groups = [part(group(9, 33, 40), number, number + 1) for number in range(8)]
    forward = forward_of(bundle, decisions=decided(batch=2, precision="bfloat16"))
    answers = []
    for lanes in (1, 2, 4):
        with ThreadPoolExecutor(lanes) as pool:
            answers.append([answer.scores for answer in pool.map(forward, groups)])
    for one, two, four in zip(*answers, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, four)


def test_threads_of_a_pass_are_those_decided_whatever_the_process_has(make_bundle: Make) -> None:
    forward = forward_of(make_bundle("probe_identity"), decisions=decided(threads=2))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (forward(group()), torch.get_num_threads())[1]).result() == 2


def test_reduced_precision_answers_in_full(make_bundle: Make) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    reduced = forward_of(bundle, decisions=decided(precision="bfloat16"))(group()).scores
    full = forward_of(bundle)(group()).scores
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
    fused, plain = (forward_of(bundle, blend="logits", fuse=fuse) for fuse in (True, False))
    given = group(2, 40, 33)
    assert float((fused(given).scores - plain(given).scores).abs().max()) < 1e-4
    torch.testing.assert_close(plain(given).scores, bundle.network()(given.image).logits, atol=1e-4, rtol=0)
    counts = [
        sum(isinstance(module, torch.nn.BatchNorm2d) for module in one._network.modules()) for one in (fused, plain)
    ]
    assert counts == [0, 62]
    assert all(torch.equal(value, before[name]) for name, value in bundle.weights.items())
    again = forward_of(bundle, blend="logits")
    assert torch.equal(again(given).scores, fused(given).scores)


def test_a_resize_is_what_training_made_and_is_undone(make_bundle: Make) -> None:
    resize = Resize(height=6, width=20)
    bundle = make_bundle(resize=resize)
    found = forward_of(bundle, blend="logits")(group()).scores
    small, _ = resize.forward(group().image, group().valid)
    assert small.shape[-2:] == (6, 20)
    torch.testing.assert_close(found, resize.undo(small, (12, 10)))


def test_another_shape_is_an_error(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle("probe_constant")
    network = type(bundle.network())
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda self, image: forward(self, image[:, :, ::2]))
    with pytest.raises(ModelError, match=r"\(2, 3, 6, 10\) instead of \(2, 3, 12, 10\)"):
        forward_of(bundle)(group())


def test_memory_that_runs_out_is_told(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle("probe_constant")
    forward = forward_of(bundle)

    def fail(self: object, image: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(bundle.network()), "forward", fail)
    with pytest.raises(OutOfMemoryError, match="probe_constant on 8 windows at once"):
        forward(group())


@pytest.mark.parametrize("size", [(12, 12), (12, 10)])
def test_a_network_without_a_direction_answers_the_same_in_all_views(make_bundle: Make, size: tuple[int, int]) -> None:
    bundle = make_bundle("probe_convolution", classes=4, settings={"side": 1, "depth": 2})
    plain = forward_of(bundle)(group(2, *size)).scores
    turned = forward_of(bundle, views=VIEWS)(group(2, *size)).scores
    torch.testing.assert_close(turned, plain, atol=1e-6, rtol=0)


@pytest.mark.parametrize("blend", ["probabilities", "logits"])
def test_views_are_averaged_in_the_domain_of_the_blending(make_bundle: Make, blend: str) -> None:
    bundle = make_bundle("probe_convolution", classes=4)
    given = group()
    network = bundle.network()
    straight, mirrored = network(given.image).logits, network(given.image.flip(-1)).logits.flip(-1)
    assert not torch.allclose(straight, mirrored)
    if blend == "probabilities":
        straight, mirrored = straight.softmax(1), mirrored.softmax(1)
    found = forward_of(bundle, blend=blend, views=("identity", "hflip"))(given).scores
    torch.testing.assert_close(found, (straight + mirrored) / 2)


def test_a_margin_is_cropped_from_every_view(make_bundle: Make) -> None:
    bundle = make_bundle("probe_identity")
    found = forward_of(bundle, blend="logits", margin=3, views=VIEWS)(group()).scores
    torch.testing.assert_close(found, group().image[..., 3:-3, 3:-3])


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_scales_leave_a_plane_where_it_lies(make_bundle: Make, scale: float) -> None:
    bundle = make_bundle("probe_identity")
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    image = torch.stack([y, x, y - x])[None]
    given = WindowGroup(image, torch.ones(1, 16, 24, dtype=torch.bool), ((0, 0),))
    found = forward_of(bundle, blend="logits", scales=(scale,), views=("rot90",))(given).scores
    inside = (..., slice(4, -4), slice(4, -4))
    # Half a pixel off would be 0.5 here; only the borders are held by the resampling.
    torch.testing.assert_close(found[inside], image[inside], atol=1e-4, rtol=0)


def test_steps_are_those_of_a_run_by_itself(make_bundle: Make) -> None:
    bundle = halting_bundle(make_bundle)
    rule = bundle.architecture.halting_rule
    given = group(10, 24, 20)
    with torch.inference_mode():
        alone = refine(bundle.network(), given.image, rule=rule)
    assert len(set(alone.steps.tolist())) > 2
    found = forward_of(bundle, layers=("steps",), decisions=decided(batch=3), fuse=False)(given)
    assert found.scores.shape == (10, 5, 24, 20)
    assert torch.equal(found.scores[:, 4], alone.steps[:, None, None].expand(-1, 24, 20).float())
    assert found.steps == float(alone.steps.sum())
    torch.testing.assert_close(found.scores[:, :4], alone.logits.softmax(1), atol=1e-5, rtol=1e-4)
    assert forward_of(bundle)(given).scores.shape == (10, 4, 24, 20)


@pytest.mark.parametrize("cells", [False, True])
def test_a_windows_bits_do_not_depend_on_when_it_entered(make_bundle: Make, cells: bool) -> None:
    bundle = halting_bundle(make_bundle, pixel_act=cells)
    given = group(6, 24, 20)
    forward = forward_of(bundle, layers=("steps",), decisions=decided(batch=2))
    whole = forward(given).scores
    order = (4, 2, 5, 0, 3, 1)
    torch.testing.assert_close(forward(part(given, *order)).scores, whole[list(order)], atol=2e-6, rtol=0)
    single = forward_of(bundle, layers=("steps",), decisions=decided(batch=1))
    among = single(given).scores
    for number in range(6):
        assert torch.equal(single(part(given, number)).scores[0], among[number])


def test_steps_of_cells_are_mapped_cell_by_cell(make_bundle: Make) -> None:
    bundle = halting_bundle(make_bundle, pixel_act=True)
    given = group(1, 22, 18)
    network, rule = bundle.network(), bundle.architecture.halting_rule
    expected = torch.zeros(1, 6, 5)
    with torch.inference_mode():
        state = network.start(given.image)
        for step in range(1, rule.last + 1):
            expected += 1 if state.frozen is None else ~state.frozen
            state = network.step(state)
            if step < rule.last:
                state = network.freeze(state, rule.threshold)
            if bool(state.frozen.all()):
                break
    assert len(expected.unique()) > 1
    pixels = expected.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :22, :18]
    found = forward_of(bundle, layers=("steps",), margin=3)(given).scores[:, 4]
    assert torch.equal(found, pixels[:, 3:-3, 3:-3])


def test_steps_and_views_go_together(make_bundle: Make) -> None:
    bundle = halting_bundle(make_bundle, pixel_act=True)
    given = group(3, 24, 20)
    straight = forward_of(bundle, layers=("steps",))(given)
    turned = WindowGroup(given.image.rot90(1, (2, 3)), given.valid.rot90(1, (1, 2)), given.windows)
    other = forward_of(bundle, layers=("steps",))(turned)
    both = forward_of(bundle, layers=("steps",), views=("identity", "rot90"))(given)
    torch.testing.assert_close(both.scores, (straight.scores + other.scores.rot90(-1, (2, 3))) / 2)
    assert both.steps == (straight.steps + other.steps) / 2


def test_the_threshold_and_the_most_steps_are_obeyed(make_bundle: Make) -> None:
    bundle = halting_bundle(make_bundle)
    given = group(4, 24, 20)
    assert forward_of(bundle, tau=0.0)(given).steps == 4
    assert forward_of(bundle, tau=1.0)(given).steps == 20
    assert forward_of(bundle, tau=1.0, steps=3)(given).steps == 12


def test_steps_of_a_network_without_any_are_refused(make_bundle: Make) -> None:
    for asked in ({"tau": 0.5}, {"steps": 2}, {"layers": ("steps",)}):
        with pytest.raises(ConfigError, match="answers at once"):
            forward_of(make_bundle("probe_constant"), **asked)
