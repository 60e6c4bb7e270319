"""The viewer's routes: scenes, tiles, pixels, areas, and what is refused."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from terrazzo.serve.library import SceneLibrary
from terrazzo.serve.problems import handle_problems
from terrazzo.serve.viewing import router


def client_of(*roots: Path) -> TestClient:
    app = FastAPI()
    handle_problems(app)
    app.include_router(router(SceneLibrary(roots)))
    return TestClient(app, base_url="http://127.0.0.1")


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_map: Callable[..., Path]) -> Path:
    path = make_map(tmp_path_factory.mktemp("viewed maps ü"))
    return path.parent


@pytest.fixture(scope="module")
def client(folder: Path) -> TestClient:
    return client_of(folder)


@pytest.fixture(scope="module")
def scene(client: TestClient) -> str:
    (found,) = client.get("/viewer/scenes").json()["scenes"]
    assert found["name"] == "map.tif"
    assert found["mapped"]
    return f"/viewer/scenes/{found['id']}"


def test_a_scene_tells_its_layers(client: TestClient, scene: str) -> None:
    facts = client.get(scene).json()
    assert (facts["height"], facts["width"], facts["levels"]) == (620, 700, 1)
    assert [one["name"] for one in facts["classes"]] == ["wätter", "road", "field"]
    assert [one["name"] for one in facts["layers"]] == ["confidence", "steps", "abstain", "sets", "probabilities"]
    steps = facts["layers"][1]
    assert (steps["low"], steps["high"]) == (1.0, 3.0)
    assert facts["image"]["bands"] == ["red", "green", "blue"]
    assert facts["crs"] == "EPSG:32612"
    assert facts["notes"] == ["the pixels are small"]


def test_class_tiles_hold_the_classes_colours_and_no_others(client: TestClient, scene: str) -> None:
    facts = client.get(scene).json()
    colours = [tuple(bytes.fromhex(one["colour"][1:])) for one in facts["classes"]]
    tile = picture(client.get(f"{scene}/tiles/class/1/0/0").content)
    assert tile.shape == (512, 512, 4)
    assert tuple(tile[5, 50]) == (*colours[0], 255)
    assert tuple(tile[5, 150]) == (*colours[1], 255)
    edge = picture(client.get(f"{scene}/tiles/class/1/1/1").content)
    # Column 690 was not measured, row 620 is outside the scene.
    assert edge[5, 690 - 512, 3] == 0
    assert edge[620 - 512, 50, 3] == 0
    assert edge[619 - 512, 50, 3] == 255
    hidden = picture(client.get(f"{scene}/tiles/class/1/0/0?hidden=0").content)
    assert hidden[5, 50, 3] == 0
    assert hidden[5, 150, 3] == 255
    coarse = picture(client.get(f"{scene}/tiles/class/0/0/0").content)
    shown = coarse[coarse[..., 3] == 255][:, :3]
    assert {tuple(colour) for colour in np.unique(shown, axis=0).tolist()} == set(colours)


def test_tiles_of_an_image_are_its_pixels(client: TestClient, scene: str, folder: Path) -> None:
    tile = picture(client.get(f"{scene}/tiles/image/1/1/0").content)
    with rasterio.open(folder / "scene.tif") as file:
        pixels = np.moveaxis(file.read(), 0, -1)
    assert np.array_equal(tile[:512, :188, :3], pixels[:512, 512:])
    assert not tile[:, 188:, 3].any()
    grey = picture(client.get(f"{scene}/tiles/image/1/1/0?bands=2").content)
    assert np.array_equal(grey[:512, :188, 0], pixels[:512, 512:, 1])
    turned = picture(client.get(f"{scene}/tiles/image/1/1/0?bands=3,2,1").content)
    assert np.array_equal(turned[:512, :188, :3], pixels[:512, 512:, ::-1])


def test_further_layers_are_drawn(client: TestClient, scene: str) -> None:
    marks = picture(client.get(f"{scene}/tiles/abstain/1/0/0").content)
    assert marks[5, 150, 3] == 255
    assert marks[5, 50, 3] == 0
    steps = picture(client.get(f"{scene}/tiles/steps/1/0/0").content)
    # One step is the ramp's dark end, three its bright one.
    assert steps[5, 50, :3].sum() < steps[5, 150, :3].sum() < steps[5, 250, :3].sum()
    sets = picture(client.get(f"{scene}/tiles/sets/1/0/0").content)
    assert tuple(sets[5, 50]) == tuple(sets[5, 150]) != tuple(sets[5, 250])
    first, second = (picture(client.get(f"{scene}/tiles/probabilities/1/0/0?bands={n}").content) for n in (1, 2))
    assert first[5, 50, :3].sum() > second[5, 50, :3].sum()


def test_a_pixel_tells_all(client: TestClient, scene: str) -> None:
    found = client.get(f"{scene}/pixels/250/10").json()
    assert found["class_position"] == 2
    values = {one["name"]: one for one in found["layers"]}
    assert values["confidence"]["value"] == pytest.approx(252 / 254)
    assert values["steps"]["value"] == pytest.approx(3.0)
    assert values["sets"]["classes"] == [1, 2]
    assert found["probabilities"] == pytest.approx([5 / 254, 5 / 254, 234 / 254])
    assert (found["position"]["x"], found["position"]["y"]) == (300_125.25, 4_099_994.75)
    assert found["position"]["latitude"] == pytest.approx(37.03, abs=0.01)
    assert [one["band"] for one in found["bands"]] == ["red", "green", "blue"]
    nowhere = client.get(f"{scene}/pixels/690/10").json()
    assert nowhere["class_position"] is None
    assert nowhere["layers"] == []


def test_areas_are_ground(client: TestClient, scene: str) -> None:
    found = client.get(f"{scene}/areas").json()
    assert [one["pixels"] for one in found["classes"]] == [620 * 280, 620 * 200, 620 * 200]
    assert found["classes"][0]["square_metres"] == pytest.approx(620 * 280 * 0.25, rel=0.01)
    assert not found["estimated"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/viewer/scenes/00000000000000000000", 404),
        ("/viewer/scenes/..%2F..%2Fetc", 404),
        ("/viewer/scenes/ABC", 422),
        ("{scene}/tiles/class/2/0/0", 404),
        ("{scene}/tiles/class/1/2/0", 404),
        ("{scene}/tiles/class/99/0/0", 422),
        ("{scene}/tiles/class/0/99999999999/0", 422),
        ("{scene}/tiles/class/0/-1/0", 422),
        ("{scene}/tiles/entropy/0/0/0", 404),
        ("{scene}/tiles/..%2f/0/0/0", 404),
        ("{scene}/tiles/image/0/0/0?bands=1,2", 422),
        ("{scene}/tiles/image/0/0/0?bands=4", 422),
        ("{scene}/tiles/image/0/0/0?bands=1;2", 422),
        ("{scene}/tiles/image/0/0/0?stretch=hdr", 422),
        ("{scene}/tiles/probabilities/0/0/0?bands=4", 422),
        ("{scene}/pixels/700/0", 404),
        ("/viewer/static/..%2Fviewing.py", 404),
        ("/viewer/static/.index.html", 404),
    ],
)
def test_what_does_not_exist_is_refused(path: str, status: int, client: TestClient, scene: str) -> None:
    response = client.get(path.format(scene=scene))
    assert response.status_code == status, response.text
    if response.headers["content-type"] == "application/problem+json":
        assert response.json()["detail"]


def test_a_damaged_map_is_a_clear_refusal(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path, layers=())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    client = client_of(tmp_path)
    (scene,) = client.get("/viewer/scenes").json()["scenes"]
    responses = [client.get(f"/viewer/scenes/{scene['id']}/tiles/class/1/{x}/0") for x in (0, 1)]
    refused = [one for one in responses if one.status_code != 200]
    assert refused
    for response in refused:
        assert response.status_code == 422
        assert "map.tif" in response.json()["detail"]
        assert str(tmp_path) not in response.text


def test_scenes_without_a_place_on_earth(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    make_map(tmp_path, placed=False, layers=())
    client = client_of(tmp_path)
    (scene,) = client.get("/viewer/scenes").json()["scenes"]
    found = client.get(f"/viewer/scenes/{scene['id']}/pixels/5/5").json()
    assert found["position"] is None
    areas = client.get(f"/viewer/scenes/{scene['id']}/areas").json()
    assert areas["classes"][0] == {"pixels": 620 * 280, "square_metres": None}


def test_many_ask_at_once(client: TestClient, scene: str) -> None:
    addresses = [f"{scene}/tiles/{layer}/1/{x}/{y}" for layer in ("class", "image") for x in (0, 1) for y in (0, 1)] * 3
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda address: client.get(address).content, addresses))
    assert answers[:8] == answers[8:16] == answers[16:]


def test_guards_keep_scenes_but_not_the_page(folder: Path) -> None:
    from fastapi import Depends, HTTPException

    def refuse() -> None:
        raise HTTPException(401, "no key")

    app = FastAPI()
    app.include_router(router(SceneLibrary([folder]), guards=[Depends(refuse)]))
    guarded = TestClient(app)
    assert guarded.get("/viewer/scenes").status_code == 401
    assert guarded.get("/").status_code in {200, 503}
