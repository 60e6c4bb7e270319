import math

import pytest

from terrazzo.report.words import ABSENT, duration, percent, quantity, score, short


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_does_not_exist_is_never_zero(value: float | None) -> None:
    assert score(value) == ABSENT
    assert percent(value) == ABSENT
    assert quantity(value) == "–"
    assert duration(value) == "–"


@pytest.mark.parametrize(("value", "expected"), [(0.0, "0.000"), (1.0, "1.000"), (0.12345, "0.123")])
def test_scores(value: float, expected: str) -> None:
    assert score(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "0 %"), (1e-9, "<1 %"), (0.5, "50 %"), (0.9999999, ">99 %"), (1.0, "100 %")]
)
def test_nothing_and_everything_are_exact(share: float, expected: str) -> None:
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0 s"), (0.004, "0.004 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s")],
)
def test_short_times(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3599.4, "59 min 59 s"), (3599.6, "1 h 00 min"), (90000, "25 h 00 min")]
)
def test_long_times(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.0, "0"), (-0.5, "-0.5"), (1e5, "1e5"), (-1.5e-7, "-1.5e-7")])
def test_numbers_on_axes_are_short(value: float, expected: str) -> None:
    assert short(value) == expected


def test_counts_are_grouped() -> None:
    assert quantity(999) == "999"
    assert quantity(12345678) == "12 345 678"
