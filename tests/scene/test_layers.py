"""What the layers of a map say about themselves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import terrazzo
from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.scene import PredictSettings
from terrazzo.scene.layers import class_layer, confidence_layer, confidence_path, provenance


def classes(*values: int, ignore: tuple[int, ...] = ()) -> Classes:
    items = tuple(
        Class(name=f"c{value}", colour=(number, 100, 200), values=(value,)) for number, value in enumerate(values)
    )
    return Classes(items=items, ignore_values=ignore)


def test_class_numbers() -> None:
    layer = class_layer(classes(7, 300), "index", {"NOTE": "x"})
    assert (layer.dtype, layer.channels, layer.nodata) == (np.uint8, 1, 255)
    assert layer.palette is not None
    assert layer.palette[:3].tolist() == [[0, 100, 200, 255], [1, 100, 200, 255], [0, 0, 0, 0]]
    assert json.loads(layer.tags["CLASS_NAMES"]) == ["c7", "c300"]
    assert json.loads(layer.tags["CLASS_VALUES"]) == [0, 1]
    assert layer.tags["NOTE"] == "x"


def test_source_values_take_the_type_they_need() -> None:
    small = class_layer(classes(7, 9), "source", {})
    assert (small.dtype, small.nodata) == (np.uint8, 255)
    assert small.palette is not None
    assert small.palette[9].tolist() == [1, 100, 200, 255]
    large = class_layer(classes(7, 300), "source", {})
    assert (large.dtype, large.nodata, large.palette) == (np.uint16, 65535, None)
    assert class_layer(classes(0, 1, ignore=(-1,)), "source", {}).dtype.kind == "i"


def test_colours_carry_alpha_instead_of_nodata() -> None:
    layer = class_layer(classes(7, 9), "colour", {})
    assert (layer.channels, layer.nodata, layer.palette) == (4, None, None)
    assert json.loads(layer.tags["CLASS_COLOURS"]) == [[0, 100, 200], [1, 100, 200]]


def test_many_classes_need_16_bits() -> None:
    layer = class_layer(Classes(items=[f"c{number}" for number in range(255)]), "index", {})
    assert (layer.dtype, layer.nodata, layer.palette) == (np.uint16, 65535, None)


def test_confidence() -> None:
    layer = confidence_layer({"NOTE": "x"})
    assert (layer.name, layer.nodata, layer.scale * 254) == ("confidence", 255, 1)
    assert layer.tags == {"NOTE": "x"}
    assert confidence_path(Path("a b/m.tif")) == Path("a b/m_confidence.tif")


def test_provenance_says_what_decides_the_map_and_no_time(make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    first = provenance(bundle, Path("x/s.tif"), PredictSettings(out=Path("a")), precision="bfloat16")
    assert first == provenance(bundle, Path("y/s.tif"), PredictSettings(out=Path("b")), precision="bfloat16")
    assert first["TERRAZZO_BUNDLE"] == bundle.fingerprint
    assert first["TERRAZZO_SCENE"] == "s.tif"
    assert first["TIFFTAG_SOFTWARE"] == f"terrazzo {terrazzo.__version__}"
    settings = json.loads(first["TERRAZZO_SETTINGS"])
    assert settings["precision"] == "bfloat16"
    assert settings["blend"] == "probabilities"
    assert not {"out", "inputs", "enable"} & set(settings)
