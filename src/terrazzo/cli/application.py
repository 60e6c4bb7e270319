"""The program `terrazzo`: its commands, its version, and what a signal does.

Nothing heavy loads here: commands import what they need in their bodies, so that help answers at once.
"""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from terrazzo import __version__
from terrazzo.cli import areas, config
from terrazzo.cli.calibrate import calibrate
from terrazzo.cli.compare import compare
from terrazzo.cli.completion import answer, completion
from terrazzo.cli.demo import demo
from terrazzo.cli.doctor import doctor
from terrazzo.cli.ensemble import ensemble
from terrazzo.cli.evaluate import evaluate
from terrazzo.cli.export import export
from terrazzo.cli.group import Group
from terrazzo.cli.init import init
from terrazzo.cli.listing import list_names
from terrazzo.cli.predict import predict
from terrazzo.cli.prepare import prepare
from terrazzo.cli.profile import profile
from terrazzo.cli.run import run
from terrazzo.cli.serve import serve
from terrazzo.cli.sweep import sweep
from terrazzo.cli.train import train
from terrazzo.cli.verify import verify
from terrazzo.cli.view import view

__all__ = ["application", "main"]

_EPILOG = "Exit status: 0 done, 2 wrong arguments or configuration, 130 interrupted, 1 anything else."

# Help drawn by rich takes three times as long to appear as plain help; the options that install completion make Typer
# load pydantic before any command's help.
application = typer.Typer(
    name="terrazzo",
    cls=Group,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    init,
    verify,
    prepare,
    train,
    ensemble,
    calibrate,
    evaluate,
    compare,
    export,
    predict,
    serve,
    view,
    profile,
    run,
    sweep,
):
    application.command()(command)
application.command()(doctor)
application.command()(completion)
application.command("list")(list_names)
application.add_typer(areas.application, name="areas")
application.add_typer(config.application, name="config")


def _show_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"terrazzo {__version__}")
        raise typer.Exit
    return asked


@application.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From imagery and labels to a trained model and a map that can be trusted."""


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Leave as on an interrupt, so that locks are freed and temporary files removed."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line and exit with its status."""
    signal.signal(signal.SIGTERM, _terminate)
    if answer(application, sys.argv[1:]):
        return
    application(prog_name="terrazzo")
