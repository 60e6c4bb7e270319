"""What docs/metrics.md shows is what happens."""

import re
from pathlib import Path

from terrazzo.bootstrap import DRAWS
from terrazzo.metrics.boundary import BAND, DIAGONAL, TOLERANCES
from terrazzo.metrics.intervals import PERMUTATIONS
from terrazzo.training.settings import TrainSettings

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_examples_print_what_the_page_says(capsys):
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * 3
    names: dict[str, object] = {}
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, "docs/metrics.md", "exec"), names)
        else:
            assert capsys.readouterr().out == text


def test_defaults_are_as_the_page_says():
    assert "0 (strict), 1, 2, 3 and 5 pixels" in PAGE
    assert TOLERANCES == (0, 1, 2, 3, 5)
    assert "0.75 % of each image's diagonal" in PAGE
    assert DIAGONAL == 0.0075
    assert "2 % of the diagonal" in PAGE
    assert BAND == 0.02
    assert f"{DRAWS:,} times" in PAGE
    assert f"{PERMUTATIONS:,} times" in PAGE


def test_the_setting_of_the_page_is_accepted():
    shown = re.search(r"`train\.boundary_tolerances: \[([\d, ]+)\]`", PAGE)
    assert shown is not None
    tolerances = tuple(int(one) for one in shown[1].split(","))
    assert TrainSettings(boundary_tolerances=tolerances).boundary_tolerances == tolerances
