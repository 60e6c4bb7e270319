"""Connections of clients that are slow on purpose, and more of them than there is room for."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["bounded_protocol"]


def bounded_protocol(*, head_seconds: float, most: int) -> type[H11Protocol]:
    """Return uvicorn's protocol with bounds that it lacks: the time for a request's head, and how many connections.

    uvicorn ends an idle connection only after its first answer; a client that sends a head byte by byte, or nothing,
    would hold one for ever. Bodies and answers have bounds of their own.

    Args:
        head_seconds: Time for a head, from a connection's beginning or from the head's own.
        most: Connections at the same time; further ones are closed at once.
    """

    class BoundedProtocol(H11Protocol):
        """One connection."""

        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Begin to count."""
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.close()
            else:
                self.late = self.loop.call_later(head_seconds, self._end)

        def connection_lost(self, exc: Exception | None) -> None:
            """Stop to count."""
            self._in_time()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Take what has come, and count while it is part of a head."""
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._in_time()
            elif self.late is None and self.conn.trailing_data[0]:
                self.late = self.loop.call_later(head_seconds, self._end)

        def _in_time(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

        def _end(self) -> None:
            """Close the connection: no head has come."""
            self.late = None
            if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
                self.transport.close()

    return BoundedProtocol
