"""Scenes that lie elsewhere than in this machine's folders: web addresses, object stores, and GDAL's own names."""

import os
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import rasterio

__all__ = ["as_opened", "as_shown", "bare_name", "is_address", "is_remote", "remote_access"]

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")
_VIRTUAL = {"s3": "/vsis3/", "gs": "/vsigs/", "gcs": "/vsigs/", "az": "/vsiaz/", "oss": "/vsioss/"}
_REMOTE = ("/vsicurl", "/vsis3/", "/vsigs/", "/vsiaz/", "/vsioss/", "/vsiadls/", "/vsiswift/", "/vsiwebhdfs/")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"\?[^\s'\"]*")

# What a server that answers nothing would make wait for ever; whoever knows better sets the same names.
_WAITING = {
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    # Side files are asked for by name: few servers list a folder, and listing a large bucket takes minutes.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
}


def is_address(given: str) -> bool:
    """Return whether an input is no path of this machine.

    >>> is_address("https://example.org/a.tif"), is_address("/vsis3/bucket/a.tif"), is_address("maps/a.tif")
    (True, True, False)
    """
    return given.startswith("/vsi") or (_SCHEME.match(given) is not None and not given.startswith("file:"))


def as_opened(given: str) -> str:
    """Return the name under which GDAL opens an address; other names stay as they are.

    A second slash that a path has taken from an address is given back.

    >>> as_opened("s3://bucket/a.tif"), as_opened("https:/example.org/a.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://example.org/a.tif')
    """
    found = _SCHEME.match(given)
    if found is None:
        return given
    scheme, rest = found.group(1).lower(), given[found.end() :]
    if scheme in _VIRTUAL:
        return _VIRTUAL[scheme] + rest
    whole = f"{found.group(1)}://{rest}"
    return f"/vsicurl/{whole}" if scheme in {"http", "https", "ftp"} else whole


def is_remote(file: str) -> bool:
    """Return whether reading a name, as GDAL opens it, may ask a server."""
    return "://" in file or (file.startswith("/vsi") and any(part in file for part in _REMOTE))


def as_shown(text: str) -> str:
    """Return an address, or a message with addresses, without what may be secret: credentials and query.

    >>> as_shown("/vsicurl/https://me:word@example.org/a.tif?token=1 cannot be read")
    '/vsicurl/https://example.org/a.tif cannot be read'
    """
    return _QUERY.sub("", _CREDENTIALS.sub("", text)) if "/vsi" in text or "://" in text else text


def bare_name(given: str) -> str:
    """Return what the map of an address is called, without suffix.

    >>> bare_name("https://example.org/scenes/S2%20a.tif?token=1")
    'S2 a'
    """
    path = urlsplit(given.removeprefix("/vsicurl/")).path if "://" in given else given
    return PurePosixPath(unquote(path)).stem or "scene"


def remote_access() -> rasterio.Env:
    """Return the settings under which addresses are read; what the environment says goes first."""
    return rasterio.Env(**{name: value for name, value in _WAITING.items() if name not in os.environ})
