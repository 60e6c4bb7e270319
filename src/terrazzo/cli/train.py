"""`terrazzo train`."""

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["train"]


def train(configuration: Configuration = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Train a model on prepared data.

    The same command goes on where an earlier one was stopped.
    """
    with Session("train", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.train import train as train_run

        session.finish(train_run(load(configuration), listener=session.listener))
