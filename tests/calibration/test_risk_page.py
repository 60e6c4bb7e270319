"""The tables of docs/risk.md are what the code computes, and its example runs."""

import math
import re
from pathlib import Path

import numpy as np

from terrazzo.calibration.bounds import wealth
from terrazzo.calibration.risk import Choice, LossTable, choose

PAGE = (Path(__file__).parents[2] / "docs" / "risk.md").read_text(encoding="utf-8")
BOUND, DELTA = 0.2, 0.1


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first row begins so."""
    lines = PAGE.split(f"| {heading} |", 1)[1].splitlines()[2:]
    table = lines[: next(place for place, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def passes(method: str, mean: float, images: int, epsilon: float) -> bool:
    """Tell whether losses that are all their mean pass as a second threshold; the methods see the mean alone."""
    losses = np.column_stack([np.zeros(images), np.full(images, mean)])
    return choose(LossTable((1.0, 0.0), losses), method=method, epsilon=epsilon, delta=DELTA, bound=BOUND).position == 1


def test_what_images_buy() -> None:
    table = rows("n")
    assert [int(row[0]) for row in table] == [20, 50, 100, 207, 400, 1000]
    for row in table:
        images = int(row[0])
        for place, epsilon in enumerate((0.01, 0.02, 0.05)):
            conformal, betting, tested = row[1 + 3 * place : 4 + 3 * place]
            for method, cell in (("crc", conformal), ("ltt", tested)):
                if cell == "-":
                    assert not passes(method, 0.0, images, epsilon)
                else:
                    assert passes(method, float(cell) - 2e-4, images, epsilon)
                    assert not passes(method, float(cell) + 2e-4, images, epsilon)
            if betting == "-":
                assert float(wealth(np.zeros(images), epsilon / BOUND, DELTA)) <= math.log(1 / DELTA)
            elif float(betting) > 0.001:
                mean = float(betting)
                certainty = (1 - mean) / mean - 1
                drawn = np.random.default_rng(1).beta(mean * certainty, (1 - mean) * certainty, (300, images))
                won = wealth(np.minimum(drawn, BOUND) / BOUND, epsilon / BOUND, DELTA)
                assert 0.35 < (won > math.log(1 / DELTA)).mean() < 0.65


def test_fewest_images() -> None:
    table = rows("epsilon | B")
    assert len(table) == 6
    for epsilon, bound, *needed in table:
        for method, images in zip(("crc", "wsr", "ltt"), needed, strict=True):
            nothing = LossTable((1.0, 0.0), np.zeros((1, 2)))
            found = choose(nothing, method=method, epsilon=float(epsilon), delta=DELTA, bound=float(bound))
            assert found.needed_images == int(images)


def test_the_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(compile(example[1], "docs/risk.md", "exec"), names)
    found = names["found"]
    assert isinstance(found, Choice)
    assert found.feasible
    assert 0 < found.threshold < 1
    assert found.risk < found.upper <= 0.02
