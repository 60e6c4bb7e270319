"""What views are called, and that the names stay those of the symmetries."""

import typing

from terrazzo.data.features.names import VIEWS, View, ordered


def test_every_view_has_its_own_symmetry() -> None:
    assert set(VIEWS) == set(typing.get_args(View))
    assert sorted(VIEWS.values()) == list(range(8))


def test_order_is_the_tables_whatever_was_asked() -> None:
    assert ordered(["transpose", "hflip", "identity", "hflip"]) == ("identity", "hflip", "transpose")
    assert ordered([]) == ()
