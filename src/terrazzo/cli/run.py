"""`terrazzo run`."""

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["run"]


def run(configuration: Configuration = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Do every enabled phase of a configuration.

    In order: prepare, train, evaluate, predict. What was skipped is said, and how long each phase took.
    """
    with Session("run", as_json=as_json, debug=debug) as session:
        from terrazzo.phases import run as run_phases

        session.finish(run_phases(load(configuration), listener=session.listener))
