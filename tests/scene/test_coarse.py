"""Small rasters: means of what was measured, and text that holds them."""

import json

import numpy as np

from terrazzo.scene.coarse import CoarseMean, CoarseRaster


def test_survives_as_json_in_half_precision() -> None:
    values = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    values[2, 3] = np.nan
    raster = CoarseRaster.of(values)
    again = CoarseRaster.model_validate(json.loads(json.dumps(raster.model_dump(mode="json"))))
    assert again == raster
    np.testing.assert_array_equal(again.values, values.astype(np.float16).astype(np.float32))


def test_means_of_squares_leave_out_what_is_missing() -> None:
    values = np.random.default_rng(0).integers(0, 255, (11, 10)).astype(np.uint8)
    values[:4, :4] = 255
    values[6, 9] = 255
    coarse = CoarseMean(11, 10, factor=4)
    for y, row in enumerate(values):
        coarse.add(y, row, 255)
    found = coarse.means(254.0)
    assert found.shape == (3, 3)
    assert np.isnan(found[0, 0])
    for y in range(3):
        for x in range(3):
            square = values[4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
            if (y, x) != (0, 0):
                np.testing.assert_allclose(found[y, x], square[square != 255].mean() / 254)
