import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from terrazzo.data.classes import Classes
from terrazzo.data.pictures.picture import (
    HATCH,
    RIGHT,
    WRONG,
    colour_errors,
    colour_target,
    encode_png,
    panel,
    true_colour,
    visible_bands,
    write_png,
)
from terrazzo.errors import DataError


def classes() -> Classes:
    return Classes.model_validate(
        {"items": [{"name": "land", "colour": "#102030"}, {"name": "sea", "colour": "#405060"}], "unlisted": "ignore"}
    )


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            return source.read().transpose(1, 2, 0)


@pytest.fixture
def generator():
    return np.random.default_rng(4)


class TestVisibleBands:
    def test_finds_colours_by_name_in_any_order_and_case(self):
        assert visible_bands(["NIR", "Blue", "RED", "green"]) == (2, 3, 1)

    def test_takes_the_first_three_of_unnamed_bands(self):
        assert visible_bands(["band_1", "band_2", "band_3", "band_4"]) == (0, 1, 2)

    def test_shows_fewer_bands_as_grey(self):
        assert visible_bands(["radar"]) == (0, 0, 0)


class TestTrueColour:
    def test_stretches_each_band_over_its_own_range(self, generator):
        values = np.stack([generator.uniform(low, low + 10, (50, 50)) for low in (0, 500, -90)])
        picture = true_colour(values, np.ones((50, 50), dtype=bool))
        for channel in range(3):
            assert picture[..., channel].min() == 0
            assert picture[..., channel].max() == 255
            assert abs(picture[..., channel].mean() - 127.5) < 6

    def test_keeps_the_order_of_brightness(self):
        ramp = np.tile(np.arange(200, dtype=np.uint16) * 40, (3, 5, 1))
        picture = true_colour(ramp, np.ones((5, 200), dtype=bool))
        assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()

    def test_outliers_do_not_darken_the_rest(self, generator):
        values = generator.uniform(0, 100, (1, 60, 60))
        values[0, 0, 0] = 1e6
        picture = true_colour(values, np.ones((60, 60), dtype=bool))
        assert picture.mean() > 100
        assert (picture[0, 0] == 255).all()

    def test_missing_pixels_are_hatched_and_not_in_the_stretch(self):
        values = np.tile(np.linspace(1000, 2000, 40, dtype=np.float32), (3, 40, 1))
        valid = np.ones((40, 40), dtype=bool)
        valid[:10] = False
        values[:, :10] = 0
        picture = true_colour(values, valid)
        assert {tuple(colour) for colour in picture[:10].reshape(-1, 3)} == {tuple(HATCH[0]), tuple(HATCH[1])}
        assert picture[10:, 0].max() == 0

    def test_nan_is_hatched_without_a_warning(self):
        values = np.ones((3, 8, 8), dtype=np.float32)
        values[1, 2, 3] = np.nan
        picture = true_colour(values, np.ones((8, 8), dtype=bool))
        assert tuple(picture[2, 3]) in {tuple(HATCH[0]), tuple(HATCH[1])}
        assert (picture[0, 0] == 127).all()

    def test_shows_the_channels_asked_for(self, generator):
        values = generator.uniform(0, 1, (4, 20, 20))
        picture = true_colour(values, np.ones((20, 20), dtype=bool), channels=(3, 0, 1))
        swapped = true_colour(values[[3, 0, 1]], np.ones((20, 20), dtype=bool))
        np.testing.assert_array_equal(picture, swapped)

    def test_nothing_valid_is_hatched_all_over(self):
        picture = true_colour(np.zeros((1, 3, 3)), np.zeros((3, 3), dtype=bool))
        assert picture.shape == (3, 3, 3)
        assert np.isin(picture, HATCH).all()

    def test_one_pixel(self):
        assert true_colour(np.full((2, 1, 1), 7), np.ones((1, 1), dtype=bool)).tolist() == [[[127, 127, 127]]]


class TestColourTarget:
    def test_gives_each_class_its_colour(self):
        picture = colour_target(np.array([[0, 1]], dtype=np.uint8), classes())
        assert picture.tolist() == [[[16, 32, 48], [64, 80, 96]]]

    def test_ignored_pixels_get_no_class_colour(self):
        picture = colour_target(np.full((9, 9), 255, dtype=np.uint8), classes())
        assert np.isin(picture, HATCH).all()
        assert len(np.unique(picture)) == 2

    @pytest.mark.parametrize("value", [2, 254, -1])
    def test_refuses_a_value_that_is_no_class(self, value):
        with pytest.raises(DataError, match=rf"{value}; expected 0..1 or 255"):
            colour_target(np.array([[0, value]], dtype=np.int64), classes())


def test_errors_tell_right_wrong_and_ignored_apart():
    target, prediction = np.array([[0, 1, 255]]), np.array([[0, 0, 0]])
    picture = colour_errors(target, prediction, target == 255)
    assert tuple(picture[0, 0]) == RIGHT
    assert tuple(picture[0, 1]) == WRONG
    assert tuple(picture[0, 2]) in {tuple(HATCH[0]), tuple(HATCH[1])}


def test_right_and_wrong_differ_in_brightness():
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert weights @ np.array(RIGHT) > 2 * (weights @ np.array(WRONG))


class TestPanel:
    def test_puts_pictures_side_by_side_on_white(self):
        left, right = np.zeros((4, 3, 3), dtype=np.uint8), np.full((2, 5, 3), 9, dtype=np.uint8)
        sheet = panel([left, right], gap=2)
        assert sheet.shape == (4, 10, 3)
        assert (sheet[:, 3:5] == 255).all()
        assert (sheet[:2, 5:] == 9).all()
        assert (sheet[2:, 5:] == 255).all()

    def test_refuses_nothing(self):
        with pytest.raises(DataError, match="none was given"):
            panel([])


class TestPng:
    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 37, 3), (37, 1, 3), (21, 34, 3)])
    def test_is_read_back_bit_for_bit(self, tmp_path, generator, shape):
        picture = generator.integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path / "ein Bild mit Ümlaut.png"
        write_png(path, picture)
        np.testing.assert_array_equal(read(path), picture)

    def test_gradients_are_read_back_and_small(self, tmp_path):
        ramp = (np.arange(256)[None, :, None] + np.arange(64)[:, None, None]) % 256
        picture = np.repeat(ramp, 3, axis=2).astype(np.uint8)
        write_png(tmp_path / "ramp.png", picture)
        np.testing.assert_array_equal(read(tmp_path / "ramp.png"), picture)
        assert (tmp_path / "ramp.png").stat().st_size < picture.size // 50

    @pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
    def test_refuses_no_pixels(self, shape):
        with pytest.raises(DataError, match="cannot be written as PNG"):
            encode_png(np.zeros(shape, dtype=np.uint8))

    def test_leaves_nothing_beside_the_file(self, tmp_path):
        write_png(tmp_path / "deep" / "a.png", np.zeros((2, 2, 3), dtype=np.uint8))
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
