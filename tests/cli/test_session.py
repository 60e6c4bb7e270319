"""How a command ends."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import Result

from terrazzo.cli.session import Session, exit_status
from terrazzo.errors import BundleError, ConfigError, DataError, LockedError, TrainingError
from terrazzo.logs import LoggingSettings, configure_logging


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("train.epochs is -1"), 2),
        (DataError("band 3 of Zürich.tif"), 1),
        (BundleError("no bundle"), 1),
        (LockedError("in use by process 7"), 1),
        (TrainingError("the loss is NaN"), 1),
        (OSError(28, "No space left on device"), 1),
        (ZeroDivisionError("division by zero"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_status_and_no_traceback(
    error: BaseException, status: int, invoke: Callable[..., Result], verbs: Any
) -> None:
    verbs.error = error
    result = invoke("train")
    assert result.exit_code == exit_status(error) == status
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert (str(error) or "Interrupted") in result.stderr


def test_an_error_of_ours_is_one_line(invoke: Callable[..., Result], verbs: Any) -> None:
    verbs.error = DataError("a very long message " * 20 + "[red]not markup[/red]")
    result = invoke("train")
    last = result.stderr.splitlines()[-1]
    assert last == f"Error: {verbs.error}"


def test_an_unexpected_error_says_how_to_see_where_it_arose(invoke: Callable[..., Result], verbs: Any) -> None:
    verbs.error = ZeroDivisionError("division by zero")
    result = invoke("train")
    assert "train failed unexpectedly, ZeroDivisionError: division by zero" in result.stderr
    assert "--debug" in result.stderr


@pytest.mark.parametrize("error", [ConfigError("wrong"), ZeroDivisionError("wrong")])
def test_debug_shows_the_traceback_and_keeps_the_status(
    error: Exception, invoke: Callable[..., Result], verbs: Any
) -> None:
    verbs.error = error
    result = invoke("train", "--debug")
    assert result.exit_code == exit_status(error)
    assert "Traceback (most recent call last)" in result.stderr
    assert "conftest.py" in result.stderr
    assert "--debug" not in result.stderr.splitlines()[-1]


def test_an_unexpected_error_leaves_its_traceback_in_the_log(
    invoke: Callable[..., Result], verbs: Any, tmp_path: Path
) -> None:
    verbs.error = ZeroDivisionError("division by zero")
    configure_logging(LoggingSettings(), tmp_path / "run")
    try:
        invoke("train")
    finally:
        for handler in list(logging.getLogger("terrazzo").handlers):
            if (handler.name or "").startswith("terrazzo."):
                logging.getLogger("terrazzo").removeHandler(handler)
                handler.close()
    text = (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError" in text


def test_a_secret_is_not_in_the_message(
    invoke: Callable[..., Result], verbs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", "s3cr3t-value")
    verbs.error = DataError("refused with s3cr3t-value")
    result = invoke("train")
    assert "refused with ***" in result.stderr
    assert "s3cr3t-value" not in result.output


def test_a_process_that_does_not_lead_shows_nothing(
    invoke: Callable[..., Result], verbs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    for arguments in (["train"], ["train", "--json"]):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert result.output == ""
    assert len(verbs.calls) == 2


def test_a_summary_that_is_no_json_is_a_defect_not_bad_output(invoke: Callable[..., Result], verbs: Any) -> None:
    verbs.summary.content = {"miou": float("nan")}
    result = invoke("train", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""


def test_json_keeps_other_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    with Session("list", as_json=True) as session:
        session.show({"class": "Straße"})
    out = capsys.readouterr().out
    assert "Straße" in out
    assert json.loads(out) == {"class": "Straße"}


def test_an_exit_inside_passes_through() -> None:
    with pytest.raises(typer.Exit) as caught, Session("train"):
        raise typer.Exit(7)
    assert caught.value.exit_code == 7
