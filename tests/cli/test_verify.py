"""`terrazzo verify`: its table, its JSON and its status."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.data.verify.finding import Finding
from terrazzo.data.verify.results import FORMAT
from terrazzo.data.verify.set_aside import Move
from terrazzo.errors import UnfitDataError
from terrazzo.phases.verify import VerifySummary
from terrazzo.storage import fingerprint

Invoke = Callable[..., Result]


def summary(*findings: Finding, **settings: Any) -> VerifySummary:
    counts = {kind: sum(one.severity == kind for one in findings) for kind in ("error", "warning", "hint")}
    return VerifySummary(
        folder=Path("prepared"),
        seconds=1.5,
        images={"train": 40, "val": 2},
        errors=counts["error"],
        warnings=counts["warning"],
        hints=counts["hint"],
        findings=findings,
        **settings,
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, verbs: Any) -> Callable[[VerifySummary], list[dict[str, Any]]]:
    """Let the verb answer with this summary, and note how it was called."""

    def answers(given: VerifySummary) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def verb(_config: object, **settings: Any) -> VerifySummary:
            settings.pop("listener")
            calls.append(settings)
            return given

        monkeypatch.setattr("terrazzo.phases.verify.verify", verb)
        return calls

    return answers


CUT = Finding("a b.png", "error", "unreadable", "is cut off after 10 bytes", "copy it again")
NEAR = Finding("", "warning", "class", "class snow is absent from val", "divide in another way")


def test_errors_end_with_status_1_and_a_table(invoke: Invoke, answer: Any) -> None:
    answer(summary(CUT, NEAR))
    result = invoke("verify")
    assert result.exit_code == 1
    assert "verify done in 1.5 s: prepared" in result.stdout
    for text in ("a b.png", "is cut off after 10 bytes", "copy it again", "class snow is absent from val"):
        assert text in result.stdout
    assert "Error:" not in result.stderr


def test_warnings_end_well(invoke: Invoke, answer: Any) -> None:
    answer(summary(NEAR))
    assert invoke("verify").exit_code == 0


def test_nothing_is_wrong(invoke: Invoke, answer: Any) -> None:
    answer(summary())
    result = invoke("verify")
    assert result.exit_code == 0
    assert "nothing is wrong" in result.stdout


def test_long_lists_are_counted_and_json_holds_all(invoke: Invoke, answer: Any) -> None:
    many = [Finding(f"{number}.png", "error", "unreadable", "is cut off", "copy it again") for number in range(60)]
    answer(summary(*many))
    assert "55 more of this kind" in invoke("verify").stdout
    result = invoke("verify", "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["findings"]) == 60


def test_fix_is_handed_on_and_what_was_moved_is_shown(invoke: Invoke, answer: Any) -> None:
    calls = answer(summary(moved=(Move("a.png", ".terrazzo-set-aside/now/a.png"),)))
    assert ".terrazzo-set-aside/now/a.png" in invoke("verify", "--fix").stdout
    invoke("verify")
    assert calls == [{"fix": True}, {"fix": False}]


def test_a_run_that_stops_on_errors_shows_the_table(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verbs: Any
) -> None:
    from terrazzo.cli import run

    content = {"format": FORMAT, "inputs": "", "images": {}, "findings": [vars(CUT)]}
    (tmp_path / "verify.json").write_text(json.dumps({**content, "checksum": fingerprint(content)}))
    config = type("Config", (), {"folder": tmp_path})()
    monkeypatch.setattr(run, "load", lambda _: config)
    verbs.error = UnfitDataError("the data has 1 errors")
    result = invoke("run")
    assert result.exit_code == 1
    assert "is cut off after 10 bytes" in result.stdout
    assert "Error: the data has 1 errors" in result.stderr
