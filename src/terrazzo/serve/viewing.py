"""The viewer's part of the server: its page, the scenes that it offers, their tiles and pixels."""

import asyncio
import functools
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Response
from fastapi.params import Depends

from terrazzo.errors import ConfigError, DataError
from terrazzo.host_cores import usable_cores
from terrazzo.record import Record
from terrazzo.serve.facts import scene_areas, scene_brief, scene_facts
from terrazzo.serve.kept_answers import KeptAnswers
from terrazzo.serve.library import SceneLibrary
from terrazzo.serve.pixel_facts import PixelFacts, pixel_facts
from terrazzo.serve.problems import Problem, documented
from terrazzo.serve.reduced_copies import ReducedCopies
from terrazzo.serve.stretching import Stretch
from terrazzo.serve.tiles import TileMaker, TileStyle
from terrazzo.serve.told import SceneAreas, SceneBrief, SceneFacts
from terrazzo.serve.viewed_scene import ViewedScene
from terrazzo.serve.viewer_page import HEADERS, page_response, static_response

__all__ = ["SceneList", "router"]

Answer = TypeVar("Answer")

SceneName = Annotated[str, Path(pattern="^[0-9a-f]{20}$", description="Id of the scene, from the list.")]
Place = Annotated[int, Path(ge=0, le=2**24)]
Numbers = Annotated[
    str, Query(pattern=r"^(\d{1,5}(,\d{1,5})*)?$", max_length=2**13, description="Whole numbers, with commas between.")
]

_LARGEST_LEVEL = 24
_LASTING = {"Cache-Control": "private, max-age=86400"}
"""A tile's address holds the version of its files."""
_NAMES = re.compile(r"^[a-z]{1,20}$")


class SceneList(Record):
    """The scenes that may be looked at."""

    scenes: tuple[SceneBrief, ...]
    """In the order of their folders and names."""
    jobs: bool
    """Whether images may be sent in to be mapped."""


def router(library: SceneLibrary, *, jobs: bool = False, guards: Sequence[Depends] = ()) -> APIRouter:
    """Return the viewer's routes.

    Args:
        library: The scenes.
        jobs: Whether the server maps images that are sent in, at `/v1/jobs`.
        guards: What is asked before any scene is shown, such as for a key; the page itself is given to everybody.
    """
    found = APIRouter()
    found.include_router(_page_routes())
    found.include_router(_scene_routes(_Desk(library), jobs=jobs), prefix="/viewer", dependencies=list(guards))
    return found


class _Desk:
    """Answers questions about scenes, a few at a time and each in a thread of its own."""

    def __init__(self, library: SceneLibrary) -> None:
        self.library = library
        self.kept = KeptAnswers()
        self.copies = ReducedCopies()
        self.maker = TileMaker(self.kept, self.copies)
        # Threads above the number of cores would only hold memory; other routes keep the common pool to themselves.
        count = max(2, min(8, usable_cores()))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="terrazzo-view")

    async def ask(self, question: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:  # noqa: ANN401
        """Answer in a thread.

        Raises:
            Problem: The question was wrong, or a raster cannot be read.
        """
        work = functools.partial(question, *arguments, **named)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except ConfigError as error:
            raise Problem(422, str(error)) from error
        except DataError as error:
            raise Problem(
                422, str(error), advice="Look at the file with gdalinfo, and put a whole one in its place."
            ) from error
        except OSError as error:
            raise Problem(404, f"A file of the scene has gone: {error.strerror}.") from error

    async def scene(self, name: str) -> ViewedScene:
        """Return a scene.

        Raises:
            Problem: There is none of this id.
        """
        scene = await self.ask(self.library.scene, name)
        if scene is None:
            raise Problem(404, f"There is no scene {name}, or not any more.", advice="Ask for the list again.")
        return scene


def _page_routes() -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/", page_response, methods=["GET", "HEAD"])
    routes.add_api_route("/viewer/static/{name}", static_response, methods=["GET", "HEAD"])
    return routes


def _scene_routes(desk: _Desk, *, jobs: bool) -> APIRouter:
    routes = APIRouter(tags=["viewer"])
    plain = {"X-Content-Type-Options": HEADERS["X-Content-Type-Options"]}

    @routes.get(
        "/scenes",
        operation_id="list_scenes",
        summary="List the scenes that may be looked at",
        responses=documented(401, 429),
    )
    async def list_scenes(response: Response) -> SceneList:
        response.headers.update(plain)
        scenes = await desk.ask(desk.library.scenes)
        return SceneList(scenes=tuple(scene_brief(scene) for scene in scenes), jobs=jobs)

    @routes.get(
        "/scenes/{name}",
        operation_id="tell_scene",
        summary="Tell what a scene holds",
        responses=documented(401, 404, 422, 429),
    )
    async def tell_scene(name: SceneName, response: Response) -> SceneFacts:
        response.headers.update(plain)
        return await desk.ask(scene_facts, await desk.scene(name), desk.kept)

    @routes.get(
        "/scenes/{name}/areas",
        operation_id="tell_areas",
        summary="Tell what each class covers",
        responses=documented(401, 404, 422, 429),
    )
    async def tell_areas(name: SceneName, response: Response) -> SceneAreas:
        response.headers.update(plain)
        return await desk.ask(scene_areas, await desk.scene(name), desk.kept)

    @routes.get(
        "/scenes/{name}/pixels/{x}/{y}",
        operation_id="tell_pixel",
        summary="Tell what stands at a pixel",
        responses=documented(401, 404, 422, 429),
    )
    async def tell_pixel(name: SceneName, x: Place, y: Place, response: Response) -> PixelFacts:
        response.headers.update(plain)
        found = await desk.ask(pixel_facts, await desk.scene(name), x=x, y=y, kept=desk.kept)
        if found is None:
            raise Problem(404, f"The scene has no pixel at column {x}, row {y}.", advice="Ask for one inside it.")
        return found

    @routes.get(
        "/scenes/{name}/tiles/{layer}/{level}/{column}/{row}",
        operation_id="draw_tile",
        summary="Draw a tile of a layer",
        response_class=Response,
        responses={
            200: {"description": "A picture of 512 x 512 pixels.", "content": {"image/png": {}}},
            **documented(401, 404, 422, 429),
        },
    )
    async def draw_tile(
        name: SceneName,
        layer: Annotated[str, Path(pattern=_NAMES.pattern, description="`image`, `class`, or a further layer.")],
        level: Annotated[int, Path(ge=0, le=_LARGEST_LEVEL, description="0 shows the whole scene in one tile.")],
        column: Place,
        row: Place,
        bands: Numbers = "",
        stretch: Stretch | None = None,
        hidden: Numbers = "",
    ) -> Response:
        style = TileStyle(tuple(_numbers(bands)), stretch, frozenset(_numbers(hidden)))
        scene = await desk.scene(name)
        tile = await desk.ask(desk.maker.tile, scene, layer, level=level, column=column, row=row, style=style)
        if tile is None:
            raise Problem(
                404, f"The scene has no tile {layer}/{level}/{column}/{row}.", advice="Ask for one inside it."
            )
        return Response(tile, media_type="image/png", headers={**plain, **_LASTING})

    return routes


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
