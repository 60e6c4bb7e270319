"""`terrazzo compare`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["compare"]

_WHAT = "A bundle, a run folder, or the folder of a finished evaluation, such as runs/a/evaluate/test."


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help=_WHAT)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Likewise.")],
    configuration: Configuration = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Images and labels, or prepared data, to judge bundles on."),
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Split role to judge bundles on.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for compare.json.")] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Judge bundles only on the first N images.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell whether two models differ on the same images.

    A less B, with intervals and p-values, of the whole and of each class. Bundles are judged now; finished evaluations
    are compared as they are.
    """
    with Session("compare", as_json=as_json, debug=debug) as session:
        from terrazzo.cli.evaluate import evaluation_settings
        from terrazzo.phases.compare import compare as compare_models
        from terrazzo.phases.model_files import run_config_of
        from terrazzo.training.settings import EvaluateSettings

        config = load(configuration, folder=first) if configuration else None
        settings = None
        if limit is not None:
            own = config or run_config_of(first)
            settings = evaluation_settings(own.evaluate if own else EvaluateSettings(), limit=limit)
        session.finish(
            compare_models(
                first, second, config, data=data, split=split, out=out, settings=settings, listener=session.listener
            )
        )
