"""Every example of the documentation works: Python runs, YAML is a configuration, command lines are ones that exist.

A block that cannot be tried says why in a comment before it: `<!-- not run: REASON -->`.
"""

import functools
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import typer
import yaml

from terrazzo.cli.application import application
from terrazzo.config import config_schema, list_recipes, load_config
from terrazzo.config.document import plain, read_file
from terrazzo.config.run_config import RunConfig
from terrazzo.record import Table
from terrazzo.serve.settings import ServeSettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]*?) -->\n\n?)?```(?P<head>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LANGUAGES = {
    "",
    "python",
    "yaml",
    "console",
    "sh",
    "bash",
    "text",
    "toml",
    "json",
    "javascript",
    "dockerfile",
    "ini",
    "sql",
}
OTHERS = {"make", "pip", "ray", "torchrun", "tensorboard", "source", "export", "cd", "docker", "podman", "curl",
          "sbatch", "jupyter", "mlflow", "python", "sha256sum", "npm", "eval"}  # fmt: skip
"""Programs of others that pages may call."""
ALONE = {
    "data": "source: {name: folder, folder: data}\n  classes: [background, field]",
    "source": "source: {name: folder, folder: data}",
    "classes": "classes: [background, field]",
}


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    title: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@functools.cache
def blocks() -> tuple[Block, ...]:
    return tuple(block for page in PAGES for block in blocks_of(page, page.read_text(encoding="utf-8")))


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        language, _, rest = found["head"].partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        line = text[: found.start("head")].count("\n") + 1
        yield Block(page, line, language, title[1] if title else "", found["text"], found["reason"] or "")


def of(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.language in languages and not block.reason]


def pages_with(language: str) -> list[Path]:
    return list(dict.fromkeys(block.page for block in of(language)))


def test_every_fence_is_understood() -> None:
    for page in PAGES:
        fences = [line for line in page.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("```")]
        assert len(fences) == 2 * sum(block.page == page for block in blocks()), page
    for block in blocks():
        assert block.language in LANGUAGES, f"{block}: a block of {block.language}"
        if block.language == "":
            assert not re.search(r"^(\$ |terrazzo )", block.text, re.MULTILINE), f"{block}: mark commands as console"


def test_what_is_not_run_has_a_reason() -> None:
    for block in blocks():
        if block.reason:
            assert len(block.reason) > 10, block
            for path in re.findall(r"\btests/[\w/]+\.py\b", block.reason):
                assert block.page.name in (ROOT / path).read_text(encoding="utf-8"), f"{block}: {path}"


# ------------------------------------------------------------------------------------------------------------- Python


def save_files(page: Path) -> None:
    """Write the page's files, those with a title, into the working directory."""
    for block in blocks():
        if block.page == page and block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: page.stem)
