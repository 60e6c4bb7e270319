"""What `doctor` returns."""

from terrazzo.diagnosis import Finding, Level
from terrazzo.phases.doctor_summary import DoctorSummary


def summary(*levels: Level) -> DoctorSummary:
    found = tuple(Finding("thing", level, "is so") for level in levels)
    return DoctorSummary(seconds=1.23456, configuration=None, findings={"section": found})


def test_the_gravest_level_counts() -> None:
    assert summary().level is Level.FINE
    assert summary(Level.NOTE, Level.WARNING, Level.FINE).level is Level.WARNING
    assert summary(Level.WARNING).usable
    assert not summary(Level.FAULT, Level.FINE).usable
    assert summary(Level.NOTE, Level.NOTE).count(Level.NOTE) == 2


def test_it_is_plain_data() -> None:
    content = summary(Level.FAULT).as_dict()
    assert (content["level"], content["usable"], content["seconds"]) == ("fault", False, 1.235)
    assert content["findings"]["section"][0]["subject"] == "thing"
