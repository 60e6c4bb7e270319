"""Fixtures that every test may use."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Where tests run side by side, threads of small tensors mostly wait for each other: on two cores that did other work
# too the tests of refiners, losses and ensembles took 385 s of processor time, and 80 s so. Set before torch is loaded,
# and for the programs that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

from terrazzo.record import Table

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

DATA = Path(os.environ.get("TERRAZZO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real imagery; the test is skipped where it is absent, unless TERRAZZO_REQUIRE_DATA=1."""
    if not DATA.is_dir():
        if os.environ.get("TERRAZZO_REQUIRE_DATA") == "1":
            pytest.fail(f"real imagery is required, but {DATA} does not exist")
        pytest.skip(f"no real imagery at {DATA}")
    return DATA


WEB = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.fixture
def dinov3_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of DINOv3's layout on model hubs, by the library itself: tiny, random, with every part at work."""

    def write(
        name: str = "dinov3 größe", *, seed: int = 0, shard: str = "1GB", processor: object = WEB, **figures: object
    ) -> Path:
        import transformers

        shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = transformers.DINOv3ViTConfig(num_register_tokens=4, **(shape | figures))
            model = transformers.DINOv3ViTModel(config)
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=shard)
        if processor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder

    return write


@pytest.fixture
def own_plugins() -> Iterator[None]:
    """Give a test tables and modules without plug-ins, and put back what was: workers load whatever is loaded here."""
    entries = {table: table._entries for table in Table._all.values()}
    modules = {name: module for name, module in sys.modules.items() if name.startswith("terrazzo_plugin_")}
    for table, before in entries.items():
        table._entries = {name: target for name, target in before.items() if target.startswith("terrazzo.")}
    for name in modules:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.startswith("terrazzo_plugin_")]:
        del sys.modules[name]
    sys.modules.update(modules)
    for table, before in entries.items():
        table._entries = before


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """Let a whole run set threads, determinism and logging, and put back what was."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    for handler in list(logging.getLogger("terrazzo").handlers):
        logging.getLogger("terrazzo").removeHandler(handler)
        handler.close()
