"""Findings in order, and long lists as a few rows."""

from terrazzo.data.verify.finding import Finding, accepted, ordered, summarised


def finding(severity: str, check: str, file: str) -> Finding:
    return Finding(file, severity, check, "what", "to do")


def test_the_worst_come_first_and_each_once() -> None:
    hint, warning = finding("hint", "shift", "a"), finding("warning", "crs", "b")
    late, early = finding("error", "overlap", "a"), finding("error", "unreadable", "z")
    assert ordered([hint, late, warning, early, late]) == [early, late, warning, hint]


def test_accepted_errors_become_warnings() -> None:
    found = accepted([finding("error", "overlap", "a"), finding("hint", "overlap", "b")], ["overlap"])
    assert [one.severity for one in found] == ["warning", "hint"]


def test_many_of_one_kind_are_counted() -> None:
    many = [finding("error", "unreadable", f"{number:02}") for number in range(30)]
    rows = summarised([*many, finding("warning", "crs", "x")])
    assert [row["file"] for row in rows] == ["00", "01", "02", "03", "04", "...", "x"]
    assert rows[5]["what"] == "25 more of this kind"
    # A single further one takes no more room than the sentence that there is one.
    assert [row["file"] for row in summarised(many[:6])] == [f"0{number}" for number in range(6)]
