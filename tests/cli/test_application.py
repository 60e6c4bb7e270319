"""The program as a whole: help, version, exit status, signals, and what loads at start-up."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import terrazzo
from terrazzo.cli.application import application

PROGRAM = str(Path(sys.executable).with_name("terrazzo"))
COMMANDS = [
    "demo", "init", "verify", "prepare", "train", "ensemble", "calibrate", "evaluate", "compare", "predict", "profile",
    "run", "sweep", "serve", "view", "list", "areas", "config", "doctor", "completion", "export",
]  # fmt: skip
GROUPS = {"config": ("show", "check", "schema", "explain"), "areas": ("sample", "estimate")}
HELPS = [[], *([name] for name in COMMANDS), *([group, name] for group, names in GROUPS.items() for name in names)]
HEAVY = {"torch", "rasterio", "pydantic", "omegaconf", "pandas", "numpy", "yaml", "lightning_fabric", "scipy", "rich"}


def test_help_names_every_command_and_exit_status(invoke: Callable[..., Result]) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)
    assert "130 interrupted" in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_every_sentence_of_help_is_whole(command: list[str], invoke: Callable[..., Result]) -> None:
    result = invoke(*command, "-h")
    assert result.exit_code == 0
    described, _, _ = result.stdout.partition("Options:")
    assert "Usage: terrazzo" in described
    assert not any(line.endswith("...") for line in result.stdout.partition("Commands:")[2].splitlines())


def test_help_loads_nothing_heavy() -> None:
    """Every command's help, in one fresh process."""
    code = f"""
import sys
from terrazzo.cli.application import application
for command in {HELPS!r}:
    application([*command, "--help"], standalone_mode=False)
print("LOADED", *{{name.partition('.')[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.rpartition("LOADED")[2].split()) & HEAVY == set()


def test_the_version(invoke: Callable[..., Result]) -> None:
    assert invoke("--version").stdout == f"terrazzo {terrazzo.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train", "--epochs"], ["config", "shwo"], ["prepare", "--preview", "x"]]
)
def test_wrong_arguments_are_status_2_on_standard_error(arguments: list[str], invoke: Callable[..., Result]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_command_shows_the_help(invoke: Callable[..., Result]) -> None:
    result = invoke()
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_the_installed_program_runs() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"terrazzo {terrazzo.__version__}\n"


WAITING = """
import sys, time, types
from pathlib import Path
from terrazzo.storage import locked

def demo(out, *, listener):
    try:
        with locked(out):
            print("working", flush=True)
            time.sleep(60)
    finally:
        Path("cleaned").touch()

sys.modules["terrazzo.phases.demo"] = types.SimpleNamespace(demo=demo)
sys.argv = ["terrazzo", "demo", "--out", "held"]
from terrazzo.cli import main
main()
"""


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "Error: Interrupted."), (signal.SIGTERM, 143, "")]
)
def test_a_signal_cleans_up_and_has_its_status(number: signal.Signals, status: int, said: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # A test run that was itself started in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors.strip() == said
    assert (tmp_path / "cleaned").exists()


TALKING = """
import sys, types

class Summary:
    def as_dict(self):
        return {f"figure {number}": "x" * 100 for number in range(10_000)}

sys.modules["terrazzo.phases.demo"] = types.SimpleNamespace(demo=lambda out, *, listener: Summary())
sys.argv = ["terrazzo", "demo"]
from terrazzo.cli import main
main()
"""


def test_a_reader_that_leaves_early_is_no_error() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", TALKING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stderr is not None
    assert program.stdout.readline() == "demo done\n"
    program.stdout.close()
    assert program.wait(timeout=60) == 1
    assert program.stderr.read() == ""
    program.stderr.close()


def test_the_application_is_what_the_package_installs() -> None:
    from importlib.metadata import entry_points

    (point,) = [point for point in entry_points(group="console_scripts") if point.name == "terrazzo"]
    assert point.value == "terrazzo.cli:main"
    assert application.info.name == "terrazzo"
