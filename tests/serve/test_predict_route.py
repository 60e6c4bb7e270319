"""Direct answers: the bits of `terrazzo predict`, whatever else is under way."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image

from terrazzo.machine import MachineSettings
from terrazzo.phases.predict import predict
from terrazzo.scene.settings import PredictSettings

Client = Callable[..., TestClient]
Values = Callable[..., np.ndarray]
Encode = Callable[..., bytes]


def _ask(client: TestClient, content: bytes, **parameters: str) -> bytes:
    answer = client.post("/v1/predict", files={"image": ("é.tif", content)}, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.content


def _raster(content: bytes) -> tuple[np.ndarray, dict[str, object]]:
    with rasterio.MemoryFile(content) as memory, memory.open() as file:
        return file.read(), {"crs": file.crs, "transform": file.transform, "tags": file.tags(), "nodata": file.nodata}


def _predicted(bundle: Path, content: bytes, folder: Path, suffix: str, **settings: object) -> Path:
    scene = folder / f"scene{suffix}"
    scene.write_bytes(content)
    predict(
        bundle,
        [scene],
        folder / f"map{suffix}",
        settings=PredictSettings(report=False, quick_look=0, stac=False, **settings),
        machine=MachineSettings(accelerator="cpu", precision="float32", threads=1),
    )
    return folder / f"map{suffix}"


@pytest.mark.parametrize("shape", [(64, 64), (150, 203), (20, 90)])
def test_geotiff_holds_the_bits_of_predict(
    shape: tuple[int, int],
    make_client: Client,
    make_values: Values,
    tiff_of: Encode,
    bundle_path: Path,
    tmp_path: Path,
) -> None:
    values = make_values(*shape)
    values[:, :9, :5] = 0
    content = tiff_of(values, nodata=0)
    client = make_client()
    found, about = _raster(_ask(client, content, output="geotiff"))
    layers = ("confidence", "probabilities")
    path = _predicted(bundle_path, content, tmp_path, ".tif", layers=layers)
    wanted, expected = _raster(path.read_bytes())
    np.testing.assert_array_equal(found, wanted)
    assert (found == 255).any()
    for name in ("crs", "transform", "nodata"):
        assert about[name] == expected[name]
    for tag in ("CLASS_NAMES", "CLASS_VALUES", "TERRAZZO_BUNDLE"):
        assert about["tags"][tag] == expected["tags"][tag]
    for layer in layers:
        answered, _ = _raster(_ask(client, content, output="geotiff", layer=layer))
        np.testing.assert_array_equal(answered, _raster((tmp_path / f"map_{layer}.tif").read_bytes())[0])


def test_png_is_the_picture_of_predict_with_its_palette(
    make_client: Client, make_values: Values, png_of: Encode, bundle_path: Path, tmp_path: Path
) -> None:
    content = png_of(make_values(70, 100, seed=4))
    picture = Image.open(BytesIO(_ask(make_client(), content, output="png")))
    wanted = Image.open(_predicted(bundle_path, content, tmp_path, ".png"))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(wanted))
    assert picture.mode == "P"
    assert picture.getpalette()[:9] == [0x3C, 0x10, 0x98, 0, 255, 0, 0, 0, 255]


def test_summary_and_polygons_count_the_same_pixels(make_client: Client, make_values: Values, tiff_of: Encode) -> None:
    client, content = make_client(), tiff_of(make_values(80, 120, seed=2))
    target, _ = _raster(_ask(client, content, output="geotiff"))
    confidence, _ = _raster(_ask(client, content, output="geotiff", layer="confidence"))
    summary = json.loads(_ask(client, content, output="json"))
    counts = np.bincount(target.ravel(), minlength=3)
    assert [one["pixels"] for one in summary["classes"]] == counts.tolist()
    assert sum(one["share"] for one in summary["classes"]) == pytest.approx(1)
    assert sum(one["area_m2"] for one in summary["classes"]) == pytest.approx(80 * 120 * 0.25, rel=2e-3)
    assert summary["confidence"] == pytest.approx(confidence.mean() / 254)
    areas = json.loads(_ask(client, content, output="geojson"))
    assert areas["type"] == "FeatureCollection"
    found = np.zeros(3, dtype=int)
    for feature in areas["features"]:
        found[feature["properties"]["value"]] += feature["properties"]["pixels"]
        longitude, latitude = feature["geometry"]["coordinates"][0][0]
        assert -114 < longitude < -113
        assert 37 < latitude < 37.2
    np.testing.assert_array_equal(found, counts)


def test_no_bit_depends_on_what_else_is_asked(make_client: Client, make_values: Values, png_of: Encode) -> None:
    """Windows of one size from many requests pass the network together."""
    images = [png_of(make_values(64, 64 + 40 * (number % 2), seed=number)) for number in range(12)]
    alone = make_client()
    wanted = [_ask(alone, image, output="geotiff", layer="probabilities") for image in images]
    client = make_client(batch_wait_ms=300)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda one: _ask(client, one, output="geotiff", layer="probabilities"), images))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(_raster(one)[0], _raster(other)[0])
    figures = client.get("/metrics").text
    passes = float(figures.partition("terrazzo_pass_windows_count ")[2].splitlines()[0])
    windows = float(figures.partition("terrazzo_pass_windows_sum ")[2].splitlines()[0])
    assert windows == 18
    (model,) = client.get("/v1/models").json()["models"]
    if len(model["joined_sizes"]) > 1:
        assert passes < windows / 2
    else:
        # Where this processor rounds a batch otherwise than a window alone, each request passes by itself.
        assert passes == len(images)


def test_accept_chooses_what_comes_back(make_client: Client, make_values: Values, png_of: Encode) -> None:
    client, files = make_client(), {"image": ("a.png", png_of(make_values(64, 64)))}
    for accept, kind in (
        ("image/png", "image/png"),
        ("image/tiff, image/png;q=0.4", "image/tiff"),
        ("*/*", "application/json"),
        ("application/geo+json", "application/geo+json"),
    ):
        answer = client.post("/v1/predict", files=files, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert client.post("/v1/predict", files=files, headers={"Accept": "text/html"}).status_code == 406


def test_an_image_that_does_not_fit_is_refused_with_what_is_missing(
    make_client: Client, make_values: Values, tiff_of: Encode, tmp_path: Path
) -> None:
    files = {"image": ("two bands.tif", tiff_of(make_values(64, 64)[:2]))}
    answer = make_client().post("/v1/predict", files=files)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert "two bands.tif does not fit the model: it has 2 bands" in problem["detail"]
    assert set(problem) == {"type", "title", "status", "detail", "advice"}
    assert str(tmp_path) not in answer.text
    assert not any((tmp_path / "served" / "incoming").iterdir())


def test_an_unknown_model_is_named_with_the_known_ones(
    make_client: Client, make_values: Values, png_of: Encode
) -> None:
    files = {"image": ("a.png", png_of(make_values(64, 64)))}
    answer = make_client().post("/v1/predict", files=files, params={"model": "land grösse"})
    assert answer.status_code == 404
    assert "land größe" in answer.json()["detail"]
