"""`terrazzo demo`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Debug
from terrazzo.cli.session import Session

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for everything that the demo makes.")] = Path("demo"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a landscape, learn it and map it.

    The landscape is drawn by a procedure; the map is of a part that the model has not seen.
    """
    with Session("demo", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.demo import demo as make_demo

        session.finish(make_demo(out, listener=session.listener))
