"""`terrazzo completion`, in a real shell."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from terrazzo.cli import completion_keys
from terrazzo.cli.application import application
from terrazzo.cli.completion import answer

KEYS = [
    ["machine.precision", ["auto", "bfloat16"], "Arithmetic.", False, False, []],
    ["train.epochs", [], "Passes.", False, False, []],
]
BASH = r"""
PATH="$PROGRAMS:$PATH"
eval "$(terrazzo completion bash)"
complete -p terrazzo
complete_line() {
    COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=(terrazzo) COMP_CWORD=1
    _terrazzo_completion
    printf '%s\n' "== $1" "${COMPREPLY[@]}"
}
complete_line 'terrazzo conf'
complete_line 'terrazzo train train.'
complete_line 'terrazzo train machine.precision=b'
complete_line 'terrazzo train my'
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A shell's environment whose cache knows two keys."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = completion_keys.file()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(KEYS))
    return {**os.environ, "PROGRAMS": str(Path(sys.executable).parent), "LC_ALL": "C.UTF-8"}


def test_bash_completes(environment: dict[str, str], tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "my größe.yaml").write_text("")
    done = subprocess.run(
        [bash, "--norc", "-c", BASH],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    registered, *blocks = done.stdout.split("== ")
    assert "_terrazzo_completion terrazzo" in registered
    answers = {block.splitlines()[0]: block.splitlines()[1:] for block in blocks}
    assert answers == {
        "terrazzo conf": ["config"],
        "terrazzo train train.": ["train.epochs="],
        "terrazzo train machine.precision=b": ["bfloat16"],
        "terrazzo train my": ["my größe.yaml"],
    }
    assert done.stderr == ""


LINES = {
    "terrazzo conf": "config",
    "terrazzo train train.": "train.epochs=",
    "terrazzo train machine.precision=b": "machine.precision=bfloat16",
    "terrazzo train my": "my größe.yaml",
}
FISH = r"""
set -gx PATH $PROGRAMS $PATH
terrazzo completion fish | source
"""


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my größe.yaml").write_text("")
    asked = "".join(f"echo '== {line}'\ncomplete -C '{line}'\n" for line in LINES)
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH + asked],
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=120,
        check=True,
    )
    blocks = done.stdout.split("== ")[1:]
    # Behind a tab stands what a word means.
    answers = {block.splitlines()[0]: block.splitlines()[1].partition("\t")[0] for block in blocks}
    assert answers == LINES


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize("line", LINES)
def test_zsh_completes(line: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my größe.yaml").write_text("")
    terminal, end = pty.openpty()
    # A session of its own: what ends the shell must not end the tests.
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=end,
        stdout=end,
        stderr=end,
        env=environment | {"TERM": "dumb", "PS1": "> "},
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        setup = 'PATH="$PROGRAMS:$PATH"; autoload -Uz compinit; compinit -u -D; eval "$(terrazzo completion zsh)"'
        # With the prompt, so that the shell reads keys by itself.
        _typed(terminal, f"{setup}; bindkey '^I' complete-word; echo re''ady\n", until=r"ready\r\n[^>]*> ")
        wanted = LINES[line].replace(" ", "\\ ")
        shown = _typed(terminal, f"{line}\t", until=re.escape(wanted[len(line.split()[-1]) :]))
        assert wanted in shown.replace("\a", "")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)
        os.close(end)


def _typed(terminal: int, keys: str, *, until: str, seconds: float = 60) -> str:
    """Type keys and return what the terminal shows until a pattern appears."""
    os.write(terminal, keys.encode())
    shown, end = b"", time.monotonic() + seconds
    while not re.search(until, shown.decode(errors="replace")) and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536)
    return shown.decode(errors="replace")


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_each_script_is_what_its_shell_reads(
    shell: str, check: str, tmp_path: Path, invoke: Callable[..., Result], environment: dict[str, str]
) -> None:
    del environment
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert f"completion {shell} -- " in result.stdout
    if (program := shutil.which(shell)) is not None:
        script = tmp_path / "script"
        script.write_text(result.stdout)
        subprocess.run([program, check, str(script)], check=True, timeout=60)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_ask_with_words(
    shell: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    del environment
    assert answer(application, ["completion", shell, "--", "terrazzo", "train", "--debug", "machine.precision=b"])
    assert capsys.readouterr().out == "word\tmachine.precision=bfloat16\t\n"


@pytest.mark.parametrize(
    "arguments", [[], ["completion", "bash"], ["train", "x", "--", "y"], ["completion", "bash", "x"]]
)
def test_what_is_no_question_is_left_to_the_commands(arguments: list[str]) -> None:
    assert not answer(application, arguments)


def test_answers_load_nothing_heavy(environment: dict[str, str]) -> None:
    code = """
import sys
from terrazzo.cli.application import main
sys.argv = ["terrazzo", "completion", "bash", "--", "terrazzo train "]
main()
print("LOADED", *{name.partition('.')[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert loaded & {"torch", "pydantic", "numpy", "yaml", "rich", "rasterio", "omegaconf"} == set()
