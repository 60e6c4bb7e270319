"""`terrazzo view`."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import Debug
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

__all__ = ["view"]


def view(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FOLDER|MAP|IMAGE", help="A run folder, a folder of maps or images, or single rasters."
        ),
    ],
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The image of the one map that is given, where it is not found by itself."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    opened: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    debug: Debug = False,
) -> None:
    """Look at maps and images in a browser."""
    with Session("view", debug=debug):
        missing = [name for name in ("fastapi", "uvicorn", "rio_tiler") if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"terrazzo view needs {', '.join(missing)}, not installed here: pip install 'terrazzo[serve]'."
            )
        from terrazzo.serve.local_view import view as look_at

        look_at(
            paths,
            image=image,
            port=port,
            open_browser=opened,
            tell=lambda address: typer.echo(f"{address}\nCtrl-C ends it."),
        )
