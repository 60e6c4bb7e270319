"""`terrazzo verify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from terrazzo.data.verify.finding import Finding

__all__ = ["show_findings", "verify"]


def verify(
    configuration: Configuration = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Move pairs that cannot be read aside, and prepare again; deletes nothing.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look at every file of the data, and tell what is wrong.

    Decodes images and labels whole, says what to do, and finds pictures and places that two splits share, labels that
    lie beside their image, and bands that differ. Ends with status 1 where there are errors.
    """
    with Session("verify", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.verify import verify as verify_run

        summary = verify_run(load(configuration), fix=fix, listener=session.listener)
        if as_json:
            session.finish(summary)
        else:
            told = {key: value for key, value in summary.as_dict().items() if key not in {"findings", "unchanged"}}
            session.show(told)
            show_findings(summary.findings)
        if summary.errors:
            raise typer.Exit(1)


def show_findings(findings: "Sequence[Finding]") -> None:
    """Print findings as a table on standard output; of many of one kind the first, and how many more there are."""
    from terrazzo.cli.terminal import show_table
    from terrazzo.data.verify.finding import summarised

    if findings:
        show_table(summarised(findings), title="findings")
    else:
        typer.echo("nothing is wrong")
