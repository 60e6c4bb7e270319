"""A worker: strips in, finished files out; the same bits however the work is dealt, and an end at once on any error."""

import random
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError, ModelError
from terrazzo.scene import PredictSettings
from terrazzo.scene.assemble import finished_rows
from terrazzo.scene.blend import StripBlender
from terrazzo.scene.device_work import HostCopy
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.reader import Unreadable, read_strips
from terrazzo.scene.strip_file import StripRecord, StripWriter
from terrazzo.scene.strips import Strip
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores, strip_key, work

Plan = Callable[..., ScenePlan]
Source = Callable[..., object]
Network = Callable[[WindowGroup], torch.Tensor]

PLAIN = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
PATIENCE = 30.0
"""Seconds after which a job counts as hung."""


class Answering:
    """A network of known answers."""

    device = torch.device("cpu")

    def __init__(self, network: Network, *, lanes: int = 1, steps: float = 0.0) -> None:
        self.lanes = lanes
        self._network = network
        self._steps = steps

    def __call__(self, group: WindowGroup) -> WindowScores:
        return WindowScores(self._network(group), steps=self._steps * len(group.windows), seconds=0.25)


def identity(group: WindowGroup) -> torch.Tensor:
    return group.image.clone()


def quarrelsome(group: WindowGroup) -> torch.Tensor:
    """Answer every window differently, whatever group it comes in: neighbours disagree as much as they can."""
    shape = group.image.shape[1:]
    scores = [
        torch.rand(shape, generator=torch.Generator().manual_seed(1000 * row + column)) for row, column in group.windows
    ]
    return torch.stack(scores)


def noise(plan: ScenePlan) -> np.ndarray:
    shape = (len(plan.bands), plan.grid.height, plan.grid.width)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def products(*layers: str, **more: object) -> Products:
    return products_of(PredictSettings(layers=layers, **more), classes=3, ignore=255)


def compute(
    plan: ScenePlan,
    source: object,
    forward: Answering,
    wanted: Products,
    folder: Path,
    *,
    strips: Iterable[Strip] | None = None,
    group_size: int = 4,
    **more: object,
) -> dict[int, StripRecord]:
    records: dict[int, StripRecord] = {}
    work(
        plan,
        source,
        plan.strips if strips is None else strips,
        forward,
        wanted,
        **{
            "normalisation": PLAIN,
            "group_size": group_size,
            "header_key": "header",
            "folder": folder,
            "done": lambda record: records.__setitem__(record.strip, record),
            **more,
        },
    )
    return records


def joined(plan: ScenePlan, records: dict[int, StripRecord], wanted: Products, folder: Path) -> dict[str, np.ndarray]:
    parts = list(finished_rows(plan.strips, records.__getitem__, folder, wanted))
    heights = [part.products["class"].shape[1] for part in parts]
    assert [part.y for part in parts] == np.cumsum([0, *heights])[:-1].tolist()
    return {name: np.concatenate([part.products[name] for part in parts], axis=1) for name in parts[0].products}


def scores_of(plan: ScenePlan, source: object, network: Network) -> torch.Tensor:
    """Return the blended scores themselves, before anything is decided."""
    blender = StripBlender(plan.rows, plan.columns, channels=3, classes=3, device=torch.device("cpu"))
    found = torch.zeros(3, plan.grid.height, plan.grid.width)
    for strip in plan.strips:
        blender.begin(strip)
        for item in read_strips(plan, source, [strip], PLAIN, group_size=3):
            if isinstance(item, WindowGroup):
                for (row, column), scores in zip(item.windows, network(item), strict=True):
                    piece = blender.add(row, column, scores, torch.ones(scores.shape[1:], dtype=torch.bool))
                    if piece is not None:
                        _, height, width = piece.scores.shape
                        found[:, piece.y : piece.y + height, piece.x : piece.x + width] = piece.scores
        above, below = blender.edges()
        found[:, strip.above] += above
        found[:, strip.below] += below
    return found


