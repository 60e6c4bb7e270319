"""Blocks of the ground: who owns which pixel, and how far the parts keep apart."""

import math
from collections import Counter

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.crs import CRS
from scipy.ndimage import distance_transform_edt

from terrazzo.data.areas.blocks import NUDGE, BlockArea
from terrazzo.data.areas.dealt import DealtBlocks
from terrazzo.geo.grid import Grid, Window

UTM32, UTM33 = CRS.from_epsg(32632), CRS.from_epsg(32633)
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
LAEA = CRS.from_epsg(3035).to_wkt()


def areas(size, *, crs=None, guard=0.0, seed=0, image=""):
    """One area a role; training gives way."""
    return {
        part: BlockArea(
            part=part,
            shares=tuple(SHARES.items()),
            size=size,
            crs=crs,
            image=image,
            guard=guard,
            clear_of=("val", "test") if part == "train" and guard else (),
            seed=seed,
        )
        for part in SHARES
    }


def grid(height, width, *, crs=UTM32, left=500_000.0, top=5_000_000.0, pixel=10.0, turn=0.0):
    transform = Affine.translation(left, top) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    return Grid(crs, transform, height, width)


def masks(found, where):
    return {part: area.open(where).inside(where.whole) for part, area in found.items()}


@settings(max_examples=40, deadline=None)
@given(
    size=st.floats(15.0, 400.0),
    guard=st.sampled_from([0.0, 35.0, 700.0]),
    seed=st.integers(0, 9),
    turn=st.sampled_from([0.0, 30.0]),
)
def test_every_pixel_has_one_part_at_most_and_without_a_guard_exactly_one(size, guard, seed, turn):
    owners = sum(
        mask.astype(int)
        for mask in masks(areas(size, crs=UTM32.to_wkt(), guard=guard, seed=seed), grid(37, 51, turn=turn)).values()
    )
    assert owners.max() <= 1
    if not guard:
        assert owners.min() == 1


def test_a_block_is_a_square_anchored_at_zero():
    where = grid(60, 80, left=1000.0, top=2000.0)
    area = areas(200.0, crs=UTM32.to_wkt())["train"]
    mask = area.open(where).inside(where.whole)
    for row, column in [(0, 0), (19, 20), (20, 19), (59, 79), (33, 41)]:
        x, y = 1000 + 10 * (column + 0.5), 2000 - 10 * (row + 0.5)
        assert mask[row, column] == (area.drawn((math.floor(y / 200), math.floor(x / 200))) == "train")
    assert (mask[:20, :20] == mask[0, 0]).all()


@pytest.mark.parametrize(("size", "guard"), [(300.0, 80.0), (120.0, 200.0), (90.0, 10.0)])
def test_training_keeps_the_guard_distance(size, guard):
    where = grid(120, 130, left=500_003.0, top=5_000_001.0)
    found = masks(areas(size, crs=UTM32.to_wkt(), guard=guard), where)
    judges = found["val"] | found["test"]
    assert found["train"].any() or size < guard
    assert judges.any()
    distance_m = 10 * distance_transform_edt(~judges)
    assert not (found["train"] & (distance_m < guard)).any()
    # Not more than it must: blocks reach half a pixel's diagonal beyond the centres of their pixels.
    without = masks(areas(size, crs=UTM32.to_wkt()), where)["train"]
    inner = np.zeros_like(without)
    inner[25:-25, 25:-25] = True
    assert found["train"][without & inner & (distance_m > guard + 10 * math.sqrt(2))].all()


@settings(max_examples=30, deadline=None)
@given(
    down=st.integers(-40, 40), right=st.integers(-40, 40), size=st.sampled_from([30.0, 100.0, 33.0, 105.0, 0.3 * 37])
)
def test_images_that_overlap_agree_about_every_pixel_they_share(down, right, size):
    """Pixel size 0.3 is no binary number: the same pixel has other coordinates, by rounding, in each image."""
    pixel = 0.3 if size < 30 else 10.0
    one = grid(40, 40, pixel=pixel)
    other = grid(40, 40, pixel=pixel, left=500_000.0 + right * pixel, top=5_000_000.0 - down * pixel)
    area = areas(size, crs=UTM32.to_wkt())["val"]
    mine, theirs = area.open(one).inside(one.whole), area.open(other).inside(other.whole)
    common = one.whole.intersection(Window(down, right, 40, 40))
    moved = Window(common.y - down, common.x - right, common.height, common.width)
    assert np.array_equal(mine[common.slices], theirs[moved.slices])


