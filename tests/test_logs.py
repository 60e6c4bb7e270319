"""Messages of a run."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from terrazzo import logs
from terrazzo.errors import StorageError
from terrazzo.logs import LoggingSettings, Timing, configure_logging, console, is_leader, redact, timed

LOG = logging.getLogger("terrazzo.test")
ROOM = logging.getLogger("terrazzo")


@pytest.fixture(autouse=True)
def _handlers_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    handlers, level = list(ROOM.handlers), ROOM.level
    yield
    for handler in set(ROOM.handlers) - set(handlers):
        ROOM.removeHandler(handler)
        handler.close()
    ROOM.setLevel(level)


def speak() -> None:
    LOG.debug("a debug line")
    LOG.info("an info line")
    LOG.warning("a warning line")
    LOG.error("an error line")


def words_in(text: str) -> list[str]:
    return [word for word in ("debug", "info", "warning", "error") if f"{word} line" in text]


@pytest.mark.parametrize(
    ("level", "shown", "kept"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"], ["info", "warning", "error"]),
        ("warning", ["warning", "error"], ["info", "warning", "error"]),
        ("error", ["error"], ["info", "warning", "error"]),
    ],
)
def test_the_level_rules_the_terminal_and_files_keep_more(
    level: str, shown: list[str], kept: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LoggingSettings(level=level), tmp_path)
    speak()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words_in(captured.err) == shown
    assert words_in((tmp_path / "log.txt").read_text()) == kept


def test_without_a_run_folder_there_is_only_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings())
    speak()
    assert words_in(capsys.readouterr().err) == ["info", "warning", "error"]
    assert [handler.name for handler in ROOM.handlers if handler.name] == ["terrazzo.terminal"]


def test_a_further_file_gets_the_same(tmp_path: Path) -> None:
    elsewhere = tmp_path / "my logs" / "Prüfung.log"
    configure_logging(LoggingSettings(level="debug", file=elsewhere), tmp_path / "run")
    speak()
    LOG.info("Straße 道")
    assert elsewhere.read_text(encoding="utf-8") == (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert "Straße 道" in elsewhere.read_text(encoding="utf-8")


def test_a_resumed_run_adds_to_its_log(tmp_path: Path) -> None:
    for part in ("first", "second"):
        configure_logging(LoggingSettings(), tmp_path)
        LOG.info("%s part", part)
    text = (tmp_path / "log.txt").read_text()
    assert text.index("first part") < text.index("second part")
    assert len(text.splitlines()) == 2, "an earlier handler must not write a second copy"


def test_another_run_takes_the_log_over(tmp_path: Path) -> None:
    configure_logging(LoggingSettings(), tmp_path / "a")
    configure_logging(LoggingSettings(), tmp_path / "b")
    LOG.info("for b")
    assert (tmp_path / "a" / "log.txt").read_text() == ""
    assert "for b" in (tmp_path / "b" / "log.txt").read_text()


@pytest.mark.parametrize("timestamps", [True, False])
def test_times_can_be_left_out_on_the_terminal(
    timestamps: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LoggingSettings(timestamps=timestamps), tmp_path)
    LOG.info("an info line")
    line = capsys.readouterr().err
    assert line[:1].isdigit() is timestamps
    assert line.endswith("INFO an info line\n")
    assert (tmp_path / "log.txt").read_text()[:2] == "20", "files always have the date"


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "LOCAL_RANK"])
def test_only_the_leading_process_speaks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert not is_leader()
    configure_logging(LoggingSettings(), tmp_path)
    LOG.warning("a warning line")
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(name, "0")
    assert is_leader()


def test_errors_of_other_processes_are_shown_and_kept_with_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("HUB_TOKEN", "s3cr3t-value")
    configure_logging(LoggingSettings(), tmp_path)
    speak()
    with pytest.raises(ValueError, match="diverged"), timed("train"):
        raise ValueError("the loss diverged near s3cr3t-value")
    shown = capsys.readouterr().err
    kept = (tmp_path / "log-process-3.txt").read_text()
    for text in (shown, kept):
        assert words_in(text) == ["error"]
        assert "train: the loss diverged near ***" in text
    assert "process 3 ERROR an error line" in shown
    assert not (tmp_path / "log.txt").exists()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestJson:
    """One object a line."""

    def test_terminal_and_files_have_the_same_fields(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUB_TOKEN", "s3cr3t-value")
        configure_logging(LoggingSettings(format="json", file=tmp_path / "more.jsonl"), tmp_path)
        LOG.info("Straße \n with s3cr3t-value")
        with timed("prepare"):
            LOG.warning("inside")
        TestSecrets.fail_with("s3cr3t-value")
        lines = lines_of(tmp_path / "log.jsonl")
        assert lines == lines_of(tmp_path / "more.jsonl")
        assert lines == [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        first, begins, inside, done, failed = lines
        assert first.keys() == {"time", "level", "logger", "message"}
        assert datetime.fromisoformat(first["time"]).utcoffset() is not None
        assert (first["level"], first["logger"], first["message"]) == ("info", "terrazzo.test", "Straße \n with ***")
        assert [line["phase"] for line in (begins, inside, done)] == ["prepare"] * 3
        assert done["message"].startswith("prepare: done after")
        assert 0 <= done["seconds"] < 5
        assert "ValueError: refused ***" in failed["exception"]
        assert "phase" not in failed
        assert not (tmp_path / "log.txt").exists()

    def test_times_can_be_left_out_on_the_terminal_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging(LoggingSettings(format="json", timestamps=False), tmp_path)
        LOG.info("an info line")
        assert "time" not in json.loads(capsys.readouterr().err)
        assert "time" in lines_of(tmp_path / "log.jsonl")[0]

    def test_other_processes_say_which_they_are(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RANK", "2")
        configure_logging(LoggingSettings(format="json"))
        LOG.error("an error line")
        assert json.loads(capsys.readouterr().err)["process"] == 2


def test_a_verb_inside_a_phase_leaves_the_runs_log_open(tmp_path: Path) -> None:
    configure_logging(LoggingSettings(), tmp_path)
    with timed("verify"):
        configure_logging(LoggingSettings())
        LOG.info("inside the phase")
    configure_logging(LoggingSettings())
    LOG.info("after the run")
    text = (tmp_path / "log.txt").read_text()
    assert "inside the phase" in text
    assert "verify: done" in text
    assert "after the run" not in text


def test_the_global_rank_outweighs_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "8")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not is_leader()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.txt").mkdir()
    with pytest.raises(StorageError, match=r"log\.txt cannot be opened.*logging\.file"):
        configure_logging(LoggingSettings(), tmp_path)


def test_a_closed_terminal_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(LoggingSettings(), tmp_path)
    with (tmp_path / "closed").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    LOG.info("still here")
    assert "still here" in (tmp_path / "log.txt").read_text()


def test_other_handlers_are_left_alone(tmp_path: Path) -> None:
    theirs = logging.NullHandler()
    ROOM.addHandler(theirs)
    configure_logging(LoggingSettings(), tmp_path)
    assert theirs in ROOM.handlers


class TestSecrets:
    """What must never stand in a log."""

    @pytest.mark.parametrize("name", ["WANDB_API_KEY", "hub_token", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
    def test_secrets_of_the_environment(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "s3cr3t-value")
        configure_logging(LoggingSettings(level="debug"), tmp_path)
        LOG.info("calling with %s", "s3cr3t-value")
        self.fail_with("s3cr3t-value")
        text = (tmp_path / "log.txt").read_text()
        assert "calling with ***" in text
        assert "ValueError: refused ***" in text, "tracebacks too"
        assert "s3cr3t-value" not in text + capsys.readouterr().err

    @staticmethod
    def fail_with(secret: str) -> None:
        try:
            raise ValueError(f"refused {secret}")
        except ValueError:
            LOG.exception("failed")

    def test_ordinary_variables_are_no_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERRAZZO_CONFIG", "settings.yaml")
        assert redact("reading settings.yaml") == "reading settings.yaml"

    def test_short_values_stay_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("USE_TOKEN", "true")
        assert redact("deterministic is true") == "deterministic is true"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("https://me:pass@host/x", "https://me:***@host/x"),
            ("s3://:key@bucket", "s3://:***@bucket"),
            ("https://host:8080/a@b", "https://host:8080/a@b"),
            ("10:30 at home@example.org", "10:30 at home@example.org"),
        ],
    )
    def test_passwords_in_addresses(self, text: str, shown: str) -> None:
        assert redact(text) == shown


class TestTimed:
    """How long a phase took."""

    def test_begin_and_end_are_logged_and_recorded(self, tmp_path: Path) -> None:
        configure_logging(LoggingSettings(), tmp_path)
        seconds: dict[str, float] = {}
        with timed("prepare", into=seconds) as timing:
            assert timing == Timing("prepare", 0.0)
        lines = (tmp_path / "log.txt").read_text().splitlines()
        assert lines[0].endswith("prepare: begins.")
        assert "prepare: done after 0.0 s." in lines[1]
        assert seconds == {"prepare": timing.seconds}
        assert 0 < timing.seconds < 5

    def test_a_failed_phase_is_recorded_too(self, tmp_path: Path) -> None:
        configure_logging(LoggingSettings(), tmp_path)
        seconds: dict[str, float] = {}
        with pytest.raises(RuntimeError), timed("train", into=seconds):
            raise RuntimeError
        text = (tmp_path / "log.txt").read_text()
        assert "train: RuntimeError" in text
        assert "train: stopped after" in text
        assert seconds["train"] > 0

    def test_a_phase_entered_twice_adds_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter([0.0, 2.0, 10.0, 13.0])
        monkeypatch.setattr(logs.time, "monotonic", lambda: next(clock))
        seconds: dict[str, float] = {}
        for _ in range(2):
            with timed("evaluate", into=seconds):
                pass
        assert seconds == {"evaluate": 5.0}

    def test_the_mapping_is_optional(self) -> None:
        with timed("predict") as timing:
            pass
        assert timing.seconds > 0


def test_there_is_one_console_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert console() is console()
    console().print("a message")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a message\n")


def test_a_terminal_gets_coloured_lines() -> None:
    code = (
        "import logging; from terrazzo.logs import LoggingSettings, configure_logging as c; c(LoggingSettings());"
        "logging.getLogger('terrazzo').warning('[red]not markup[/red]')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"FORCE_COLOR": "1", "TERM": "xterm", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "\x1b[" in done.stderr
    assert "[red]not markup[/red]" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("wrong", [{"level": "loud"}, {"timestamps": "perhaps"}, {"files": "x"}, {"format": "xml"}])
def test_wrong_settings_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LoggingSettings(**wrong)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in LoggingSettings.model_fields.values())
    assert LoggingSettings.model_validate({"file": None}) == LoggingSettings()
