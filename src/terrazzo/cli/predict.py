"""`terrazzo predict`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Debug, Model
from terrazzo.cli.session import Session

__all__ = ["predict"]


def predict(
    model: Model,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Rasters, or folders of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR|FILE", help="Folder for the maps, or the one map's file.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Map scenes of any size."""
    with Session("predict", as_json=as_json, debug=debug) as session:
        from terrazzo import predict as map_scenes

        session.finish(map_scenes(model, inputs, out, listener=session.listener))
