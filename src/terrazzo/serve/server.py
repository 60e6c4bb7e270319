"""Running the server: sockets, signals, and a stop that answers what it has begun."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from terrazzo.errors import ConfigError
from terrazzo.logs import LoggingSettings, configure_logging
from terrazzo.serve.application import application
from terrazzo.serve.connections import bounded_protocol
from terrazzo.serve.job_record import JobState
from terrazzo.serve.service import Service
from terrazzo.serve.settings import ServeSettings
from terrazzo.storage import locked

__all__ = ["serve"]

_LOG = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 15
_LARGEST_HEAD = 32 * 1024
_CONNECTIONS_A_REQUEST = 4
_LEAST_CONNECTIONS = 256
_WAITING_CONNECTIONS = 512


class _Server(uvicorn.Server):
    """uvicorn's server; whoever follows a job is let go before it waits for answers under way."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests and finish those that are here."""
        self._service.closing.set()
        await super().shutdown(sockets)


def serve(
    models: Sequence[Path],
    settings: ServeSettings,
    *,
    logging_settings: LoggingSettings | None = None,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve models until somebody asks to stop (Ctrl-C or SIGTERM).

    Args:
        models: Bundles, or run folders.
        settings: How the server answers, and its limits.
        logging_settings: Level and form of messages.
        ready: Told the server's address once connections are taken.

    Raises:
        BundleError: A model cannot be loaded.
        ConfigError: A setting is wrong, or the address cannot be listened on.
        LockedError: Another server works in the same folder.
    """
    configure_logging(logging_settings or LoggingSettings())
    # First: who has another server there already hears it at once, and not after the models are loaded.
    with locked(settings.folder), _listening(settings) as listener:
        app = application(models, settings)
        service: Service = app.state.service
        config = uvicorn.Config(
            app,
            http=bounded_protocol(
                head_seconds=settings.upload_seconds,
                most=max(_CONNECTIONS_A_REQUEST * settings.requests_at_once, _LEAST_CONNECTIONS),
            ),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.stopping_seconds)),
        )
        # Its own messages would name no secret, but say every thing twice.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        listener.listen(_WAITING_CONNECTIONS)
        _warn(settings, host)
        ready(address)
        _LOG.info("Serving %s at %s; Ctrl-C stops.", ", ".join(model.name for model in service.models), address)
        # uvicorn raises the signal again after it has stopped in good order: that is no error here.
        with (
            contextlib.suppress(KeyboardInterrupt, SystemExit),
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            runner.run(_Server(config, service).serve([listener]))
        _LOG.info("Stopped; %d jobs wait for the next start.", service.jobs.count(JobState.WAITING))


def _listening(settings: ServeSettings) -> socket.socket:
    """Return a socket at the settings' address.

    Raises:
        ConfigError: It is taken, or none of this machine.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; choose another --port (0 takes "
            "a free one) or --host."
        ) from error


def _warn(settings: ServeSettings, host: str) -> None:
    """Say where everybody in reach may ask."""
    if not settings.api_key_env and host not in {"127.0.0.1", "::1"}:
        _LOG.warning("%s is reached from other machines, and no API key is asked for; name one by --api-key-env.", host)
