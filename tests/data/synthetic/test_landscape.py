import numpy as np
import pytest
from scipy.spatial import cKDTree

from terrazzo.data.synthetic.landscape import IGNORE, Landscape, landscape
from terrazzo.data.synthetic.terrain import BARE_SOIL, BUILDING, FIELD, FOREST, ROAD, WATER
from terrazzo.errors import DataError


@pytest.fixture(scope="module")
def scene() -> Landscape:
    return landscape(480, 512, seed=2)


def test_shapes_and_types(scene):
    assert scene.image.shape == (4, 480, 512)
    assert scene.image.dtype == np.uint16
    assert scene.label.shape == scene.truth.shape == scene.valid.shape == (480, 512)


def test_all_six_classes_are_there(scene):
    shares = np.bincount(scene.truth.ravel(), minlength=6) / scene.truth.size
    assert len(shares) == 6
    assert (shares > 0.005).all()


def test_unseen_pixels_are_nodata_in_every_band_and_ignored_in_the_label(scene):
    assert (~scene.valid).any()
    assert (scene.image[:, ~scene.valid] == 0).all()
    assert (scene.image[:, scene.valid] > 0).all()
    np.testing.assert_array_equal(scene.label == IGNORE, ~scene.valid)


def test_the_label_is_the_truth_but_for_its_borders(scene):
    wrong = (scene.label != scene.truth) & scene.valid
    assert 0.001 < wrong.mean() < 0.04
    inner = np.ones_like(wrong)
    for y in (-3, 0, 3):
        for x in (-3, 0, 3):
            inner &= np.roll(scene.truth, (y, x), axis=(0, 1)) == scene.truth
    assert wrong[inner].mean() < 0.25 * wrong.mean()


def test_same_seed_same_scene(scene):
    again = landscape(480, 512, seed=2)
    np.testing.assert_array_equal(again.image, scene.image)
    np.testing.assert_array_equal(again.label, scene.label)


def test_another_seed_is_another_place(scene):
    other = landscape(480, 512, seed=3)
    assert (other.truth != scene.truth).mean() > 0.3


def test_colours_overlap_so_that_the_best_threshold_on_any_band_stays_poor(scene):
    """The commonest class per value of each band, the best a pixel can do with one band, confuses most classes."""
    seen = scene.valid
    for band in scene.image:
        bins = np.digitize(band[seen], np.quantile(band[seen], np.linspace(0, 1, 65)[1:-1]))
        counts = np.zeros((64, 6))
        np.add.at(counts, (bins, scene.truth[seen]), 1)
        guess = counts.argmax(axis=1)[bins]
        truth = scene.truth[seen]
        ious = [((guess == k) & (truth == k)).sum() / ((guess == k) | (truth == k)).sum() for k in range(6)]
        assert np.mean(ious) < 0.45


def test_water_and_building_shadow_are_alike_in_near_infrared(scene):
    nir = scene.image[3].astype(float)
    water = nir[(scene.truth == WATER) & scene.valid]
    dark_field = np.quantile(nir[(scene.truth == FIELD) & scene.valid], 0.02)
    assert np.quantile(water, 0.1) < dark_field < np.quantile(water, 0.999)


def test_forest_is_rough_and_water_smooth(scene):
    step = np.abs(np.diff(scene.image[3].astype(float), axis=1))
    same = (scene.truth[:, 1:] == scene.truth[:, :-1]) & scene.valid[:, 1:] & scene.valid[:, :-1]
    rough = [np.median(step[same & (scene.truth[:, 1:] == kind)]) for kind in (FOREST, WATER)]
    assert rough[0] > 2 * rough[1]


def test_nothing_stands_on_roads_and_roads_reach_the_border(scene):
    road = scene.truth == ROAD
    assert road[:, 0].any()
    assert road[:, -1].any()
    assert (scene.truth == BUILDING).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 7)])
def test_any_size(shape):
    found = landscape(*shape, seed=0)
    assert found.image.shape == (4, *shape)
    assert (found.truth < 6).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, -1)])
def test_refuses_no_pixels(shape):
    with pytest.raises(DataError, match="both must be at least 1"):
        landscape(*shape, seed=0)


def test_a_pixel_of_bare_soil_can_look_like_a_ploughed_field(scene):
    """Nearly all colours of bare soil occur on fields too, give or take what the sensor cannot tell apart."""
    soil = scene.image[:, (scene.truth == BARE_SOIL) & scene.valid].T.astype(float)[::20]
    field = scene.image[:, (scene.truth == FIELD) & scene.valid].T.astype(float)
    distance, _ = cKDTree(field).query(soil)
    assert np.quantile(distance, 0.8) < 200


def test_land_behind_buildings_lies_in_their_shadow(scene):
    """It is darker on the side away from the sun than as far away on the other side."""
    house = scene.truth == BUILDING
    land = (scene.truth == FIELD) & scene.valid
    behind, before = (np.roll(house, (way * 6, way * 3), axis=(0, 1)) & land for way in (-1, 1))
    assert behind.sum() > 200
    assert np.median(scene.image[1][behind]) < 0.8 * np.median(scene.image[1][before])


def test_the_label_file_of_a_seed_is_not_that_of_its_neighbour():
    one, two = (landscape(64, 64, seed=seed).label for seed in (10, 11))
    assert (one != two).any()
