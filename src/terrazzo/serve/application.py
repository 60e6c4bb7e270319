"""The application: every route of the server."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from terrazzo import __version__
from terrazzo.serve.settings import ServeSettings

__all__ = ["application"]


def application(models: Sequence[Path], settings: ServeSettings) -> FastAPI:
    """Return the application that serves these models.

    Args:
        models: Bundles, or run folders, which stand for their best bundle.
        settings: How the server answers, and its limits.
    """
    app = FastAPI(title="Terrazzo", version=__version__)
    app.state.settings = settings
    app.state.models = tuple(models)
    return app
