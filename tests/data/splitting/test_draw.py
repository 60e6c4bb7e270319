"""Drawing by a hash."""

from collections import Counter

from terrazzo.data.splitting.draw import drawn


def test_shares_come_out():
    found = Counter(drawn(f"0:{number}", {"a": 0.5, "b": 0.0, "c": 0.3, "d": 0.2}) for number in range(5000))
    assert set(found) == {"a", "c", "d"}
    assert abs(found["a"] / 5000 - 0.5) < 0.03
    assert abs(found["d"] / 5000 - 0.2) < 0.03


def test_shares_that_fall_short_of_one_by_rounding_draw_the_last():
    assert {drawn(str(number), {"a": 1e-9, "b": 0.0}) for number in range(50)} == {"a"}
