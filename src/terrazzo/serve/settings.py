"""What a server serves, where it listens, and what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from terrazzo.record import Record

__all__ = ["LOOPBACK", "ServeSettings"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine that no other one reaches."""


class ServeSettings(Record):
    """How a server answers, and its limits."""

    host: str = "127.0.0.1"
    """Address to listen on; only this machine reaches 127.0.0.1."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one and says which."""
    folder: Path = Path("served")
    """Where jobs, their results and unfinished uploads lie; another start with the same folder goes on with them."""
    root: Path | None = None
    """Folder below which jobs may name scenes by path, and whose scenes the viewer shows; paths are refused without."""
    api_key_env: tuple[str, ...] = ()
    """Names of environment variables that hold accepted API keys; everybody may ask where none is named."""
    origins: tuple[str, ...] = ()
    """Web origins (CORS) whose pages may call the server from a browser, such as https://maps.example.org."""
    hosts: tuple[str, ...] = ()
    """Names by which the server may be called, such as maps.example.org behind a proxy; if none is given, those of this
    machine where it listens on that alone and asks for no key, else any."""

    predict: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of `predict`, such as window or layers, that are laid over those of each model's run folder."""
    machine: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of `machine`, such as precision or threads, likewise."""
    backbone: Path | None = None
    """File or folder of the frozen weights that bundles lean on; where their training found them if not given."""

    processes: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes beside the server's own that answer small images, of one group of windows, each on a core. `auto`: as
    many as the network has lanes, where it runs on the processor and no windows share a pass, and no more than a
    quarter of the free memory holds. 0: none."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 4.0
    """Milliseconds that a window waits for windows of other requests to share a forward pass with."""
    waiting_windows: Annotated[int, Field(ge=1)] = 4096
    """Windows that may wait for the network; requests above this are answered 503."""
    requests_at_once: Annotated[int, Field(ge=1)] = 64
    """Images that are taken in or answered at the same time; requests above this are answered 503."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests that one client (its key, else its address) may make in a minute; above this it is answered 429."""
    largest_request_mib: Annotated[float, Field(gt=0)] = 64.0
    """Largest body of a request for a direct answer in MiB; above this it is answered 413 while it comes in."""
    largest_pixels: Annotated[int, Field(ge=1)] = 2**24
    """Most pixels of an image for a direct answer, known from its header; larger ones are jobs."""
    request_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time from a whole request to its answer; after it the answer is 503."""
    upload_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest pause between two parts of a body, and time for a request's head; after it the connection is closed."""
    least_upload_kib: Annotated[float, Field(ge=0)] = 8.0
    """Least KiB a second at which a body must come in, over all its time after the first `upload_seconds`."""

    largest_job_mib: Annotated[float, Field(gt=0)] = 4096.0
    """Largest uploaded scene of a job in MiB."""
    largest_job_pixels: Annotated[int, Field(ge=1)] = 2**34
    """Most pixels of a job's scene."""
    waiting_jobs: Annotated[int, Field(ge=1)] = 16
    """Jobs that may wait for their turn; requests for more are answered 503."""
    kept_days: Annotated[float, Field(gt=0)] = 7.0
    """Days for which a finished job and its results are kept."""
    kept_gib: Annotated[float, Field(gt=0)] = 20.0
    """Most GiB of finished jobs; the oldest are removed first."""
    stopping_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest time for which a server that was asked to stop waits for answers under way; jobs are left to resume."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which it may be called; none where any will do."""
        if self.hosts or self.api_key_env or self.host not in LOOPBACK:
            return self.hosts
        return LOOPBACK
