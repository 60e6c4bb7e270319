"""One worker: this process."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.job import OpenJob, SceneJob, open_job
from terrazzo.scene.workforce.places import places_of

__all__ = ["InlineWorkforce"]


class InlineWorkforce:
    """Computes strips in this process, in their order.

    Args:
        opened: The job where it is open already; opened from its description if None.
    """

    def __init__(self, opened: OpenJob | None = None) -> None:
        self._opened = opened

    def run(
        self,
        job: SceneJob,
        strips: Sequence[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Compute strips, as `Workforce` says."""

        def until_stopped() -> Iterator[Strip]:
            for strip in strips:
                if stop.is_set():
                    return
                yield strip

        place = places_of(1, job.header.decisions)[0]
        already = (
            contextlib.nullcontext(self._opened)
            if self._opened
            else open_job(job, lanes=place.lanes, readers=place.readers)
        )
        with already as opened:
            opened.compute(until_stopped(), done=done, advance=advance)
