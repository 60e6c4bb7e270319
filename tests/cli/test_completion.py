"""`terrazzo completion`, in a real shell."""

import json
import os
import shutil
import subprocess
import sys
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
