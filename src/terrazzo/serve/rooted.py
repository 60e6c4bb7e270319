"""Scenes that a client names by path: only below the server's root, wherever links lead."""

from pathlib import Path, PurePosixPath

from terrazzo.serve.problems import Problem

__all__ = ["path_below"]


def path_below(root: Path | None, text: str) -> Path:
    """Return the file that a path below the root names.

    Args:
        root: Folder below which paths are taken; none are where there is none.
        text: What the client wrote, with `/` between folders.

    Raises:
        Problem: 403 paths are not taken, or it leads out of the root; 404 there is no such file.
    """
    if root is None:
        raise Problem(403, "This server takes no paths.", advice="Upload the scene, or have the owner name a --root.")
    named = PurePosixPath(text)
    if named.is_absolute() or ".." in named.parts or not text.isprintable():
        raise Problem(403, "The path is not one below the server's root.", advice="Write it relative to the root.")
    inside = root.resolve()
    try:
        found = (inside / named).resolve(strict=True)
        is_file = found.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise _missing(text) from error
    if not found.is_relative_to(inside):
        raise Problem(403, "The path leads out of the server's root.", advice="Name a file below it.")
    if not is_file:
        raise _missing(text)
    return found


def _missing(text: str) -> Problem:
    return Problem(404, f"There is no file {text} below the server's root.", advice="Look at its name.")
