import numpy as np

from terrazzo.data.synthetic.terrain import FIELD, PIXEL_SIZE_M, SUN, SUN_ELEVATION, WATER, Canvas, jittered, lit


def flat(side: int = 40) -> Canvas:
    canvas = Canvas.empty(side, side)
    canvas.reflectance[:] = 0.2
    return canvas


def test_an_empty_canvas_is_field_without_height():
    canvas = Canvas.empty(3, 5)
    assert canvas.shape == (3, 5)
    assert (canvas.label == FIELD).all()
    assert canvas.reflectance.shape == (4, 3, 5)
    assert not canvas.height.any()


def test_paint_changes_only_what_was_chosen():
    canvas = flat(4)
    where = np.zeros((4, 4), dtype=bool)
    where[1, 2] = where[3, 0] = True
    colours = np.array([[0.1, 0.5]] * 4, dtype=np.float32)
    canvas.paint(where, WATER, colours)
    assert canvas.label[1, 2] == canvas.label[3, 0] == WATER
    assert (canvas.label == WATER).sum() == 2
    assert canvas.reflectance[:, 1, 2].tolist() == colours[:, 0].tolist()
    assert canvas.reflectance[:, 3, 0].tolist() == colours[:, 1].tolist()
    assert (canvas.reflectance[:, 0] == np.float32(0.2)).all()


def test_flat_land_keeps_its_reflectance():
    canvas = flat()
    np.testing.assert_allclose(lit(canvas), canvas.reflectance, rtol=1e-6)


def test_a_tower_casts_a_shadow_away_from_the_sun_as_long_as_its_height_says():
    canvas = flat(60)
    canvas.height[40:44, 30:34] = 6.0
    light = lit(canvas)[0]
    dark = light < 0.1
    dark[39:45, 29:35] = False
    y, x = np.nonzero(dark)
    assert len(y) > 0
    assert y.max() < 44
    assert (SUN[0] > 0) == (y.mean() < 41.5)
    assert (SUN[1] > 0) == (x.mean() < 31.5)
    expected = 6.0 / np.tan(SUN_ELEVATION) / PIXEL_SIZE_M * SUN[0]
    assert abs((40 - y.min()) - expected) <= 2


def test_shadow_is_bluer_than_light():
    canvas = flat(60)
    canvas.height[40:44, 30:34] = 6.0
    light = lit(canvas)
    shaded = light[:, 36, 29]
    assert (shaded < 0.15).all()
    assert shaded[2] > shaded[0] > shaded[3]


def test_roofs_are_brighter_towards_the_sun():
    canvas = flat(60)
    rows = np.arange(60)[:, None] - 30
    ridge = np.clip(6.0 - 0.25 * np.abs(rows), 0, None)
    canvas.height[:] = ridge
    light = lit(canvas)[0]
    assert light[38, 30] > 0.2 > light[22, 30]


def test_a_wall_does_not_shade_the_flat_roof_behind_it():
    canvas = flat(40)
    canvas.height[10:30, 10:30] = 5.0
    np.testing.assert_allclose(lit(canvas)[:, 10:30, 10:30], 0.2, rtol=1e-5)


def test_one_pixel_can_be_lit():
    assert lit(flat(1)).shape == (4, 1, 1)


def test_jitter_varies_brightness_more_than_hue():
    generator = np.random.default_rng(0)
    spectra = jittered(np.full((4000, 4), 0.3), generator, brightness=0.2, hue=0.02)
    logs = np.log(spectra)
    assert spectra.dtype == np.float32
    assert (spectra > 0).all()
    assert abs(logs.mean(axis=1).std() - 0.2) < 0.02
    assert (logs - logs.mean(axis=1, keepdims=True)).std() < 0.03
