"""`terrazzo ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Debug
from terrazzo.cli.session import Session

__all__ = ["ensemble"]


def ensemble(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Bundles or run folders, two at least.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new bundle.")] = Path("ensemble.safetensors"),
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Join several bundles into one.

    It answers the mean of their probabilities, such as those of several seeds. It is calibrated, judged and mapped with
    like any other bundle; the layer `disagreement` of its maps shows where the members differ. Heads on one frozen
    backbone share its maps, which are computed once.
    """
    with Session("ensemble", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.ensemble import ensemble as join

        session.finish(join(models, out, backbone=backbone))
