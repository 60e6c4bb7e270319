"""Figures of a running server, as Prometheus collects them."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """A server's figures; each server has its own."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        # Resident memory, processor seconds and open files come from these.
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "terrazzo_requests", "Requests by outcome.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "terrazzo_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._passes = Histogram(
            "terrazzo_pass_windows", "Windows of each forward pass.", buckets=_WINDOWS, registry=self._registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: HTTP method.
            route: Pattern of its address; never the address itself, of which there are too many.
            status: HTTP status.
            seconds: What it took.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def network_pass(self, windows: int) -> None:
        """Count a forward pass."""
        self._passes.observe(windows)

    def gauge(self, name: str, text: str, value: Callable[[], float], **labels: str) -> None:
        """Add a figure that is asked for each time.

        Args:
            name: Its name, after `terrazzo_`.
            text: What it is.
            value: Returns it.
            labels: What tells it from others of the same name.
        """
        known = self._gauges.get(name)
        if known is None:
            known = Gauge(f"terrazzo_{name}", text, tuple(labels), registry=self._registry)
            self._gauges[name] = known
        (known.labels(**labels) if labels else known).set_function(value)

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self._registry)
