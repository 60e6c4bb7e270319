"""Arguments that several commands share, and the configuration that they name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.errors import ConfigError

if TYPE_CHECKING:
    import terrazzo.config

__all__ = ["AsJson", "Backbone", "Configuration", "Debug", "Model", "load", "split_arguments"]

Configuration = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG|RECIPE|KEY=VALUE",
        help="A YAML file or a recipe's name, then settings such as train.epochs=80. Without a file: $TERRAZZO_CONFIG, "
        "then terrazzo.yaml or config.yml in this folder or above it.",
        show_default=False,
    ),
]
Model = Annotated[Path, typer.Argument(metavar="BUNDLE|RUN", help="A bundle, or a run folder with its best one.")]
Backbone = Annotated[
    Path | None,
    typer.Option(
        "--backbone",
        metavar="PATH",
        help="File or folder of the frozen weights that the bundle leans on; where its run found them if not given.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where in the program an error arose.")]


def split_arguments(arguments: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """Return the configuration's file or recipe, if the first argument is one, and the settings after it.

    Raises:
        ConfigError: A later argument is no `key=value`.

    >>> split_arguments(["deepglobe.yaml", "train.epochs=80"])
    ('deepglobe.yaml', ['train.epochs=80'])
    >>> split_arguments(["model=unet"])
    (None, ['model=unet'])
    """
    given = list(arguments or ())
    source = given.pop(0) if given and ("=" not in given[0] or Path(given[0]).is_file()) else None
    for argument in given:
        if "=" not in argument:
            raise ConfigError(f'"{argument}" is no setting; after the configuration write KEY=VALUE.')
    return source, given


def load(arguments: Sequence[str] | None, *, folder: Path | None = None) -> "terrazzo.config.RunConfig":
    """Return the configuration that a command's arguments name.

    Args:
        arguments: A file or recipe, then settings.
        folder: Run folder whose `config.yaml` stands in where the arguments hold settings only.

    Raises:
        ConfigError: It cannot be found or is wrong.
    """
    from terrazzo.config import load_config

    source, overrides = split_arguments(arguments)
    if source is None and folder is not None and (folder / "config.yaml").is_file():
        return load_config(folder / "config.yaml", *overrides)
    return load_config(source, *overrides)
