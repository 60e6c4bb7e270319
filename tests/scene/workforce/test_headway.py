"""Windows are counted once, whoever computes them again."""

from terrazzo.scene.workforce.headway import Headway


def test_windows_that_come_again_are_not_told_again() -> None:
    told: list[int] = []
    headway = Headway(told.append)
    headway.advance("a", 4)
    headway.advance("b", 3)
    headway.settle("a", 4)
    headway.advance("a", 2)
    headway.lose("a")
    headway.advance("b", 1)
    headway.advance("c", 1)
    headway.advance("c", 5)
    assert told == [4, 3, 2, 5]
    assert sum(told) == 4 + 4 + 6


def test_what_is_settled_is_never_lost() -> None:
    told: list[int] = []
    headway = Headway(told.append)
    headway.advance("a", 4)
    headway.settle("a", 4)
    headway.lose("a")
    headway.advance("a", 1)
    assert told == [4, 1]


def test_losing_somebody_unknown_changes_nothing() -> None:
    told: list[int] = []
    headway = Headway(told.append)
    headway.lose("a")
    headway.advance("b", 2)
    assert told == [2]
