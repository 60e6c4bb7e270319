"""What every workforce does: strips in, records out, whoever computes."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.job import SceneJob

__all__ = ["Workforce"]


@runtime_checkable
class Workforce(Protocol):
    """Computes strips of a scene; the bits do not depend on how."""

    def run(
        self,
        job: SceneJob,
        strips: Sequence[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Compute strips; return once all are done or, where a stop is asked for, those under way.

        Args:
            job: The scene and what was decided for it.
            strips: Which of its strips.
            done: Takes each record, one at a time, once the strip's file is on the disk that all share; what it raises
                ends the run.
            advance: Hears how many more windows are done or skipped; those of a strip that is computed again once.
            stop: Once set, no further strip is begun.

        Raises:
            TerrazzoError: What a worker raised: the scene cannot be read, the network answered no numbers ...
            WorkerError: Workers ended over one strip again and again, or failed in a way nobody foresaw.
            OSError: A strip's file cannot be written, though it was tried again.
        """
        ...
