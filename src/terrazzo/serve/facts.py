"""What the viewer's page is told of a scene: its size, its layers and what their colours mean."""

from terrazzo.errors import DataError
from terrazzo.serve.class_areas import class_areas
from terrazzo.serve.kept_answers import KeptAnswers
from terrazzo.serve.map_classes import MapLegend, read_legend
from terrazzo.serve.placement import place_image
from terrazzo.serve.rasters import ViewedRaster, open_viewed
from terrazzo.serve.rendering import Ramp, ramp_colours
from terrazzo.serve.stretching import default_stretch
from terrazzo.serve.tile_grid import TILE, TileGrid
from terrazzo.serve.told import (
    AreaFacts,
    ClassFacts,
    ImageFacts,
    LayerFacts,
    SceneAreas,
    SceneBrief,
    SceneFacts,
)
from terrazzo.serve.viewed_scene import ViewedScene

__all__ = ["layer_ramp", "legend_of", "scene_areas", "scene_brief", "scene_facts"]

_TITLES = {
    "confidence": "Confidence",
    "entropy": "Entropy",
    "margin": "Margin",
    "steps": "Steps",
    "disagreement": "Disagreement",
    "abstain": "Abstained",
    "sets": "Classes in the set",
    "probabilities": "Probability",
}
_MEANINGS = {
    "confidence": "The probability of the class that the map shows.",
    "entropy": "The entropy of the class probabilities over its maximum: 1 where all classes are as likely.",
    "margin": "The difference between the two largest class probabilities.",
    "steps": "The steps that the network took before it was sure enough.",
    "disagreement": "The share of the ensemble's members that chose another class.",
    "abstain": "Where the network is less sure than was promised, and the class should not be relied on.",
    "sets": "How many classes a pixel may have at the promised coverage.",
    "probabilities": "The probability of one class.",
}
_RAMP_COLOURS = 16
_LONGEST = 1024


def scene_brief(scene: ViewedScene) -> SceneBrief:
    """Return what the list says of a scene."""
    return SceneBrief(id=scene.id, name=scene.name, group=scene.group, mapped=scene.map is not None, job=scene.job)


def scene_facts(scene: ViewedScene, kept: KeptAnswers) -> SceneFacts:
    """Return what is told of a scene.

    Args:
        scene: The scene.
        kept: Where the ranges of layers are kept.

    Raises:
        DataError: Its map, or its image where there is no map, cannot be read.
    """
    notes = [scene.note] if scene.note else []
    main = scene.map or scene.image
    if main is None:
        raise DataError(f"{scene.name} has neither a map nor an image.")
    with open_viewed(main) as raster:
        raster.check()
        grid, legend = raster.grid, read_legend(raster) if scene.map is not None else None
        image = _image_facts(raster) if scene.map is None else None
    if scene.map is not None and scene.image is not None:
        try:
            with open_viewed(scene.image) as raster:
                raster.check()
                place = place_image(raster.grid, grid)
                if place is None:
                    notes.append(f"The image {scene.image.name} does not lie on the map's pixels, and is not shown.")
                else:
                    image = _image_facts(raster).model_copy(update={"x": place.x, "y": place.y, "scale": place.scale})
        except DataError as error:
            notes.append(f"The image is not shown: {error}")
    layers: list[LayerFacts] = []
    if legend is not None:
        for name in scene.layers:
            try:
                layers.append(_layer_facts(scene, name, legend, kept, size=(grid.height, grid.width)))
            except DataError as error:
                notes.append(f"The layer {name} is not shown: {error}")
    warnings = scene.summary.get("warnings", ())
    notes += [str(warning) for warning in warnings] if isinstance(warnings, list) else []
    return SceneFacts(
        **scene_brief(scene).model_dump(),
        version=scene.version,
        height=grid.height,
        width=grid.width,
        levels=TileGrid(grid.height, grid.width).levels,
        tile=TILE,
        image=image,
        classes=()
        if legend is None
        else tuple(
            ClassFacts(name=one.name, colour="#{:02x}{:02x}{:02x}".format(*one.colour), value=one.value)
            for one in legend.classes
        ),
        layers=tuple(layers),
        crs=None if grid.crs is None else grid.crs.to_string(),
        resolution_m=grid.resolution_m,
        notes=tuple(notes),
    )


