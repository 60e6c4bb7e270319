"""From a scene to groups: every window is the right pixels, each row is read once, groups never cross a strip."""

from collections.abc import Callable

import numpy as np
import pytest

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.reader import RowStart, StripEnd, StripStart, Unreadable, hash_strip, read_strips
from terrazzo.scene.window_group import WindowGroup

Plan = Callable[..., ScenePlan]
Source = Callable[..., object]

PLAIN = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)


def noise(plan: ScenePlan, *, seed: int = 0) -> np.ndarray:
    shape = (len(plan.bands), plan.grid.height, plan.grid.width)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def groups(items: list[object]) -> list[WindowGroup]:
    return [item for item in items if isinstance(item, WindowGroup)]


def hashes(items: list[object]) -> dict[int, str]:
    return {item.strip.number: item.pixels_hash for item in items if isinstance(item, StripEnd)}


@pytest.mark.parametrize("shape", [(37, 53), (16, 16), (5, 70), (1, 1), (33, 17)])
@pytest.mark.parametrize("margin", [0, 3, 20])
@pytest.mark.parametrize("overlap", [0.0, 0.125, 0.5])
def test_windows_are_cut_from_the_mirrored_scene(
    shape: tuple[int, int], margin: int, overlap: float, make_plan: Plan, make_source: Source
) -> None:
    plan = make_plan(shape, margin=margin, overlap=overlap)
    values = noise(plan)
    normalisation = Normalisation(mean=(0.2, 0.4, 0.6), std=(0.5, 2.0, 3.0))
    expected = normalisation(values, np.ones(shape, dtype=bool))
    reach = [min(margin, length - 1) for length in shape]
    padded = np.pad(expected, ((0, 0), (reach[0],) * 2, (reach[1],) * 2), mode="reflect")
    padded = np.pad(padded, ((0, 0), (margin - reach[0],) * 2, (margin - reach[1],) * 2), mode="edge")
    seen = []
    for group in groups(list(read_strips(plan, make_source(plan, values), plan.strips, normalisation, group_size=5))):
        assert group.image.shape[2:] == plan.window_shape
        for image, valid, (row, column) in zip(group.image, group.valid, group.windows, strict=True):
            y, x = plan.rows.starts[row], plan.columns.starts[column]
            window = padded[:, y : y + plan.window_shape[0], x : x + plan.window_shape[1]]
            np.testing.assert_array_equal(image.numpy(), window)
            assert valid.all()
            seen.append((row, column))
    assert seen == [(row, column) for row in range(len(plan.rows)) for column in range(len(plan.columns))]


@pytest.mark.parametrize("group_size", [1, 4, 100])
def test_groups_never_cross_a_strip(group_size: int, make_plan: Plan, make_source: Source) -> None:
    plan = make_plan((60, 90), strip_pixels=28)
    assert [len(strip.rows) for strip in plan.strips] == [2, 2, 1]
    assert len(plan.columns) == 7
    items = list(read_strips(plan, make_source(plan, noise(plan)), plan.strips, PLAIN, group_size=group_size))
    strips = iter(plan.strips)
    sizes: list[int] = []
    for item in items:
        if isinstance(item, StripStart):
            strip = next(strips)
            assert item.strip is strip
            sizes = []
        elif isinstance(item, WindowGroup):
            assert {row for row, _ in item.windows} <= set(strip.rows)
            sizes.append(len(item.windows))
        elif isinstance(item, StripEnd):
            assert item.strip is strip
            assert sum(sizes) == len(strip.rows) * 7
            assert all(size == group_size for size in sizes[:-1])
            assert 0 < sizes[-1] <= group_size
    assert next(strips, None) is None


def test_a_row_is_announced_before_its_windows(make_plan: Plan, make_source: Source) -> None:
    plan = make_plan((60, 40), strip_pixels=60)
    announced: set[int] = set()
    for item in read_strips(plan, make_source(plan, noise(plan)), plan.strips, PLAIN, group_size=4):
        if isinstance(item, RowStart):
            announced.add(item.row)
        elif isinstance(item, WindowGroup):
            assert {row for row, _ in item.windows} <= announced