def in_time(call: Callable[[], object]) -> None:
    """Call in a thread; raise what it raises, and fail where it does not end."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed over and raised by the test
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the job hangs"
    if raised:
        raise raised[0]


class TestBits:
    LAYERS = ("confidence", "entropy", "margin", "probabilities")

    def test_do_not_depend_on_strips_groups_lanes_order_or_restarts(
        self, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        wanted = products(*self.LAYERS)
        maps = []
        for number, (pixels, group_size, lanes, parts) in enumerate(
            [(10**6, 4, 1, 1), (1, 1, 1, 1), (28, 3, 3, 1), (28, 64, 2, 2), (45, 7, 2, 3), (16, 5, 1, 4)]
        ):
            plan = make_plan((93, 70), strip_pixels=pixels)
            strips = list(plan.strips)
            random.Random(number).shuffle(strips)
            folder = tmp_path / str(number)
            folder.mkdir()
            records: dict[int, StripRecord] = {}
            for part in range(parts):
                forward = Answering(quarrelsome, lanes=lanes)
                source = make_source(plan, noise(plan), part=3 + part)
                records |= compute(
                    plan, source, forward, wanted, folder, strips=strips[part::parts], group_size=group_size
                )
            maps.append(joined(plan, records, wanted, folder))
        for found in maps[1:]:
            for name, values in found.items():
                np.testing.assert_array_equal(values, maps[0][name], err_msg=name)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 70), (16, 16), (17, 16), (31, 33), (93, 20)])
    @pytest.mark.parametrize("overlap", [0.0, 0.125, 0.5])
    def test_are_those_of_the_whole_array_in_double_precision(
        self, shape: tuple[int, int], overlap: float, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        plan = make_plan(shape, overlap=overlap, strip_pixels=16)
        wanted = products("confidence", "probabilities", probability_type="float16")
        records = compute(plan, make_source(plan, noise(plan)), Answering(quarrelsome), wanted, tmp_path)
        found = joined(plan, records, wanted, tmp_path)
        expected = np.zeros((3, *shape))
        for row, y in enumerate(plan.rows.starts):
            for column, x in enumerate(plan.columns.starts):
                image = torch.zeros(1, 3, plan.rows.size, plan.columns.size)
                group = WindowGroup(image, torch.ones(1, *image.shape[2:], dtype=torch.bool), ((row, column),))
                weight = np.outer(plan.rows.weights(row), plan.columns.weights(column))
                expected[:, y : y + plan.rows.size, x : x + plan.columns.size] += weight * quarrelsome(group)[0].numpy()
        top_two = np.sort(expected, axis=0)[-2:]
        clear = top_two[1] - top_two[0] > 1e-5
        np.testing.assert_array_equal(found["class"][0][clear], expected.argmax(0)[clear])
        assert np.abs(found["confidence"][0] - 254 * top_two[1]).max() <= 0.501
        np.testing.assert_allclose(found["probabilities"].astype(float), expected, rtol=1e-3, atol=1e-6)
        exact = scores_of(plan, make_source(plan, noise(plan)), quarrelsome)
        np.testing.assert_allclose(exact.numpy(), expected, atol=1e-6)

    def test_a_scene_that_begins_a_stride_later_gives_the_same_map_there(
        self, make_plan: Plan, make_source: Source
    ) -> None:
        convolution = torch.nn.Conv2d(3, 3, 5, padding=2)

        def network(group: WindowGroup) -> torch.Tensor:
            with torch.inference_mode():
                return torch.cat([convolution(image[None]) for image in group.image]).softmax(1)

        whole = make_plan((16 + 14 * 4, 16 + 14 * 3), strip_pixels=28)
        values = noise(whole)
        later = make_plan((16 + 14 * 3, 16 + 14 * 2), strip_pixels=28)
        found = scores_of(whole, make_source(whole, values), network)
        moved = scores_of(later, make_source(later, values[:, 14:, 14:]), network)
        # Where the first window fades in, only the whole scene mixes two.
        assert torch.equal(found[:, 16:, 16:], moved[:, 2:, 2:])

    def test_a_margin_of_half_the_receptive_field_gives_full_image_inference(
        self, make_plan: Plan, make_source: Source
    ) -> None:
        torch.manual_seed(0)
        layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, dilation=2), torch.nn.Conv2d(8, 3, 3)
        )
        plan = make_plan((45, 61), margin=4, strip_pixels=28)
        values = noise(plan)

        def network(group: WindowGroup) -> torch.Tensor:
            # Padded with zeros to keep its size, as networks do; the margin takes away what that spoils.
            with torch.inference_mode():
                padded = torch.nn.functional.pad(group.image, (4, 4, 4, 4))
                return layers(padded)[..., 4:-4, 4:-4].softmax(1)

        with torch.inference_mode():
            around = torch.nn.functional.pad(torch.from_numpy(values)[None], (4, 4, 4, 4), mode="reflect")
            expected = layers(around)[0].softmax(0)
        found = scores_of(plan, make_source(plan, values), network)
        assert float((found - expected).abs().max()) <= 1e-4

    def test_an_identity_reproduces_the_image_and_a_constant_stays(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((93, 70), overlap=0.4)
        values = noise(plan)
        found = scores_of(plan, make_source(plan, values), identity)
        np.testing.assert_allclose(found.numpy(), values, atol=1e-6)
        found = scores_of(plan, make_source(plan, np.full_like(values, 0.3)), identity)
        np.testing.assert_allclose(found.numpy(), 0.3, atol=1e-6)


class TestMissing:
    def test_pixels_hold_the_missing_value_and_their_neighbours_no_trace_of_them(
        self, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        plan = make_plan((93, 70), strip_pixels=28)
        valid = np.ones((93, 70), dtype=bool)
        valid[20:75, 10:60] = False
        valid[:30, 50:] = False
        valid[80, 3] = False
        wanted = products("confidence", "entropy")
        maps, figures = [], []
        for number, mask in enumerate((np.ones_like(valid), valid)):
            folder = tmp_path / str(number)
            folder.mkdir()
            records = compute(plan, make_source(plan, noise(plan), mask), Answering(quarrelsome), wanted, folder)
            maps.append(joined(plan, records, wanted, folder))
            figures.append([record.figures for record in records.values()])
        for name in ("class", "confidence", "entropy"):
            np.testing.assert_array_equal(maps[1][name][0][valid], maps[0][name][0][valid])
            assert (maps[1][name][0][~valid] == 255).all()
        skipped = sum(one.skipped for one in figures[1])
        assert skipped > 0
        assert sum(one.windows for one in figures[1]) == plan.windows - skipped

    def test_a_scene_without_any_measurement_asks_the_network_nothing(
        self, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        def network(_: WindowGroup) -> torch.Tensor:
            raise AssertionError("asked")

        plan = make_plan((60, 40), strip_pixels=28)
        source = make_source(plan, noise(plan), np.zeros((60, 40), dtype=bool))
        wanted = products("confidence")
        records = compute(plan, source, Answering(network), wanted, tmp_path)
        found = joined(plan, records, wanted, tmp_path)
        assert (found["class"] == 255).all()
        assert (found["confidence"] == 255).all()


class TestRecords:
    def test_figures_add_up(self, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((93, 70), strip_pixels=28)
        valid = np.ones((93, 70), dtype=bool)
        valid[:40, :40] = False
        source = make_source(plan, noise(plan), valid)
        source.unreadable.append(Unreadable(1, 2, 3, 4, "gone"))
        heard: list[int] = []
        records = compute(plan, source, Answering(quarrelsome, steps=2.5), products(), tmp_path, advance=heard.append)
        figures = [records[number].figures for number in range(len(plan.strips))]
        windows = sum(one.windows for one in figures)
        assert windows + sum(one.skipped for one in figures) == plan.windows == sum(heard)
        assert sum(one.steps for one in figures) == pytest.approx(2.5 * windows)
        groups = sum(-(-one.windows // 4) for one in figures)
        assert sum(one.busy_seconds for one in figures) == pytest.approx(0.25 * groups)
        assert [one.unreadable for one in figures] == [((1, 2, 3, 4, "gone"),), *[()] * (len(figures) - 1)]
        assert all(one.seconds > 0 for one in figures)
        fades = [agreement for one in figures for agreement in one.agreements]
        assert {side for _, _, side, _, _ in fades} == {"left", "above"}
        assert all(0 <= differing <= compared for *_, differing, compared in fades)
        # Random answers of three classes differ in two of three pixels.
        assert sum(one[3] for one in fades) / sum(one[4] for one in fades) == pytest.approx(2 / 3, abs=0.05)

    def test_come_in_the_order_of_the_strips_with_the_key_of_their_pixels(
        self, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        plan = make_plan((93, 70), strip_pixels=28)
        order = [2, 0, 3, 1]
        strips = [plan.strips[number] for number in order]
        records = compute(
            plan, make_source(plan, noise(plan)), Answering(identity), products(), tmp_path, strips=strips
        )
        assert list(records) == order
        assert len({record.key for record in records.values()}) == 4
        again = compute(plan, make_source(plan, noise(plan)), Answering(identity), products(), tmp_path)
        assert {number: record.key for number, record in again.items()} == {
            number: record.key for number, record in records.items()
        }
        other = noise(plan)
        other[0, 0, 0] += 1
        changed = compute(plan, make_source(plan, other), Answering(identity), products(), tmp_path)
        assert [changed[number].key != again[number].key for number in range(4)] == [True, False, False, False]

    def test_key_depends_on_all_it_is_made_of(self) -> None:
        keys = [strip_key("a", 1, "x"), strip_key("b", 1, "x"), strip_key("a", 2, "x"), strip_key("a", 1, "y")]
        assert len(set(keys)) == 4

    def test_strips_are_taken_shortly_before_they_are_read(
        self, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        plan = make_plan((16 * 40, 16), overlap=0.0, strip_pixels=16)
        taken: list[int] = []
        finished: list[int] = []
        ahead: list[int] = []

        def deal() -> Iterator[Strip]:
            for strip in plan.strips:
                taken.append(strip.number)
                ahead.append(len(taken) - len(finished))
                yield strip

        compute(
            plan,
            make_source(plan, noise(plan)),
            Answering(identity),
            products(),
            tmp_path,
            strips=deal(),
            done=lambda record: finished.append(record.strip),
        )
        assert finished == list(range(40))
        assert max(ahead) <= 10

    def test_nothing_to_do_is_done_at_once(self, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((20, 20))
        assert compute(plan, make_source(plan, noise(plan)), Answering(identity), products(), tmp_path, strips=[]) == {}
        assert list(tmp_path.iterdir()) == []


class TestErrors:
    """Wherever one happens, the job ends at once, no thread stays, and no half file lies about."""

    @pytest.fixture(autouse=True)
    def no_thread_stays(self) -> Iterator[None]:
        before = set(threading.enumerate())
        yield
        assert not [thread for thread in threading.enumerate() if thread not in before]

    def run(
        self, plan: ScenePlan, source: object, forward: Answering, folder: Path, **more: object
    ) -> dict[int, StripRecord]:
        """Run a job that is to fail; what it leaves is what it said is done."""
        records: dict[int, StripRecord] = {}
        given = {"done": lambda record: records.__setitem__(record.strip, record), **more}
        try:
            in_time(lambda: compute(plan, source, forward, products("confidence"), folder, group_size=2, **given))
        finally:
            assert {path.name for path in folder.iterdir()} == {record.file for record in records.values()}
        return records

    @pytest.mark.parametrize("lanes", [1, 3])
    def test_of_the_reader(self, lanes: int, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((300, 70), strip_pixels=28)
        source = make_source(plan, noise(plan))
        rows = source.rows

        def broken(top: int, bottom: int) -> object:
            if bottom > 200:
                raise DataError("array: row 200 cannot be read")
            return rows(top, bottom)

        source.rows = broken
        with pytest.raises(DataError, match="row 200"):
            self.run(plan, source, Answering(identity, lanes=lanes), tmp_path)

    @pytest.mark.parametrize("lanes", [1, 3])
    @pytest.mark.parametrize("at", [0, 7])
    def test_of_the_network(self, lanes: int, at: int, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((300, 70), strip_pixels=28)
        asked: list[int] = []

        def network(group: WindowGroup) -> torch.Tensor:
            asked.append(len(asked))
            if len(asked) > at:
                raise ModelError("out of memory")
            return group.image.clone()

        with pytest.raises(ModelError, match="out of memory"):
            self.run(plan, make_source(plan, noise(plan)), Answering(network, lanes=lanes), tmp_path)
        assert len(asked) <= at + 2 * lanes + 2

    @pytest.mark.parametrize("lanes", [1, 3])
    def test_of_an_answer_that_is_no_number(
        self, lanes: int, make_plan: Plan, make_source: Source, tmp_path: Path
    ) -> None:
        plan = make_plan((300, 70), strip_pixels=28)
        values = noise(plan)
        values[1, 150, 40] = np.nan
        with pytest.raises(ModelError, match="not a number in rows 1"):
            self.run(plan, make_source(plan, values), Answering(identity, lanes=lanes), tmp_path)

    @pytest.mark.parametrize("lanes", [1, 3])
    def test_of_the_disk(
        self,
        lanes: int,
        make_plan: Plan,
        make_source: Source,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        plan = make_plan((300, 70), strip_pixels=28)
        written: list[str] = []
        block = StripWriter.block

        def full(self: StripWriter, name: str, y: int, values: np.ndarray) -> None:
            written.append(name)
            if len(written) > 20:
                raise OSError(28, "No space left on device")
            block(self, name, y, values)

        monkeypatch.setattr(StripWriter, "block", full)
        with pytest.raises(OSError, match="No space left"):
            self.run(plan, make_source(plan, noise(plan)), Answering(identity, lanes=lanes), tmp_path)
        assert len(written) == 21

    def test_of_the_disk_at_the_very_last_block(
        self, make_plan: Plan, make_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = make_plan((30, 20), strip_pixels=1000)

        def full(self: StripWriter, *_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(StripWriter, "finish", full)
        with pytest.raises(OSError, match="No space left"):
            self.run(plan, make_source(plan, noise(plan)), Answering(identity), tmp_path)

    def test_of_whoever_takes_the_records(self, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((300, 70), strip_pixels=28)

        def refuse(record: StripRecord) -> None:
            (tmp_path / record.file).unlink()
            raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            self.run(plan, make_source(plan, noise(plan)), Answering(identity), tmp_path, done=refuse)

    def test_of_whoever_deals_the_strips(self, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((300, 70), strip_pixels=28)

        def deal() -> Iterator[Strip]:
            yield from plan.strips[:3]
            raise ConnectionError("the coordinator is gone")

        with pytest.raises(ConnectionError, match="coordinator"):
            self.run(plan, make_source(plan, noise(plan)), Answering(identity), tmp_path, strips=deal())

    def test_of_whoever_hears_of_the_progress(self, make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
        plan = make_plan((300, 70), strip_pixels=28)
        heard: list[int] = []

        def interrupt(windows: int) -> None:
            heard.append(windows)
            if sum(heard) > 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(plan, make_source(plan, noise(plan)), Answering(identity, lanes=2), tmp_path, advance=interrupt)


def test_nothing_is_kept_of_strips_that_are_done(
    make_plan: Plan, make_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan((16 * 60, 16), overlap=0.0, strip_pixels=16)
    begun: weakref.WeakSet[StripWriter] = weakref.WeakSet()
    make = StripWriter.__init__

    def note(self: StripWriter, folder: Path, strip: int) -> None:
        make(self, folder, strip)
        begun.add(self)

    monkeypatch.setattr(StripWriter, "__init__", note)
    alive: list[int] = []
    compute(
        plan,
        make_source(plan, noise(plan)),
        Answering(identity),
        products(),
        tmp_path,
        done=lambda _: alive.append(len(begun)),
    )
    assert len(alive) == 60
    assert max(alive) <= 8


def test_a_strip_alone_reads_its_own_rows_alone(make_plan: Plan, make_source: Source, tmp_path: Path) -> None:
    plan = make_plan((93, 40), strip_pixels=28)
    wanted = products()
    for number in (3, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = make_source(plan, noise(plan))
        records = compute(plan, source, Answering(quarrelsome), wanted, folder, strips=[plan.strips[number]])
        assert set(records) == {number}
        first = plan.rows.starts[plan.strips[number].rows[0]]
        assert min(source.asked) == first


class _Waits(TorchDispatchMode):
    """Counts what would have the host wait for a GPU: a value read back, or a size that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_blending_and_deciding_never_wait_for_the_device(make_plan: Callable[..., ScenePlan]) -> None:
    plan = make_plan((60, 70), overlap=0.25, strip_pixels=28)
    wanted = products_of(
        PredictSettings(layers=("confidence", "entropy", "margin", "probabilities")), classes=3, ignore=255
    )
    blender = StripBlender(plan.rows, plan.columns, channels=3, classes=3, device=torch.device("cpu"))
    size = plan.rows.size, plan.columns.size
    with torch.inference_mode(), _Waits() as waits:
        for strip in plan.strips:
            blender.begin(strip)
            for row in strip.rows:
                for column in range(len(plan.columns)):
                    scores = torch.rand(3, *size).softmax(0)
                    piece = blender.add(row, column, scores, torch.ones(size, dtype=torch.bool))
                    if piece is not None:
                        wanted.decide_unproven(piece.scores)
            HostCopy(blender.counts)
    assert blender.fades
    assert waits.found == []
    with waits:
        bool(torch.ones(1).sum())
    assert len(waits.found) == 1
