"""What explains differences between settings."""

import numpy as np
import pytest
from scipy import stats

from terrazzo.sweep.groups import Setting
from terrazzo.sweep.importance import importance


def settings(count: int) -> list[Setting]:
    generator = np.random.default_rng(3)
    return [
        Setting("", {"lr": float(10 ** generator.uniform(-5, -1)), "model": ("a", "b")[number % 2], "same": 1}, ())
        for number in range(count)
    ]


def test_what_matters_comes_first_even_where_the_middle_is_best() -> None:
    drawn = settings(40)
    values = [-abs(np.log10(one.varied["lr"]) + 3) for one in drawn]
    first, second = importance(drawn, [float(value) for value in values])
    assert (first.key, second.key) == ("lr", "model")
    assert first.share > 0.5 > first.chance
    assert second.share < second.chance


def test_shares_are_those_of_kruskal_and_wallis() -> None:
    drawn = settings(20)
    values = np.random.default_rng(0).normal(size=20).tolist()
    found = next(one for one in importance(drawn, values) if one.key == "model")
    parts = [[value for one, value in zip(drawn, values, strict=True) if one.varied["model"] == name] for name in "ab"]
    # H = (n - 1) eta^2 on ranks.
    assert found.share * 19 == pytest.approx(stats.kruskal(*parts).statistic)


def test_too_few_or_equal_settings_explain_nothing() -> None:
    assert importance(settings(7), [float(number) for number in range(7)]) == ()
    assert importance(settings(20), [0.5] * 20) == ()
