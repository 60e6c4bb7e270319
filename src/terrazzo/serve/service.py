"""What a running server consists of; the routes are made around it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from terrazzo.serve.answer_processes import AnswerProcesses
from terrazzo.serve.batching import WindowQueue
from terrazzo.serve.jobs import Jobs
from terrazzo.serve.library import SceneLibrary
from terrazzo.serve.metrics import Metrics
from terrazzo.serve.models import Models
from terrazzo.serve.settings import ServeSettings
from terrazzo.serve.uploads import Pace

__all__ = ["Service"]


@dataclass(frozen=True)
class Service:
    """The parts of a server.

    Attributes:
        settings: How it answers.
        models: Who answers.
        processes: Where direct answers are worked out.
        queue: Where windows wait for the network of this process.
        jobs: Large scenes.
        library: Scenes that the viewer shows.
        metrics: Figures.
        threads: Where this process makes direct answers itself.
        closing: Set once the server is asked to stop.
    """

    settings: ServeSettings
    models: Models
    processes: AnswerProcesses
    queue: WindowQueue
    jobs: Jobs
    library: SceneLibrary
    metrics: Metrics
    threads: ThreadPoolExecutor
    closing: asyncio.Event

    @property
    def incoming(self) -> Path:
        """Folder of what comes in for direct answers."""
        return self.settings.folder / "incoming"

    @property
    def pace(self) -> Pace:
        """How fast bodies must come."""
        return Pace(self.settings.upload_seconds, self.settings.least_upload_kib)
