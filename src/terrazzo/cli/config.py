"""`terrazzo config`: show, check and describe configurations."""

from typing import Annotated

import typer

from terrazzo.cli.group import Group
from terrazzo.cli.options import Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["application"]

application = typer.Typer(
    cls=Group,
    help="Show, check and describe configurations.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@application.command()
def show(configuration: Configuration = None, debug: Debug = False) -> None:
    """Print the whole configuration as YAML.

    Defaults are filled in, includes and settings merged.
    """
    with Session("config show", debug=debug):
        typer.echo(load(configuration).dump(), nl=False)


@application.command()
def check(configuration: Configuration = None, debug: Debug = False) -> None:
    """Read a configuration and report every error in it at once."""
    with Session("config check", debug=debug):
        typer.echo(f"The configuration of {load(configuration).name} is right.")


@application.command()
def schema(
    indent: Annotated[int, typer.Option(min=0, help="Spaces of indentation.")] = 2, debug: Debug = False
) -> None:
    """Print the JSON Schema of configurations, for editors."""
    with Session("config schema", debug=debug):
        import json

        from terrazzo.config import config_schema

        typer.echo(json.dumps(config_schema(), indent=indent, ensure_ascii=False))
