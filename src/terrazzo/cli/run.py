"""`terrazzo run`."""

from pathlib import Path

from terrazzo.cli.options import AsJson, Configuration, Debug, load
from terrazzo.cli.session import Session

__all__ = ["run"]


def run(configuration: Configuration = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Do every enabled phase of a configuration.

    In order: verify, prepare, train, calibrate, evaluate, predict. What was skipped is said, and how long each phase
    took.
    """
    with Session("run", as_json=as_json, debug=debug) as session:
        from terrazzo.errors import UnfitDataError
        from terrazzo.phases.run import run as run_phases

        config = load(configuration)
        try:
            session.finish(run_phases(config, listener=session.listener))
        except UnfitDataError:
            _show_findings(session, config.folder)
            raise


def _show_findings(session: Session, folder: Path) -> None:
    """Show what verifying found; as JSON it lies in the run folder already."""
    from terrazzo.cli.verify import show_findings
    from terrazzo.data.verify.results import VERIFY_FILE, load_verified

    found = load_verified(folder / VERIFY_FILE)
    if found is not None and not session.as_json:
        session.listener.close()
        show_findings(found.findings)
