"""`terrazzo doctor`."""

import json
from collections.abc import Callable, Sequence

import pytest
from typer.testing import Result

from terrazzo.diagnosis import Finding, Level
from terrazzo.phases.doctor_summary import DoctorSummary


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Callable[[Level], list[object]]:
    """Replace the verb by one that finds a thing of a level, and notes how it was called."""

    def play(level: Level) -> list[object]:
        calls: list[object] = []

        def look(source: str | None, overrides: Sequence[str], *, listener: object) -> DoctorSummary:
            calls.append((source, overrides))
            findings = {"disk": (Finding("runs", level, "a [bold] place", "mend it"),)}
            return DoctorSummary(seconds=1.0, configuration=None, findings=findings)

        monkeypatch.setattr("terrazzo.phases.doctor.doctor", look)
        return calls

    return play


@pytest.mark.parametrize(
    ("level", "status", "said"),
    [
        (Level.FINE, 0, "Terrazzo works here ("),
        (Level.WARNING, 0, "works here, with 1 warning"),
        (Level.FAULT, 1, "cannot work here: 1 fault"),
    ],
)
def test_a_fault_alone_is_status_1(
    level: Level,
    status: int,
    said: str,
    verdict: Callable[[Level], list[object]],
    invoke: Callable[..., Result],
) -> None:
    calls = verdict(level)
    result = invoke("doctor", "demo", "paths.runs=x")
    assert result.exit_code == status
    assert said in result.stdout
    assert "a [bold] place" in result.stdout
    assert "-> mend it" in result.stdout
    assert calls == [("demo", ["paths.runs=x"])]


def test_json_is_all_of_standard_output(
    verdict: Callable[[Level], list[object]], invoke: Callable[..., Result]
) -> None:
    verdict(Level.FAULT)
    result = invoke("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"]["disk"][0]["advice"] == "mend it"