def test_pixels_on_a_border_lie_on_the_same_side_in_every_image():
    """Blocks of 105 m and pixels of 10 m with centres at 5: every other border runs through pixel centres."""
    area = areas(105.0, crs=UTM32.to_wkt())["train"]
    left = grid(1, 60, left=500_000.0, top=10.0)
    right = grid(1, 40, left=500_200.0, top=10.0)
    assert np.array_equal(area.open(left).inside(left.whole)[:, 20:], area.open(right).inside(right.whole))


@pytest.mark.parametrize(("crs", "left"), [(UTM32, 770_000.0), (UTM33, 229_000.0)])
def test_other_zones_are_brought_to_the_common_map_exactly(crs, left):
    where = grid(70, 90, crs=crs, left=left, top=5_300_000.0, pixel=30.0)
    found = masks(areas(500.0, crs=LAEA), where)
    rows, columns = np.mgrid[0:70, 0:90] + 0.5
    x, y = where.transform @ (columns, rows)
    easting, northing = Transformer.from_crs(crs.to_epsg(), 3035, always_xy=True).transform(x, y)
    places = np.stack([northing, easting]) / 500.0 + NUDGE
    area = areas(500.0, crs=LAEA)["val"]
    expected = [
        [area.drawn((int(row), int(column))) for row, column in zip(*line, strict=True)]
        for line in np.floor(places).transpose(1, 0, 2)
    ]
    for part, mask in found.items():
        assert np.array_equal(mask, np.array(expected) == part)


def test_zones_agree_about_the_ground_that_they_share():
    """A pixel of one zone and the pixel of the other that lies nearest: they differ at borders of blocks alone."""
    east = grid(60, 60, crs=UTM33, left=229_000.0, top=5_300_000.0, pixel=30.0)
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(229_000.0, 5_300_000.0)
    left, top = Transformer.from_crs(4326, 32632, always_xy=True).transform(lon, lat)
    west = grid(60, 60, crs=UTM32, left=left - 300.0, top=top + 300.0, pixel=30.0)
    found = {crs: masks(areas(400.0, crs=LAEA), where)["val"] for crs, where in ((33, east), (32, west))}
    rows, columns = np.mgrid[0:60, 0:60] + 0.5
    x, y = Transformer.from_crs(32633, 32632, always_xy=True).transform(*(east.transform @ (columns, rows)))
    there_x, there_y = ~west.transform @ (np.asarray(x), np.asarray(y))
    inside = (there_x >= 0) & (there_x < 60) & (there_y >= 0) & (there_y < 60)
    agree = np.ones((60, 60), dtype=bool)
    agree[inside] = found[33][inside] == found[32][there_y[inside].astype(int), there_x[inside].astype(int)]
    assert inside.sum() > 2000
    assert found[33].any()
    from_border = np.maximum(distance_transform_edt(found[33]), distance_transform_edt(~found[33]))
    assert (from_border[~agree] < 2).all()


@pytest.mark.parametrize("turn", [0.0, 17.0])
@pytest.mark.parametrize("crs", [UTM32.to_wkt(), LAEA])
def test_any_window_says_what_the_whole_says(crs, turn):
    where = grid(90, 75, turn=turn)
    reader = areas(130.0, crs=crs, guard=60.0)["train"].open(where)
    whole = reader.inside(where.whole)
    assert whole.any()
    assert not whole.all()
    for window in (Window(0, 0, 1, 1), Window(13, 7, 40, 33), Window(89, 74, 1, 1), Window(31, 0, 17, 75)):
        assert np.array_equal(reader.inside(window), whole[window.slices])
        assert reader.touches(window) == whole[window.slices].any()


