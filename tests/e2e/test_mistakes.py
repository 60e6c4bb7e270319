"""What a user's mistakes are answered with: a status and a sentence, never a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Terrazzo = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("train", "train.epocs=3"), 2, "epochs"),
        (("train", "no-such-file.yaml"), 2, "no-such-file.yaml"),
        (("run", "optimizer=adamax"), 2, "adamw"),
        (("list", "nonsense"), 2, "models"),
        (("evaluate", "nowhere.safetensors"), 1, "nowhere.safetensors"),
        (("predict", "nowhere.safetensors", "scene.tif", "--out", "maps"), 1, "nowhere.safetensors"),
    ],
)
def test_a_mistake_is_explained(terrazzo: Terrazzo, arguments: tuple[str, ...], status: int, words: str) -> None:
    answer = terrazzo(*arguments)
    assert answer.exit_code == status, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_unreadable_image_is_named(project: Path, terrazzo: Terrazzo) -> None:
    damaged = project / "my dàta" / "images" / "train_3.tif"
    damaged.write_bytes(damaged.read_bytes()[:300])
    answer = terrazzo("prepare")
    assert answer.exit_code == 1
    assert "train_3.tif" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_debug_shows_where_an_error_arose(terrazzo: Terrazzo) -> None:
    answer = terrazzo("train", "no-such-file.yaml", "--debug")
    assert answer.exit_code == 2
    assert "Traceback" in answer.stderr
