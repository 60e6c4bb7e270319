"""Which files a configuration is made of."""

from pathlib import Path

import pytest

from terrazzo.config.document import node_at, plain
from terrazzo.config.files import VARIABLE, find_configuration, list_recipes, read_layers, recipe_file
from terrazzo.config.issue import Issue
from terrazzo.config.layers import Shorthands
from terrazzo.errors import ConfigError

SHORT = Shorthands(words={("model",): "name"})


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def write(folder: Path, **texts: str) -> Path:
    """Write `a="..."` as a.yaml and return the first file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.yaml"


def layers(file: Path) -> object:
    issues: list[Issue] = []
    tree = read_layers(file, shorthands=SHORT, issues=issues)
    assert [str(issue) for issue in issues] == []
    return plain(tree)


def mistakes(file: Path) -> list[str]:
    issues: list[Issue] = []
    read_layers(file, shorthands=SHORT, issues=issues)
    return [str(issue) for issue in issues]


def test_recipes_are_listed_by_name():
    assert list_recipes() == sorted(list_recipes())
    assert {"camvid", "demo", "dubai", "folders", "geotiff"} <= set(list_recipes())


def test_a_recipe_is_a_shipped_file():
    assert recipe_file("demo").name == "demo.yaml"
    assert recipe_file("demo").is_file()


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(ConfigError, match=r'No recipe is called "dmo"\. Did you mean "demo"\?'):
        recipe_file("dmo")


def test_a_file_is_found_by_path(tmp_path: Path):
    file = write(tmp_path / "mit Leerzeichen ä", run="a: 1")
    assert find_configuration(file) == file
    assert find_configuration(str(file)) == file
    assert find_configuration("run.yaml", folder=file.parent) == file


def test_a_word_is_a_recipe_whatever_lies_in_the_folder(tmp_path: Path):
    (tmp_path / "demo").mkdir()
    assert find_configuration("demo", folder=tmp_path) == recipe_file("demo")


def test_a_file_without_suffix_is_named_with_its_folder(tmp_path: Path):
    (tmp_path / "demo").write_text("a: 1")
    assert find_configuration("./demo", folder=tmp_path) == tmp_path / "demo"


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"There is no file .*run\.yaml"):
        find_configuration("run.yaml", folder=tmp_path)


def test_a_run_folder_is_no_file_but_says_which_it_holds(tmp_path: Path):
    write(tmp_path / "runs" / "x", config="a: 1")
    with pytest.raises(ConfigError, match=r"is a folder; .* It holds config\.yaml"):
        find_configuration("runs/x", folder=tmp_path)


def test_an_empty_folder_is_no_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"a configuration is a file\.$"):
        find_configuration(tmp_path)


def test_the_variable_comes_before_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, terrazzo="a: 1", other="a: 2")
    monkeypatch.setenv(VARIABLE, "other.yaml")
    assert find_configuration(None, folder=tmp_path) == tmp_path / "other.yaml"
    monkeypatch.setenv(VARIABLE, "demo")
    assert find_configuration(None, folder=tmp_path) == recipe_file("demo")


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "none.yaml")
    with pytest.raises(ConfigError, match=r"^\$TERRAZZO_CONFIG: There is no file"):
        find_configuration(None, folder=tmp_path)


def test_what_was_asked_for_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "none.yaml")
    assert find_configuration("demo", folder=tmp_path) == recipe_file("demo")


def test_the_search_goes_upward_to_the_nearest(tmp_path: Path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "terrazzo.yaml").write_text("a: 1")
    assert find_configuration(None, folder=deep) == tmp_path / "terrazzo.yaml"
    (tmp_path / "a" / "config.yml").write_text("a: 1")
    assert find_configuration(None, folder=deep) == tmp_path / "a" / "config.yml"
    (tmp_path / "a" / "terrazzo.yaml").write_text("a: 1")
    assert find_configuration(None, folder=deep) == tmp_path / "a" / "terrazzo.yaml"


def test_the_search_starts_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, terrazzo="a: 1")
    monkeypatch.chdir(tmp_path)
    assert find_configuration(None) == tmp_path / "terrazzo.yaml"


def test_nothing_found_says_where_it_looked_and_names_recipes(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"neither .* nor a folder above it holds terrazzo\.yaml or config\.yml.*demo"
    ):
        find_configuration(None, folder=tmp_path)


def test_a_file_is_laid_over_what_it_includes(tmp_path: Path):
    file = write(tmp_path, run="include: base.yaml\na: {x: 1}", base="a: {x: 2, y: 3}\nb: 4")
    assert layers(file) == {"a": {"x": 1, "y": 3}, "b": 4}


def test_of_several_includes_the_later_wins(tmp_path: Path):
    file = write(tmp_path, run="include: [one.yaml, two.yaml]\nc: 3", one="a: 1\nb: 1", two="b: 2\nc: 2")
    assert layers(file) == {"a": 1, "b": 2, "c": 3}


def test_includes_are_relative_to_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "parts", mid="include: ../low.yaml\na: 1")
    write(tmp_path, low="b: 2")
    file = write(tmp_path, run="include: parts/mid.yaml")
    monkeypatch.chdir(tmp_path / "parts")
    assert layers(file) == {"a": 1, "b": 2}


def test_a_recipe_can_be_included(tmp_path: Path):
    found = layers(write(tmp_path, run="include: demo\nseed: 7"))
    assert found["seed"] == 7
    assert found["data"]["source"]["name"] == "geotiff"


def test_includes_merge_components_like_overrides(tmp_path: Path):
    file = write(tmp_path, run="include: base.yaml\nmodel: {depth: 3}", base="model: smp")
    assert layers(file) == {"model": {"name": "smp", "depth": 3}}


def test_values_remember_the_included_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path, run="include: base.yaml\na: 1", base="\n\nb: 2")
    monkeypatch.chdir(tmp_path)
    tree = read_layers(file, shorthands=SHORT, issues=[])
    assert str(node_at(tree, ("b",)).place) == "base.yaml:3"
    assert str(node_at(tree, ("a",)).place) == "run.yaml:2"


def test_one_file_may_be_included_on_two_ways(tmp_path: Path):
    file = write(tmp_path, run="include: [l.yaml, r.yaml]", l="include: z.yaml", r="include: z.yaml", z="a: 1")
    assert layers(file) == {"a": 1}


def test_a_circle_is_a_mistake_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path, a="x: 1\ninclude: b.yaml", b="include: a.yaml")
    monkeypatch.chdir(tmp_path)
    expected = "b.yaml:1  include: the files include each other in a circle: a.yaml -> b.yaml -> a.yaml."
    assert mistakes(file) == [expected]


def test_a_file_that_includes_itself_is_a_circle(tmp_path: Path):
    assert "a.yaml -> a.yaml" in mistakes(write(tmp_path, a="include: a.yaml"))[0]


def test_a_missing_include_has_its_place_and_others_are_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path, run="include:\n  - none.yaml\n  - bad.yaml\n  - dmo", bad="a: 1\na: 2")
    monkeypatch.chdir(tmp_path)
    found = mistakes(file)
    assert found[0].startswith("run.yaml:2  include: There is no file")
    assert found[1].startswith("bad.yaml:2  a: the key stands twice")
    assert 'Did you mean "demo"?' in found[2]


@pytest.mark.parametrize("value", ["3", "{a: b}", "${paths.x}.yaml", ""])
def test_an_include_that_is_no_name_is_a_mistake(tmp_path: Path, value: str):
    (found,) = mistakes(write(tmp_path, run=f"include: {value}"))
    assert "expected a file's or recipe's name" in found
