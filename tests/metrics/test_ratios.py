import math

from terrazzo.metrics.ratios import mean_of_known, ratio, without_nan


def test_nothing_known_has_no_mean():
    assert math.isnan(mean_of_known([]))
    assert math.isnan(mean_of_known([math.nan]))
    assert math.isnan(ratio(3, 0))


def test_plain_data_keeps_its_shape():
    assert without_nan({"a": ({"b": math.nan, "c": 0.0}, "d", None)}) == {"a": [{"b": None, "c": 0.0}, "d", None]}
