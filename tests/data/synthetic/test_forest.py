import numpy as np

from terrazzo.data.synthetic.forest import SPACING, paint_forest
from terrazzo.data.synthetic.terrain import FIELD, FOREST, Canvas


def grown(where: np.ndarray, seed: int = 0) -> Canvas:
    canvas = Canvas.empty(*where.shape)
    canvas.reflectance[:] = 0.5
    paint_forest(canvas, where, np.random.default_rng(seed))
    return canvas


def half(side: int = 120) -> np.ndarray:
    where = np.zeros((side, side), dtype=bool)
    where[:, : side // 2] = True
    return where


def test_trees_stand_where_asked_give_or_take_a_crown():
    canvas = grown(half())
    forest = canvas.label == FOREST
    assert forest[:, :48].mean() > 0.97
    assert not forest[:, 72:].any()


def test_the_edge_of_a_stand_is_ragged():
    edge = (grown(half()).label == FOREST).sum(axis=1)
    assert edge.std() > 1.0


def test_stands_have_no_holes():
    assert (grown(half()).label[20:100, 20:40] == FOREST).all()


def test_trees_are_high_and_the_land_beside_them_is_not():
    canvas = grown(half())
    assert (canvas.height[canvas.label == FIELD] == 0).all()
    assert 4 < np.median(canvas.height[canvas.label == FOREST]) < 10


def test_crowns_are_brighter_in_the_middle_and_a_few_metres_apart():
    canvas = grown(np.ones((128, 128), dtype=bool))
    patch = canvas.height - canvas.height.mean()
    power = np.abs(np.fft.fft2(patch)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    ring = (frequency > 0.7 / SPACING) & (frequency < 1.5 / SPACING)
    assert power[ring].mean() > 4 * power[~ring & (frequency > 0.01)].mean()


def test_leaves_reflect_near_infrared():
    canvas = grown(half())
    red, green, _, nir = canvas.reflectance[:, canvas.label == FOREST]
    assert nir.mean() > 3 * red.mean()
    assert green.mean() > red.mean()


def test_no_stand_changes_nothing():
    canvas = grown(np.zeros((30, 30), dtype=bool))
    assert (canvas.label == FIELD).all()
    assert (canvas.reflectance == 0.5).all()


def test_a_speck_of_forest_is_a_tree_or_none():
    where = np.zeros((40, 40), dtype=bool)
    where[20, 20] = True
    forest = grown(where).label == FOREST
    assert forest.sum() < 4 * SPACING**2


def test_the_land_outside_keeps_its_reflectance():
    canvas = grown(half())
    assert (canvas.reflectance[:, canvas.label == FIELD] == 0.5).all()