@pytest.mark.parametrize("turn", [0.0, 40.0])
@pytest.mark.parametrize("size", [1.0, 25.0, 130.0, 5000.0])
@pytest.mark.parametrize("crs", [UTM32.to_wkt(), LAEA])
def test_the_blocks_of_an_image_are_those_of_its_pixels_to_the_last_sliver(crs, size, turn):
    where = grid(50, 61, turn=turn)
    rows, columns = np.mgrid[0:50, 0:61] + 0.5
    x, y = where.transform @ (columns, rows)
    if crs == LAEA:
        x, y = Transformer.from_crs(32632, 3035, always_xy=True).transform(x, y)
    places = Counter(
        (math.floor(b / size + NUDGE), math.floor(a / size + NUDGE)) for a, b in zip(x.flat, y.flat, strict=True)
    )
    reader = areas(size, crs=crs)["train"].open(where)
    assert reader.sizes() == places
    assert reader.blocks() == set(places)


def test_images_without_a_reference_system_have_blocks_of_their_own():
    where = Grid(None, Affine.identity(), 64, 64)
    one, other = (masks(areas(8, image=name), where)["train"] for name in ("a", "b"))
    assert not np.array_equal(one, other)
    assert all(len(np.unique(one[y : y + 8, x : x + 8])) == 1 for y in range(0, 64, 8) for x in range(0, 64, 8))
    assert np.array_equal(one, masks(areas(8, image="a"), where)["train"])


def test_shares_come_out_and_seeds_differ():
    where = Grid(None, Affine.identity(), 100, 100)
    found = masks(areas(1, image="a"), where)
    assert found["train"].mean() == pytest.approx(0.6, abs=0.02)
    assert found["val"].mean() == pytest.approx(0.2, abs=0.02)
    assert not np.array_equal(found["train"], masks(areas(1, image="a", seed=1), where)["train"])


def test_one_pixel():
    where = grid(1, 1)
    assert sum(int(mask.sum()) for mask in masks(areas(1e6, crs=LAEA), where).values()) == 1


@pytest.mark.parametrize("turn", [0.0, 25.0])
def test_kinds_of_pixels_are_counted_by_block(turn):
    where = grid(50, 61, turn=turn)
    window = Window(7, 5, 40, 33)
    kinds = np.random.default_rng(1).integers(0, 3, (40, 33)).astype(np.uint8)
    rows, columns = np.mgrid[7:47, 5:38] + 0.5
    x, y = where.transform @ (columns, rows)
    expected = Counter(
        ((math.floor(b / 130 + NUDGE), math.floor(a / 130 + NUDGE)), int(kind))
        for a, b, kind in zip(x.flat, y.flat, kinds.flat, strict=True)
    )
    found = areas(130.0, crs=UTM32.to_wkt())["train"].open(where).count(window, kinds, 3)
    assert {(block, kind): n for block, counts in found.items() for kind, n in enumerate(counts) if n} == expected


def test_dealt_blocks_are_those_of_the_table_and_others_are_nobodys():
    where = Grid(None, Affine.identity(), 30, 30)
    dealt = DealtBlocks.around({(0, 0): 0, (1, 2): 1, (2, 2): 0, (9, 9): 1}, {(0, 0), (2, 2)}, 1)
    assert dealt.parts == "- - - - -;- 0 - - -;- - - 1 -;- - - 0 -;- - - - -"
    common = {"shares": (("a", 0.5), ("b", 0.5)), "size": 10, "image": "i", "dealt": dealt}
    found = {part: BlockArea(part=part, **common).open(where).inside(where.whole) for part in ("a", "b")}
    expected = np.zeros((2, 30, 30), dtype=bool)
    expected[0, :10, :10] = expected[1, 10:20, 20:] = expected[0, 20:, 20:] = True
    assert np.array_equal(found["a"], expected[0])
    assert np.array_equal(found["b"], expected[1])
    # With a guard, b keeps clear of the blocks of a alone.
    clear = BlockArea(part="b", clear_of=("a",), guard=3, **common).open(where).inside(where.whole)
    assert clear.sum() == 7 * 10
    assert clear[10:17, 20:].all()
    again = BlockArea.model_validate(BlockArea(part="a", **common).model_dump(mode="json"))
    assert np.array_equal(again.open(where).inside(where.whole), found["a"])
