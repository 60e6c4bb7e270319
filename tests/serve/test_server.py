"""How `terrazzo serve` begins: what is wrong is said before any model is loaded."""

import importlib.util
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from terrazzo.cli.application import application
from terrazzo.errors import ConfigError, LockedError
from terrazzo.serve.server import serve
from terrazzo.serve.settings import ServeSettings
from terrazzo.storage import locked


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application, ["serve", *arguments])
    return result.exit_code, " ".join(result.stderr.split())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else real(name, *rest)
    )
    status, said = _run("a.safetensors")
    assert status == 2
    assert "needs uvicorn, which is not installed" in said
    assert "terrazzo[serve]" in said


@pytest.mark.usefixtures("quiet_torch")
def test_wrong_arguments_are_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERRAZZO_NO_KEY", raising=False)
    served = ("--folder", str(tmp_path / "served"), "--port", "0")
    wrong = {
        ("a.safetensors", *served): (1, "a.safetensors does not exist"),
        ("a.safetensors", "--root", str(tmp_path / "no")): (2, "is no folder"),
        ("a.safetensors", "serve.kept_day=1"): (2, 'Did you mean "kept_days"?'),
        ("a.safetensors", "--api-key-env", "TERRAZZO_NO_KEY", *served): (2, "TERRAZZO_NO_KEY"),
        ("serve.kept_days=1", *served): (2, "No bundle is given to serve"),
    }  # fmt: skip
    for arguments, (expected, words) in wrong.items():
        status, said = _run(*arguments)
        assert (status, words in said) == (expected, True), (arguments, said)


@pytest.mark.usefixtures("quiet_torch")
def test_a_taken_address_or_folder_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened on"):
            serve([Path("a.safetensors")], ServeSettings(port=port, folder=tmp_path / "a"))
    with locked(tmp_path / "b"), pytest.raises(LockedError, match="in use"):
        serve([Path("a.safetensors")], ServeSettings(port=0, folder=tmp_path / "b"))
