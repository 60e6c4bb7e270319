"""The memory that is reckoned with is what is taken, and it follows the width and never the height."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from terrazzo.scene import PredictSettings
from terrazzo.scene.memory import Memory, device_memory_bytes, memory_bytes, memory_of
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products, products_of

Plan = Callable[..., ScenePlan]

SIZES = {"batch_size": 2, "group_size": 4, "lanes": 2, "network_bytes": 10_000}


def products(*layers: str, **more: object) -> Products:
    return products_of(PredictSettings(layers=layers, **more), classes=3, ignore=255)


def taken(plan: ScenePlan, *layers: str, **changes: object) -> Memory:
    return memory_of(plan, products(*layers), **{**SIZES, **changes})


def test_it_follows_the_width_and_never_the_height(make_plan: Plan) -> None:
    low, high, wide = make_plan((600, 300)), make_plan((3000, 300)), make_plan((600, 4500))
    assert low.cache_bytes == high.cache_bytes
    parts = {name: (vars(taken(low))[name], vars(taken(high))[name]) for name in vars(taken(low))}
    # Of a small scene the cache of blocks holds no more than all of it.
    assert parts.pop("cache") == (low.bytes_read, high.bytes_read)
    assert all(before == after for before, after in parts.values()), parts
    assert taken(wide).peak > taken(low).peak


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"lanes": 4}, "network"),
        ({"lanes": 4}, "waiting"),
        ({"group_size": 8}, "waiting"),
        ({"batch_size": 4}, "network"),
        ({"network_bytes": 20_000}, "network"),
        ({"readers": 8}, "decoding"),
    ],
)
def test_what_is_asked_for_counts(more: dict[str, int], part: str, make_plan: Plan) -> None:
    plan = make_plan((200, 300), dtype="uint8")
    before, after = taken(plan), taken(plan, **more)
    assert vars(after)[part] > vars(before)[part] or more == {"readers": 8}
    assert after.computing >= before.computing


def test_layers_and_bands_count(make_plan: Plan) -> None:
    plan = make_plan((200, 300))
    assert taken(plan, "confidence", "probabilities").products == 5 * taken(plan).products
    assert taken(plan, "confidence").joining > taken(plan).joining
    assert taken(make_plan((200, 300), bands=6)).held > taken(plan).held
    assert taken(make_plan((200, 300), dtype="uint8")).held < taken(plan).held


def test_network_and_blending_take_nothing_of_the_host_where_they_lie_on_a_device(make_plan: Plan) -> None:
    plan = make_plan((200, 300))
    here, there = taken(plan), taken(plan, device="cuda")
    assert there.network == 0
    assert there.blending < here.blending
    assert there.waiting < here.waiting
    on_device = device_memory_bytes(plan, products(), **SIZES)
    assert on_device > 2 * 2 * 10_000
    assert device_memory_bytes(make_plan((3000, 300)), products(), **SIZES) == on_device


def test_the_sum_is_that_of_computing_and_joining(make_plan: Plan) -> None:
    found = taken(make_plan((200, 300)))
    assert memory_bytes(make_plan((200, 300)), products(), **SIZES) == found.peak
    assert found.peak == found.computing + found.joining
    parts = (found.held, found.decoding, found.waiting, found.network, found.blending, found.products, found.cache)
    assert found.computing == sum(parts)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part of a run")
def test_a_wide_scene_takes_what_was_reckoned(tmp_path: Path) -> None:
    # Several strips, so that some are joined while others are decoded and computed.
    height, width = 4096, 12_000
    scene, figures = tmp_path / "wide.tif", tmp_path / "figures.json"
    noise = np.random.default_rng(0).integers(1, 200, (3, 512, 500), dtype=np.uint8)
    rows = np.tile(noise, (1, 1, width // 500))
    with rasterio.open(
        scene, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", tiled=True, blockxsize=512,
        blockysize=512, photometric="RGB", transform=Affine(0.5, 0, 9, 0, -0.5, 9),
    ) as file:  # fmt: skip
        for top in range(0, height, 512):
            file.write(rows, window=Window(0, top, width, 512))
    script = Path(__file__).parent / "measured_job.py"
    command = [sys.executable, script, scene, tmp_path / "map.tif", figures, "confidence,probabilities"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=300)
    found = json.loads(figures.read_text())
    assert found["pixels"] == height * width
    taken = found["taken"] - found["held"]
    assert taken > 200 * 2**20
    assert found["reckoned"] - found["held"] == pytest.approx(taken, rel=0.25)
    assert found["reckoned"] == pytest.approx(found["taken"], rel=0.25)
    # Strips are counted to the byte, and what is compressed is no larger than it was.
    assert found["disk"] > height * width * 5
