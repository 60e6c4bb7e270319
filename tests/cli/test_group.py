"""Groups of commands."""

import subprocess
import sys

import typer
from typer.testing import CliRunner

from terrazzo.cli.group import Group


def application(**settings: bool) -> typer.Typer:
    """Return a group with one command."""
    found = typer.Typer(cls=Group, rich_markup_mode=None, **settings)

    @found.callback()
    def options() -> None:
        """Say what the group is for."""

    @found.command()
    def work(name: str = "x") -> None:
        """Work."""
        typer.echo(f"worked on {name}")

    return found


def test_help_still_helps() -> None:
    for arguments in (["--help"], ["work", "--help"]):
        result = CliRunner().invoke(application(), arguments)
        assert result.exit_code == 0
        assert "Usage:" in result.stdout


def test_commands_still_work() -> None:
    assert CliRunner().invoke(application(), ["work", "--name", "y"]).stdout == "worked on y\n"


def test_a_group_without_help_has_none() -> None:
    found = typer.main.get_command(application())
    found.add_help_option = False
    assert found.get_help_option(typer.Context(found)) is None


def test_typer_alone_would_load_pydantic() -> None:
    """Why the class exists: where this fails, Typer has mended it and the class can go."""
    code = """
import sys, typer
found = typer.Typer(rich_markup_mode=None, add_completion=False)
found.callback()(lambda: None)
found.command("work")(lambda: None)
found(["work", "--help"], standalone_mode=False)
print("pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "True"
