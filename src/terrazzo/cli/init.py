"""`terrazzo init`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Debug
from terrazzo.cli.session import Session

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images and labels.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR|FILE", help="Folder for terrazzo.yaml, or the file to write; here if left out."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Recognise a folder of images and labels.

    Writes a commented configuration that `terrazzo run` takes as it is. Nothing is overwritten.
    """
    with Session("init", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.init import init as init_config

        done = init_config(folder, out=out, listener=session.listener)
        if as_json:
            session.finish(done)
        else:
            session.show({key: value for key, value in done.as_dict().items() if key not in {"found", "reasons"}})
            for sentence in (*done.found, *done.reasons):
                typer.echo(f"  {sentence}")
