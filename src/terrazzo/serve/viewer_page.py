"""The viewer's page and its scripts: built from `viewer/` in the sources, and part of the package."""

import re
from pathlib import Path

from fastapi.responses import FileResponse, HTMLResponse, Response

from terrazzo.serve.problems import Problem

__all__ = ["HEADERS", "STATIC", "is_built", "page_response", "static_response"]

STATIC = Path(__file__).parent / "static"
"""Where the built files lie."""

HEADERS = {
    # The page needs nothing from elsewhere, and must be able to ask for nothing there.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What a browser is told beside the page."""

_TYPES = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain; charset=utf-8", ".svg": "image/svg+xml"}
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

MISSING = (
    "The map viewer's files are missing: this copy of Terrazzo was put together without Node.js. In a checkout run "
    "`make viewer`, which needs Node.js 20 or later with npm; or install a wheel that holds the viewer."
)
"""What is said where they are missing."""

_MISSING_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Terrazzo</title></head>
<body>
<h1>Terrazzo</h1>
<p>The map viewer's files are missing: this copy of Terrazzo was put together without Node.js.</p>
<p>In a checkout run <code>make viewer</code>, which needs Node.js 20 or later with npm, and load this page again; or
install a wheel that holds the viewer.</p>
</body>
</html>
"""


def is_built() -> bool:
    """Return whether the viewer's files are there."""
    return (STATIC / "index.html").is_file()


def page_response() -> Response:
    """Return the page; where it was not built, one that says so and how to build it, with status 503."""
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    if not is_built():
        return HTMLResponse(_MISSING_PAGE, 503, headers=headers)
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8", headers=headers)


def static_response(name: str) -> Response:
    """Return one of the page's files.

    Args:
        name: Its name, as the page gives it.

    Raises:
        Problem: There is no such file.
    """
    path = STATIC / name
    if not _NAME.fullmatch(name) or path.suffix not in _TYPES or not path.is_file():
        raise Problem(404, f'The viewer has no file "{name[:80]}".', advice="Load the page / again.")
    # Names hold a hash of the content, but for the licences.
    lasting = "no-cache" if path.suffix == ".txt" else "public, max-age=31536000, immutable"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={**HEADERS, "Cache-Control": lasting})
