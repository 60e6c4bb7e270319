"""What the layers of a map say about themselves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch

import terrazzo
from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.scene import PredictSettings
from terrazzo.scene.header import Decisions
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.part import ScenePart
from terrazzo.scene.layer import LegendEntry
from terrazzo.scene.layers import class_layer, input_fingerprint, layer_path, product_layer, provenance
from terrazzo.scene.products import products_of

DECISIONS = Decisions(
    device="cpu", precision="bfloat16", compiled=False, threads=1, batch_size=4, group_size=8, strip_pixels=2048
)


def classes(*values: int, ignore: tuple[int, ...] = ()) -> Classes:
    items = tuple(
        Class(name=f"c{value}", colour=(number, 100, 200), values=(value,)) for number, value in enumerate(values)
    )
    return Classes(items=items, ignore_values=ignore)


def entry(bundle: Bundle, path: Path) -> SceneEntry:
    frame = SceneGrid(crs=None, transform=(1, 0, 0, 0, 1, 0), height=4, width=5)
    part = ScenePart(files=(str(path),), bands=bundle.bands, places=(), window=frame.grid().whole)
    return SceneEntry(name=path.stem, path=str(path), frame=frame, bands=bundle.bands, parts=(part,))


def test_class_numbers() -> None:
    layer = class_layer(classes(7, 300), "index", {"NOTE": "x"})
    assert (layer.dtype, layer.channels, layer.nodata) == (np.uint8, 1, 255)
    assert layer.palette is not None
    assert layer.palette[:3].tolist() == [[0, 100, 200, 255], [1, 100, 200, 255], [0, 0, 0, 0]]
    assert json.loads(layer.tags["CLASS_NAMES"]) == ["c7", "c300"]
    assert json.loads(layer.tags["CLASS_VALUES"]) == [0, 1]
    assert layer.tags["NOTE"] == "x"
    assert layer.legend == (LegendEntry(0, "c7", (0, 100, 200)), LegendEntry(1, "c300", (1, 100, 200)))
    assert layer.categorical


def test_source_values_take_the_type_they_need() -> None:
    small = class_layer(classes(7, 9), "source", {})
    assert (small.dtype, small.nodata) == (np.uint8, 255)
    assert small.palette is not None
    assert small.palette[9].tolist() == [1, 100, 200, 255]
    assert [entry.value for entry in small.legend] == [7, 9]
    large = class_layer(classes(7, 300), "source", {})
    assert (large.dtype, large.nodata, large.palette) == (np.uint16, 65535, None)
    assert class_layer(classes(0, 1, ignore=(-1,)), "source", {}).dtype.kind == "i"


def test_colours_carry_alpha_instead_of_nodata() -> None:
    layer = class_layer(classes(7, 9), "colour", {})
    assert (layer.channels, layer.nodata, layer.palette) == (4, None, None)
    assert json.loads(layer.tags["CLASS_COLOURS"]) == [[0, 100, 200], [1, 100, 200]]
    assert layer.categorical


def test_many_classes_need_16_bits() -> None:
    layer = class_layer(Classes(items=[f"c{number}" for number in range(300)]), "index", {})
    assert (layer.dtype, layer.nodata, layer.palette) == (np.uint16, 65535, None)
    assert layer.legend[299].name == "c299"


def test_every_further_layer_says_its_scale_and_what_is_missing() -> None:
    both = classes(7, 9)
    settings = PredictSettings(layers=("confidence", "entropy", "margin", "probabilities", "steps"))
    found = {
        product.name: product_layer(product, both, {"NOTE": "x"})
        for product in products_of(settings, classes=2, ignore=255)
        if product.name != "class"
    }
    assert list(found) == ["confidence", "entropy", "margin", "probabilities", "steps"]
    for name, layer in found.items():
        assert (layer.name, layer.dtype, layer.nodata) == (name, np.uint8, 255)
        assert round(1 / layer.scale) == (10 if name == "steps" else 254)
        assert layer.band_names == (("c7", "c9") if name == "probabilities" else (name,))
        assert layer.channels == len(layer.band_names)
        assert layer.tags == {"NOTE": "x"}
        assert not layer.categorical


def test_probabilities_of_half_precision_are_what_they_are() -> None:
    settings = PredictSettings(layers=("probabilities",), probability_type="float16")
    _, product = products_of(settings, classes=2, ignore=255)
    layer = product_layer(product, classes(7, 9), {})
    assert (layer.dtype, layer.scale) == (np.float16, 1.0)
    assert layer.nodata is not None
    assert np.isnan(layer.nodata)


def test_further_layers_lie_beside_the_map() -> None:
    assert layer_path(Path("a b/m.tif"), "confidence") == Path("a b/m_confidence.tif")


def test_provenance_says_what_decides_the_map_and_no_time(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle, scene = make_bundle(), tmp_path / "s ü.tif"
    scene.write_bytes(b"12345")
    first = provenance(bundle, entry(bundle, scene), PredictSettings(out=Path("a"), workers=1), DECISIONS)
    other = PredictSettings(out=Path("b"), workers=3, executor="ray", memory_gib=2.0, quick_look=0)
    assert first == provenance(bundle, entry(bundle, scene), other, DECISIONS)
    assert first["TERRAZZO_BUNDLE"] == bundle.fingerprint
    assert first["TERRAZZO_SCENE"] == "s ü.tif"
    assert first["TIFFTAG_SOFTWARE"] == f"terrazzo {terrazzo.__version__}"
    assert json.loads(first["TERRAZZO_VERSIONS"]) == {
        "terrazzo": terrazzo.__version__,
        "torch": str(torch.__version__),
        "gdal": rasterio.__gdal_version__,
    }
    assert json.loads(first["TERRAZZO_DECISIONS"]) == DECISIONS.model_dump(mode="json")
    settings = json.loads(first["TERRAZZO_SETTINGS"])
    assert settings["blend"] == "probabilities"
    assert not {"out", "inputs", "enable", "workers"} & set(settings)
    for changed in (PredictSettings(blend="logits"), PredictSettings(area=Path("z/area.gpkg"))):
        notes = provenance(bundle, entry(bundle, scene), changed, DECISIONS)
        assert {key for key in first if notes[key] != first[key]} == {"TERRAZZO_SETTINGS", "TERRAZZO_SETTINGS_SHA256"}
    assert json.loads(notes["TERRAZZO_SETTINGS"])["area"] == "area.gpkg"


def test_another_input_is_told_apart_and_a_key_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"1")
    first = input_fingerprint([str(path)])
    assert first == input_fingerprint([str(path)])
    path.write_bytes(b"12")
    assert input_fingerprint([str(path)]) != first
    address = "/vsicurl/https://example.org/a.tif"
    assert input_fingerprint([address + "?key=1"]) == input_fingerprint([address])
    assert input_fingerprint([address]) != input_fingerprint(["/vsicurl/https://example.org/b.tif"])