class TestRows:
    @pytest.mark.parametrize(("margin", "overlap"), [(0, 0.0), (0, 0.5), (5, 0.125), (40, 0.0)])
    def test_each_is_read_once_from_top_to_bottom(
        self, margin: int, overlap: float, make_plan: Plan, make_source: Source
    ) -> None:
        plan = make_plan((100, 20), margin=margin, overlap=overlap)
        source = make_source(plan, noise(plan))
        list(read_strips(plan, source, plan.strips, PLAIN, group_size=4))
        assert source.asked == list(range(100))

    def test_strips_in_any_order_are_the_same(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((150, 20), margin=4, strip_pixels=28)
        values = noise(plan)
        found = []
        for order in ([0, 1, 2, 3, 4, 5], [4, 1, 0, 5, 2, 3], [3, 3, 1, 0, 2, 4, 5]):
            items = list(
                read_strips(plan, make_source(plan, values), [plan.strips[one] for one in order], PLAIN, group_size=3)
            )
            windows = {
                key: image.numpy().tobytes()
                for group in groups(items)
                for key, image in zip(group.windows, group.image, strict=True)
            }
            found.append((windows, hashes(items)))
        assert found[0] == found[1] == found[2]

    def test_another_part_of_the_scene_is_not_read(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((150, 20), margin=4, strip_pixels=28)
        source = make_source(plan, noise(plan))
        strip = plan.strips[2]
        list(read_strips(plan, source, [strip], PLAIN, group_size=3))
        assert source.asked == list(range(plan.rows.starts[strip.rows[0]] - 4, plan.rows.starts[strip.rows[-1]] + 20))

    def test_too_few_are_an_error(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((50, 20))

        class Short(type(make_source(plan, noise(plan)))):
            def rows(self, top: int, bottom: int) -> object:
                return super().rows(top, min(bottom, 40))

        with pytest.raises(DataError, match="array ended after row 39; 10 rows are missing"):
            list(read_strips(plan, Short(plan, noise(plan), None), plan.strips, PLAIN, group_size=3))


class TestMissing:
    def test_windows_without_a_pixel_that_counts_do_not_come(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((20, 48), overlap=0.0, strip_pixels=100)
        valid = np.zeros((20, 48), dtype=bool)
        valid[3:, 30:] = True
        items = list(read_strips(plan, make_source(plan, noise(plan), valid), plan.strips, PLAIN, group_size=8))
        starts = [item for item in items if isinstance(item, RowStart)]
        assert [(start.row, start.wanted) for start in starts] == [(0, (1, 2)), (1, (1, 2))]
        np.testing.assert_array_equal(starts[0].valid, valid[plan.rows.used(0)])
        (group,) = groups(items)
        assert group.windows == ((0, 1), (0, 2), (1, 1), (1, 2))
        # The training mean stands where nothing was measured.
        assert (group.image[0][:, :, :14] == 0).all()
        assert not group.valid[0, :, :14].any()

    def test_a_window_counts_by_the_pixels_it_adds_not_by_its_context(
        self, make_plan: Plan, make_source: Source
    ) -> None:
        plan = make_plan((16, 40), overlap=0.5, margin=8)
        valid = np.zeros((16, 40), dtype=bool)
        used = [plan.columns.used(column) for column in range(len(plan.columns))]
        valid[:, used[0].stop] = True
        items = list(read_strips(plan, make_source(plan, noise(plan), valid), plan.strips, PLAIN, group_size=8))
        expected = tuple(number for number, one in enumerate(used) if one.start <= used[0].stop < one.stop)
        assert [item.wanted for item in items if isinstance(item, RowStart)] == [expected]
        assert 0 not in expected

    def test_a_row_that_counts_nowhere_is_announced_all_the_same(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((48, 20), overlap=0.0)
        valid = np.ones((48, 20), dtype=bool)
        valid[16:32] = False
        items = list(read_strips(plan, make_source(plan, noise(plan), valid), plan.strips, PLAIN, group_size=8))
        assert [item.wanted for item in items if isinstance(item, RowStart)] == [(0, 1), (), (0, 1)]

    def test_what_cannot_be_read_is_told_at_the_end_of_its_strip(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((60, 20), strip_pixels=28)
        source = make_source(plan, noise(plan))
        lost = Unreadable(y=50, x=0, height=3, width=20, reason="gone")
        rows = source.rows

        def note(top: int, bottom: int) -> object:
            if top <= 50 < bottom:
                source.unreadable.append(lost)
            return rows(top, bottom)

        source.rows = note
        items = list(read_strips(plan, source, plan.strips, PLAIN, group_size=8))
        assert [item.unreadable for item in items if isinstance(item, StripEnd)] == [(), (), (lost,)]


class TestHash:
    def test_is_the_same_without_windows_and_however_rows_come(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((100, 30), margin=3, overlap=0.3, strip_pixels=28)
        values = noise(plan)
        valid = np.random.default_rng(1).random((100, 30)) > 0.2
        found = hashes(list(read_strips(plan, make_source(plan, values, valid), plan.strips, PLAIN, group_size=3)))
        for part in (1, 13, 100):
            source = make_source(plan, values, valid, part=part)
            assert {strip.number: hash_strip(plan, source, strip) for strip in plan.strips} == found
        assert len(set(found.values())) == len(plan.strips)

    @pytest.mark.parametrize("what", ["value", "valid"])
    def test_changes_with_any_pixel_that_the_strip_sees_and_no_other(
        self, what: str, make_plan: Plan, make_source: Source
    ) -> None:
        plan = make_plan((100, 30), margin=3, strip_pixels=28)
        values, valid = noise(plan), np.ones((100, 30), dtype=bool)
        before = [hash_strip(plan, make_source(plan, values, valid), strip) for strip in plan.strips]
        for y in (0, 15, 27, 28, 33, 50, 99):
            changed, mask = values.copy(), valid.copy()
            if what == "value":
                changed[2, y, 29] += 1
            else:
                mask[y, 0] = False
            after = [hash_strip(plan, make_source(plan, changed, mask), strip) for strip in plan.strips]
            sees = [
                plan.rows.starts[strip.rows[0]] - 3 <= y < plan.rows.starts[strip.rows[-1]] + plan.rows.size + 3
                for strip in plan.strips
            ]
            assert [one != other for one, other in zip(before, after, strict=True)] == sees
            assert any(sees)

    def test_is_left_out_where_nobody_keeps_a_strip(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((40, 30))
        values = noise(plan)
        valid = np.ones(values.shape[1:], dtype=bool)
        found = [
            list(read_strips(plan, make_source(plan, values, valid), plan.strips, PLAIN, group_size=3, hashed=hashed))
            for hashed in (True, False)
        ]
        assert set(hashes(found[1]).values()) == {""}
        for one, other in zip(groups(found[0]), groups(found[1]), strict=True):
            assert one.windows == other.windows
            np.testing.assert_array_equal(one.image.numpy(), other.image.numpy())

    def test_forgets_what_could_not_be_read_meanwhile(self, make_plan: Plan, make_source: Source) -> None:
        plan = make_plan((20, 20))
        source = make_source(plan, noise(plan))
        source.unreadable.append(Unreadable(0, 0, 1, 1, "gone"))
        hash_strip(plan, source, plan.strips[0])
        assert source.take_unreadable() == ()


def test_bands_of_several_types_are_held_in_one_that_fits_all(make_plan: Plan, make_source: Source) -> None:
    plan = make_plan((20, 20), bands=2)
    items = tuple(
        band.model_copy(update={"dtype": dtype}) for band, dtype in zip(plan.bands, ("uint16", "int16"), strict=True)
    )
    mixed = type(plan)(**{**vars(plan), "bands": plan.bands.model_copy(update={"items": items})})
    values = np.stack([np.full((20, 20), 65000), np.full((20, 20), -30000)]).astype(np.int32)

    class Mixed(type(make_source(plan, values))):
        def rows(self, top: int, bottom: int) -> object:
            grid = mixed.grid.window(Window(top, 0, bottom - top, 20))
            yield Raster(self.values[:, top:bottom], self.valid[top:bottom], grid, mixed.bands)

    plain = Normalisation(mean=(0.0, 0.0), std=(1.0, 1.0))
    for group in groups(list(read_strips(mixed, Mixed(mixed, values, None), mixed.strips, plain, group_size=1))):
        assert (group.image[0, 0] == 65000).all()
        assert (group.image[0, 1] == -30000).all()
