"""Who may ask, and how often: API keys from the environment, and a rate a client."""

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from terrazzo.errors import ConfigError
from terrazzo.serve.problems import Problem

__all__ = ["Keys", "Rates", "require_own_page"]

_SHORTEST_KEY = 16
_MOST_CLIENTS = 10_000
_MINUTE = 60.0
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Keys:
    """The keys that are accepted; none of them is ever shown.

    Args:
        digests: SHA-256 of each.
    """

    def __init__(self, digests: Sequence[bytes]) -> None:
        self._digests = tuple(digests)

    @classmethod
    def of_environment(cls, names: Sequence[str]) -> "Keys":
        """Return the keys that environment variables hold.

        Args:
            names: Names of the variables.

        Raises:
            ConfigError: One is not set, or its key is too short to be secret.
        """
        digests = []
        for name in names:
            key = os.environ.get(name, "")
            if len(key) < _SHORTEST_KEY:
                what = "is not set" if not key else f"holds fewer than {_SHORTEST_KEY} characters"
                raise ConfigError(
                    f"The environment variable {name}, which is to hold an API key, {what}; set it to a long random "
                    'text, such as that of python -c "import secrets; print(secrets.token_urlsafe())".'
                )
            digests.append(_digest(key))
        return cls(digests)

    def require(self, headers: Headers) -> bytes | None:
        """Return the digest of a request's key; None where none is needed.

        Raises:
            Problem: 401, the key is missing or wrong.
        """
        if not self._digests:
            return None
        given = headers.get("x-api-key", "")
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = value.strip()
        digest = _digest(given)
        # Every key is compared, in constant time: how long it takes tells nothing of any.
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(found):
            raise Problem(401, "The API key is wrong." if given else "The request has no API key.")
        return digest


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Rates:
    """A bucket of requests a client, filled again evenly.

    Args:
        per_minute: Requests that a client may make in a minute; None for as many as it likes.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[bytes | str, tuple[float, float]] = OrderedDict()

    def take(self, client: bytes | str) -> None:
        """Count a request.

        Raises:
            Problem: 429, the client makes too many.
        """
        if self._per_minute is None:
            return
        now = time.monotonic()
        left, since = self._left.pop(client, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / _MINUTE, float(self._per_minute))
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if left < 1:
            raise Problem(
                429,
                f"More than {self._per_minute} requests in a minute.",
                retry_after=(1 - left) * _MINUTE / self._per_minute,
            )


def require_own_page(method: str, headers: Headers, origins: Sequence[str]) -> None:
    """Refuse what a page of another site makes a user's browser send: it needs no answer to do harm.

    Args:
        method: HTTP method.
        headers: The request's.
        origins: Origins whose pages may.

    Raises:
        Problem: 403.
    """
    origin = headers.get("origin")
    if method in _READING or origin is None or origin in origins:
        return
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Problem(403, "The request comes from a page of another site.")


def require_own_name(headers: Headers, hosts: Sequence[str]) -> None:
    """Refuse a request to a name that is not the server's.

    A page of another site may let its own name mean this machine's address: the browser then takes the server's answers
    for the page's own. Where no key is asked for, nothing else would keep them from it.

    Args:
        headers: The request's.
        hosts: Names without port; none where any will do.

    Raises:
        Problem: 403.
    """
    name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if hosts and name not in hosts:
        raise Problem(403, "The server is called by a name that it does not answer to; see its setting hosts.")
