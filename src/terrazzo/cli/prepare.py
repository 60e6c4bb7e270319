"""`terrazzo prepare`."""

from enum import StrEnum
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["prepare"]


class Masks(StrEnum):
    """What `--masks` writes."""

    NONE = "none"
    INDEX = "index"
    COLOUR = "colour"
    BOTH = "both"


def prepare(
    configuration: Configuration = None,
    force: Annotated[bool, typer.Option("--force", help="Build everything anew, even what has not changed.")] = False,
    preview: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Also draw N augmented samples with their labels.")
    ] = None,
    masks: Annotated[
        Masks | None, typer.Option(help="Also write each label as an image: class numbers, colours, or both.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check images and labels and cut them into patches.

    Also measures their statistics. What has not changed since the last time is not done again.
    """
    with Session("prepare", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.prepare import prepare as prepare_run

        session.finish(
            prepare_run(
                load(configuration),
                force=force,
                preview=preview,
                masks=None if masks is None else masks.value,
                listener=session.listener,
            )
        )
