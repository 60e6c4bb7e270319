"""`terrazzo config`: show, check and describe configurations."""

from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.cli.group import Group
from terrazzo.cli.options import AsJson, Configuration, Debug, load, split_arguments
from terrazzo.cli.session import Session

if TYPE_CHECKING:
    from terrazzo.config.explain import Explanation

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


@application.command()
def explain(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="A setting (optimizer.lr), a section (predict) or a component (model.hardnet70, adamw)."
        ),
    ],
    configuration: Configuration = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a key means, what it may be, and who sets it to what.

    Type, default, limits, choices, the keys below it, recipes that set it, and where the present configuration does.
    """
    with Session("config explain", as_json=as_json, debug=debug) as session:
        from terrazzo.config.explain import explain as look

        found = look(key, *split_arguments(configuration))
        if as_json:
            session.show({"key": key, "found": [each.as_dict() for each in found]})
        else:
            session.listener.close()
            for position, each in enumerate(found):
                if position:
                    typer.echo()
                _print(each)


def _print(told: "Explanation") -> None:
    """Print an explanation: what it is first, then facts, who sets it, and the keys below it."""
    from rich.text import Text

    from terrazzo.cli.terminal import output, show_table
    from terrazzo.logs import redact

    console = output()
    head = Text(told.key, style="bold")
    head.append(f"  ({told.component})" if told.component else "", style="dim")
    console.print(head, soft_wrap=True)
    console.print(Text(told.description), soft_wrap=True)
    facts = {
        "type": told.type if told.kind != "component" else "",
        "also a key of": ", ".join(told.also),
        "limits": ", ".join(told.constraints),
        "choices": ", ".join(told.choices),
        "default": "" if told.kind == "component" else "must be given" if told.required else _shown(told.default),
    }
    for name, recipe in told.recipes.items():
        facts[f"recipe {name}"] = f"{_shown(recipe.value)}  ({recipe.place.rpartition('/')[2]})"
    if told.here is not None:
        facts["here"] = f"{_shown(told.here.value)}  ({told.here.place})"
    elif told.configuration:
        facts["here"] = f"not set by {told.configuration}"
    width = max((len(name) for name, value in facts.items() if value), default=0)
    for name, value in facts.items():
        if value:
            console.print(Text(f"  {name:<{width}}  {redact(value)}"), soft_wrap=True)
    if told.keys:
        show_table([{**row, "default": _shown(row["default"])} for row in told.keys], console=console)


def _shown(value: object) -> str:
    """Return a value as it is written in YAML, on one line."""
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
