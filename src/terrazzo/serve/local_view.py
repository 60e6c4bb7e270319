"""The viewer for one user on this machine: what `terrazzo view` starts."""

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from terrazzo import __version__
from terrazzo.errors import ConfigError, DataError, StorageError
from terrazzo.serve.library import SceneLibrary
from terrazzo.serve.problems import handle_problems
from terrazzo.serve.viewer_page import MISSING, is_built
from terrazzo.serve.viewing import router

__all__ = ["library_of", "view", "view_application"]

_HOST = "127.0.0.1"


def library_of(paths: Sequence[Path], image: Path | None = None) -> SceneLibrary:
    """Return the scenes of run folders, other folders, and single rasters.

    Args:
        paths: What a user named.
        image: The image of the only map, where it is not found by itself.

    Raises:
        ConfigError: A path does not exist, or an image is given with anything but one map.
        DataError: A file is no raster, or nothing is found to show.
    """
    if image is not None and (len(paths) != 1 or not paths[0].is_file()):
        raise ConfigError("--image belongs to a single map; give one map's file with it.")
    for path in (*paths, *([image] if image is not None else [])):
        if not path.exists():
            raise ConfigError(f"{path} does not exist; give a run folder, a folder of maps, or a raster.")
    # Whoever names a run may see the images that it was made of, wherever they lie.
    library = SceneLibrary([path for path in paths if path.is_dir()], anywhere=True)
    for path in paths:
        if not path.is_dir():
            library.add_file(path, image=image)
    if not library.scenes():
        names = ", ".join(map(str, paths))
        raise DataError(
            f"{names} holds nothing to look at: no map and no image (.tif, .png, .jpg, .webp or .jp2). Map a scene "
            "with `terrazzo predict`, or give another folder."
        )
    return library


def view_application(library: SceneLibrary) -> FastAPI:
    """Return the application that shows scenes to this machine's user.

    It answers to names of this machine only, so that no page from elsewhere can ask it through a name of its own.

    Args:
        library: The scenes.
    """
    app = FastAPI(title="Terrazzo", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    handle_problems(app)
    app.include_router(router(library))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"])
    return app


def view(
    paths: Sequence[Path],
    *,
    image: Path | None = None,
    port: int = 0,
    open_browser: bool = False,
    tell: Callable[[str], None],
) -> None:
    """Show scenes in a browser until interrupted.

    Args:
        paths: Run folders, folders of maps or images, or single rasters.
        image: The image of the only map, where it is not found by itself.
        port: Port to listen on; 0 takes a free one.
        open_browser: Whether to open the page.
        tell: Receives the page's address once it can be opened.

    Raises:
        ConfigError: The viewer was not built, or a path does not exist.
        DataError: There is nothing to show.
        StorageError: The port is taken.
    """
    if not is_built():
        raise ConfigError(MISSING)
    app = view_application(library_of(paths, image))
    with contextlib.closing(_listen(port)) as listening:
        address = f"http://{_HOST}:{listening.getsockname()[1]}/"
        tell(address)
        if open_browser:
            # The socket listens already: the page waits until the server takes it.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        # An interrupt is how a user ends it.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((_HOST, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise StorageError(
            f"Port {port} of {_HOST} cannot be listened on: {error.strerror}; give another, or 0 for a free one."
        ) from error
    return found
