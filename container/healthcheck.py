"""Tells the container engine whether the server answers; a container that runs another command is always well."""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def serves(command: Path = Path("/proc/1/cmdline")) -> bool:
    """Return whether this container was started for `terrazzo serve`."""
    words = command.read_bytes().split(b"\0")
    return b"serve" in words


def answers(address: str) -> bool:
    """Return whether the server answers with status 200."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


if __name__ == "__main__":
    port = os.environ.get("TERRAZZO_PORT", "8000")
    sys.exit(0 if not serves() or answers(f"http://127.0.0.1:{port}/healthz") else 1)