def _image_facts(raster: ViewedRaster) -> ImageFacts:
    numbers, names = raster.numbers, raster.names
    return ImageFacts(
        height=raster.grid.height,
        width=raster.grid.width,
        levels=TileGrid(raster.grid.height, raster.grid.width).levels,
        bands=names,
        numbers=numbers,
        shown=_shown(names, numbers),
        stretch=default_stretch(raster),
        palette=raster.palette is not None,
        x=0.0,
        y=0.0,
        scale=1.0,
    )


def _shown(names: tuple[str, ...], numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of the bands called red, green and blue; else of the first three; else of the first."""
    if {"red", "green", "blue"} <= set(names):
        return tuple(numbers[names.index(name)] for name in ("red", "green", "blue"))
    return numbers[:3] if len(numbers) >= 3 else numbers[:1]


def _layer_facts(
    scene: ViewedScene, name: str, legend: MapLegend, kept: KeptAnswers, *, size: tuple[int, int]
) -> LayerFacts:
    with open_viewed(scene.layers[name]) as raster:
        raster.check()
        found = (raster.grid.height, raster.grid.width)
        if found != size:
            raise DataError(
                f"{raster.path.name} has {found[0]} x {found[1]} pixels, the map {size[0]} x {size[1]}; is it of "
                "another map?"
            )
        if name == "probabilities" and raster.source.count != len(legend.classes):
            raise DataError(f"{raster.path.name} has {raster.source.count} bands for {len(legend.classes)} classes.")
    ramp = layer_ramp(scene, name, kept)
    return LayerFacts(
        name=name,
        title=_TITLES[name],
        meaning=_MEANINGS[name],
        kind="flag" if name == "abstain" else "ramp",
        levels=TileGrid(*size).levels,
        low=ramp.low,
        high=ramp.high,
        colours=("#d53c00",) if name == "abstain" else tuple(ramp_colours(_RAMP_COLOURS)),
        bands=tuple(one.name for one in legend.classes) if name == "probabilities" else (),
    )


def layer_ramp(scene: ViewedScene, name: str, kept: KeptAnswers) -> Ramp:
    """Return which values the ends of a layer's colours stand for.

    Args:
        scene: The scene.
        name: The layer.
        kept: Where what was measured is kept.

    Raises:
        DataError: The layer cannot be read.
    """
    if name == "steps":
        return kept.get(("ramp", scene.id, scene.version), lambda: _steps_ramp(scene))
    if name == "sets":
        return Ramp(1.0, float(max(2, len(legend_of(scene, kept).classes))))
    return Ramp(0.0, 1.0)


def legend_of(scene: ViewedScene, kept: KeptAnswers) -> MapLegend:
    """Return the classes of a scene's map.

    Raises:
        DataError: It has none, or it cannot be read.
    """
    path = scene.map
    if path is None:
        raise DataError(f"{scene.name} has no map.")

    def read() -> MapLegend:
        with open_viewed(path) as raster:
            return read_legend(raster)

    return kept.get(("legend", scene.id, scene.version), read)


def _steps_ramp(scene: ViewedScene) -> Ramp:
    with open_viewed(scene.layers["steps"]) as raster:
        found = raster.overview([1], longest=_LONGEST)
        scale = float(raster.source.scales[0])
    measured = found.values[0][found.valid]
    if not measured.size:
        return Ramp(1.0, 2.0)
    high = float(measured.max()) * scale
    return Ramp(1.0, max(high, 2.0))


def scene_areas(scene: ViewedScene, kept: KeptAnswers) -> SceneAreas:
    """Return what the classes of a scene's map cover.

    Args:
        scene: The scene.
        kept: Where the answer is kept.

    Raises:
        DataError: It has no map, or that cannot be read.
    """
    legend, path = legend_of(scene, kept), scene.map
    if path is None:
        raise DataError(f"{scene.name} has no map whose classes could be measured.")

    def measure() -> SceneAreas:
        with open_viewed(path) as raster:
            found = class_areas(raster, legend, scene.summary)
        metres = found.square_metres or (None,) * len(found.pixels)
        classes = tuple(
            AreaFacts(pixels=count, square_metres=area) for count, area in zip(found.pixels, metres, strict=True)
        )
        return SceneAreas(classes=classes, estimated=found.estimated)

    return kept.get(("areas", scene.id, scene.version), measure)
