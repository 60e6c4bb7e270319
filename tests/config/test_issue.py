"""Mistakes are collected, ordered and raised together."""

import pytest

from terrazzo.config.issue import Issue, Place, dotted, raise_issues
from terrazzo.errors import ConfigError


def issue(line: int | None = 1, message: str = "is wrong.", source: str = "a.yaml", kind: str = "wrong") -> Issue:
    return Issue(Place(source, line), ("train", "epochs"), message, kind)


def test_place_shows_file_and_line_or_only_its_source():
    assert str(Place("a b.yaml", 12)) == "a b.yaml:12"
    assert str(Place('override "a=1"')) == 'override "a=1"'


def test_issue_shows_place_key_and_message():
    assert str(issue(3)) == "a.yaml:3  train.epochs: is wrong."
    assert str(Issue(Place("a.yaml"), (), "cannot be read.")) == "a.yaml: cannot be read."


def test_dotted_joins_keys_and_positions():
    assert dotted(("data", "bands", 0)) == "data.bands.0"
    assert dotted(()) == ""


def test_nothing_is_raised_without_issues():
    assert raise_issues([]) is None


def test_all_issues_are_raised_in_the_order_of_lines():
    with pytest.raises(ConfigError) as caught:
        raise_issues([issue(9, "late."), issue(2, "early."), issue(4, "middle.")])
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 mistakes in the configuration:"
    assert [line.rsplit(" ", 1)[1] for line in lines[1:]] == ["early.", "middle.", "late."]


def test_files_stay_together_in_the_order_they_came():
    with pytest.raises(ConfigError) as caught:
        raise_issues([issue(9, source="z.yaml"), issue(1, source="a.yaml"), issue(3, source="z.yaml")])
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == ["z.yaml:3", "z.yaml:9", "a.yaml:1"]


def test_one_issue_is_no_plural_and_doubles_are_said_once():
    with pytest.raises(ConfigError) as caught:
        raise_issues([issue(), issue()])
    assert str(caught.value) == "One mistake in the configuration:\n  a.yaml:1  train.epochs: is wrong."


def test_what_an_unread_file_may_hold_is_not_called_absent():
    with pytest.raises(ConfigError) as caught:
        raise_issues([issue(1, "is missing.", kind="absent"), issue(2, "is no YAML.", kind="unread"), issue(3)])
    text = str(caught.value)
    assert "missing" not in text
    assert "no YAML" in text
    assert text.startswith("2 mistakes")


def test_absence_is_said_where_every_file_was_read():
    with pytest.raises(ConfigError, match="is missing"):
        raise_issues([issue(1, "is missing.", kind="absent")])
