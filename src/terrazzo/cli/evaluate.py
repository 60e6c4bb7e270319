"""`terrazzo evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Configuration, Debug, Model, load
from terrazzo.cli.session import Session

__all__ = ["evaluate"]


def evaluate(
    model: Model,
    configuration: Configuration = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Images and labels, or prepared data, to judge on instead of the configuration's."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Split role to judge on.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the scores.")] = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure how well a model does on a split.

    Every labelled pixel counts exactly once. Without a configuration, that of the run folder is used.
    """
    with Session("evaluate", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.evaluate import evaluate as evaluate_model
        from terrazzo.phases.model_files import ModelFiles

        config = load(configuration, folder=model) if configuration else None
        files = ModelFiles(model, backbone)
        session.finish(evaluate_model(files, config, data=data, split=split, out=out, listener=session.listener))