def test_python_runs(page: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_files(page)
    names: dict[str, Any] = {"__name__": "page"}
    shown = [block for block in blocks() if block.page == page]
    for block, after in zip(shown, [*shown[1:], None], strict=True):
        if block.language != "python" or block.title or block.reason:
            continue
        capsys.readouterr()
        # Empty lines before it, so that a traceback names the page's own line.
        exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        printed = capsys.readouterr().out
        if after is not None and after.language == "text" and "print(" in block.text:
            assert printed == after.text, after


# --------------------------------------------------------------------------------------------------------------- YAML


def completed(text: str) -> str:
    """Return a part of a configuration with what it lacks to be a whole one."""
    content = yaml.safe_load(text)
    lines = text if text.endswith("\n") else text + "\n"
    if "data" not in content and "include" not in content:
        lines += f"data:\n  {ALONE['data']}\n"
    elif "data" in content:
        missing = [word for word in ("source", "classes") if word not in content["data"]]
        source = content["data"].get("source", {})
        if source.get("name") in {"cityscapes", "camvid", "deepglobe"} or "class_list" in source:
            missing = [word for word in missing if word != "classes"]  # the source knows them
        lines = lines.replace("data:\n", "data:\n" + "".join(f"  {ALONE[word]}\n" for word in missing), 1)
    if "model" not in content and "include" not in content:
        lines += "model: smp\n"
    return lines


@functools.cache
def whole_schema() -> dict[str, Any]:
    return config_schema()


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_a_configuration(block: Block, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CITYSCAPES_ROOT", "DEEPGLOBE_ROOT", "DINOV3_WEIGHTS", "HARDNET_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    save_files(block.page)
    content = yaml.safe_load(block.text)
    if not set(content) & {"include", *RunConfig.model_fields} - {"name"}:  # of a component alone
        record = content if "name" in content else next(iter(content.values()))
        families = [table for table in Table._all.values() if record["name"] in table]
        assert families, f"{block}: no component is called {record['name']}"
        assert families[0].create(**record)
        return
    Path("base.yaml").write_text("data:\n  " + ALONE["data"] + "\nmodel: smp\n", encoding="utf-8")
    Path("sets.txt").write_text("", encoding="utf-8")
    Path("page.yaml").write_text(completed(block.text), encoding="utf-8")
    assert load_config("page.yaml").model
    tree = read_file(Path("page.yaml"), [])
    assert tree is not None
    if "include" not in content:  # what it lacks may stand in the other file
        jsonschema.validate(plain(tree), config_schema() if "plugins" in content else whole_schema())


# ------------------------------------------------------------------------------------------------------ command lines


def command_lines(text: str) -> Iterator[str]:
    """Yield what is typed: lines after `$ ` where there are such, else all; those that end in a backslash joined."""
    lines = text.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    yield from (line for line in prompted or lines if line.strip() and not line.lstrip().startswith("#"))


def segments(line: str) -> Iterator[list[str]]:
    """Yield the words of each program that a line starts."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    reader.whitespace_split, reader.commenters = True, "#"
    words: list[str] = []
    for word in [*reader, ";"]:
        if word and set(word) <= set("|&;"):
            if words:
                yield words
            words = []
        else:
            words.append(word)


@pytest.mark.parametrize("block", of("console", "sh", "bash"), ids=str)
def test_the_command_lines_exist(block: Block, place: Path) -> None:
    save_files(block.page)
    for line in command_lines(block.text):
        for words in segments(line):
            check_program(words, line)


def check_program(words: list[str], line: str) -> None:
    """Look up a program and, of Terrazzo, its arguments; of `make`, its targets; of `pip`, our extras."""
    while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
        words = words[1:]
    if ">" in words:
        words = words[: words.index(">")]
    program = words[0].rpartition("/")[2]
    if program == "terrazzo":
        check_terrazzo(words[1:])
    elif "-m" in words and (module := words[words.index("-m") + 1]).startswith("terrazzo"):
        assert importlib.util.find_spec(f"{module}.__main__"), f"{line}: python -m {module} does not exist"
        check_terrazzo(words[words.index(module) + 1 :])
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), line
    else:
        assert program in OTHERS, f"{line}: {program} is no program that pages call"
        for word in words:
            if extras := re.search(r"(?:terrazzo|\.)\[([\w,]+)\]$", word):
                assert set(extras[1].split(",")) <= set(known_extras()), line


@functools.cache
def known_extras() -> tuple[str, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(project["optional-dependencies"])


def check_terrazzo(words: list[str]) -> None:
    """Parse a command line as the program does, and look up recipes and keys that it names."""
    command: Any = typer.main.get_command(application)
    words = list(words)
    while hasattr(command, "commands"):
        if words and words[0] in {"--help", "--version", "--install-completion", "--show-completion"}:
            return
        assert words, "a command is missing"
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command = command.commands[words.pop(0)]
    context = command.make_context(command.name, words)
    schema = config_schema_once()
    for parameter in command.params:
        given = context.params.get(parameter.name)
        if "RECIPE" in (parameter.metavar or "") and given:
            first = str(given[0]) if isinstance(given, list | tuple) else str(given)
            if re.fullmatch(r"[\w-]+", first):
                assert first in list_recipes(), f"there is no recipe {first}"
        if "KEY=VALUE" in (parameter.metavar or ""):
            for word in given or ():
                if found := re.match(r"([a-z_]+(?:\.\w+)*)=", str(word)):
                    assert has(found[1], schema), f"there is no setting {found[1]}"


@functools.cache
def config_schema_once() -> dict[str, Any]:
    """Return the schema of configurations, with the settings that only a command has beside them."""
    schema = config_schema()
    of_serve = ServeSettings.model_json_schema()
    return {**schema, "properties": {**schema["properties"], "serve": {"properties": of_serve["properties"]}}}


def branches(schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a schema and whatever it may be instead."""
    if "$ref" in schema:
        yield from branches(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    yield schema
    for word in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(word, ()):
            yield from branches(one, whole)


def has(key: str, whole: dict[str, Any]) -> bool:
    """Tell whether a dotted key, with positions in lists, leads through the schema of configurations."""
    places = [whole]
    for part in key.split("."):
        found = [schema for one in places for schema in branches(one, whole)]
        places = [schema["properties"][part] for schema in found if part in schema.get("properties", {})]
        places += [schema["additionalProperties"] for schema in found if schema.get("additionalProperties")]
        if part.isdigit():
            places += [schema["items"] for schema in found if "items" in schema]
    return bool(places)


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["train", "--epochs", "3"],
        ["predict", "a", "b"],
        ["run", "deepgloob"],
        ["train", "demo", "train.epoch=3"],
    ],
)
def test_a_wrong_command_line_is_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"no command|No such option|Missing parameter|no recipe|no setting"):
        check_terrazzo(words)


def test_parts_of_a_page_are_found() -> None:
    text = 'a\n\n<!-- not run: because of this -->\n\n```yaml title="x.yaml"\nb: 1\n```\n'
    text += "```console\n$ c \\\n  d | e\nf\n```\n"
    first, second = blocks_of(Path("x.md"), text)
    assert (first.language, first.title, first.reason, first.line) == ("yaml", "x.yaml", "because of this", 5)
    assert [list(segments(line)) for line in command_lines(second.text)] == [[["c", "d"], ["e"]]]
