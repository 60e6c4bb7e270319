"""Findings and their gravity."""

import json

from terrazzo.diagnosis import Finding, Level
from terrazzo.diagnosis.finding import gibibytes


def test_levels_are_ordered_by_gravity() -> None:
    assert max(Level, key=lambda level: level.gravity) is Level.FAULT
    assert [level.gravity for level in Level] == [0, 1, 2, 3]


def test_a_finding_is_plain_data() -> None:
    content = Finding("disk", Level.NOTE, "slow", "take another", {"bytes": 3}).as_dict()
    assert json.loads(json.dumps(content)) == {
        "subject": "disk", "level": "note", "said": "slow", "advice": "take another", "facts": {"bytes": 3},
    }  # fmt: skip


def test_bytes_are_told_in_the_unit_that_fits() -> None:
    assert gibibytes(3 * 2**29) == "1.5 GiB"
    assert gibibytes(5 * 2**20) == "5 MiB"
