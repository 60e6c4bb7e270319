"""What may stand at the cursor: commands, options, recipes, keys of the configuration, files.

This runs at each press of the tab key: nothing heavy loads, and the list of keys comes from `completion_keys`.
"""

import enum
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from terrazzo.cli import completion_keys
from terrazzo.cli.completion_keys import KnownKey

__all__ = ["Candidate", "candidates", "split_line"]

_CHOICES = re.compile(r"\[([\w-]+(?:\|[\w-]+)+)\]")
_FILES = re.compile(r"\b(FILE|DIR|PATH|FOLDER|BUNDLE|RUN|SCENE|CONFIG|INPUT|MAP|IMAGE)\b")
_SUFFIXES = (".yaml", ".yml")


class Candidate(NamedTuple):
    """One thing that may stand at the cursor.

    Attributes:
        kind: `word` is finished by a space, `part` goes on, `file` asks the shell for names of files.
        text: The whole word; empty for `file`.
        note: What it is, on one line.
    """

    kind: Literal["word", "part", "file"]
    text: str = ""
    note: str = ""


def split_line(line: str) -> list[str]:
    """Return the words of a line up to the cursor, quotes taken off; the last is the unfinished one.

    >>> split_line("terrazzo train 'my run.yaml' opt"), split_line("terrazzo train ")
    (['terrazzo', 'train', 'my run.yaml', 'opt'], ['terrazzo', 'train', ''])
    """
    for ending in ("", "'", '"', "\\"):
        try:
            words = shlex.split(line + ending)
        except ValueError:
            continue
        begins_anew = not ending and len(shlex.split(line + "x")) > len(words)
        return [*words, ""] if begins_anew else words
    return line.split(" ")


def candidates(program: Any, words: Sequence[str]) -> list[Candidate]:  # noqa: ANN401 - Typer keeps its types
    """Return what may stand at the last of the words.

    Args:
        program: The program's command, as Typer makes it.
        words: The program's name first, the unfinished word last.
    """
    *before, typed = words[1:] or [""]
    command, arguments, waiting = _descend(program, before)
    if waiting is not None:
        found = _values(waiting, typed)
    elif typed.startswith("-"):
        found = _options(command, typed)
    elif commands := getattr(command, "commands", None):
        found = (
            Candidate("word", name, _note(each))
            for name, each in commands.items()
            if not getattr(each, "hidden", False)
        )
    else:
        found = _argument(command, arguments, typed)
    return [each for each in found if each.kind == "file" or each.text.startswith(_stem(each, typed))]


def _stem(candidate: Candidate, typed: str) -> str:
    """Return what a candidate must begin with; a value of an option that is written `--option=` stands alone."""
    return typed.partition("=")[2] if typed.startswith("--") and not candidate.text.startswith("--") else typed


def _descend(command: Any, words: Sequence[str]) -> tuple[Any, list[str], Any]:  # noqa: ANN401
    """Return the innermost command, its arguments so far, and the option that waits for a value."""
    arguments: list[str] = []
    waiting = None
    for word in words:
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and word != "-":
            option = next((each for each in command.params if word in (*each.opts, *each.secondary_opts)), None)
            waiting = option if option is not None and not getattr(option, "is_flag", False) else None
        elif (inner := getattr(command, "commands", {}).get(word)) is not None:
            command, arguments = inner, []
        else:
            arguments.append(word)
    return command, arguments, waiting


def _options(command: Any, typed: str) -> Iterator[Candidate]:  # noqa: ANN401
    name, equals, value = typed.partition("=")
    for each in command.params:
        if not each.opts[0].startswith("-") or getattr(each, "hidden", False):
            continue
        if equals and name in each.opts:
            for found in _values(each, value):
                yield found._replace(text=f"{name}={found.text}") if found.text else found
        elif not equals:
            for option in (*each.opts, *each.secondary_opts):
                if option.startswith("--") or typed == option:
                    yield Candidate("word", option, _line(each.help or ""))
    if not equals:
        yield Candidate("word", "--help", "Show this message and exit.")


def _argument(command: Any, arguments: Sequence[str], typed: str) -> Iterator[Candidate]:  # noqa: ANN401
    places = [
        each for each in command.params if not each.opts[0].startswith("-") and not getattr(each, "hidden", False)
    ]
    for position, place in enumerate(places):
        if place.nargs == -1 or position == len(arguments):
            yield from _values(place, typed, first=position == len(arguments), arguments=arguments)
            return


def _values(
    parameter: Any,  # noqa: ANN401
    typed: str,
    *,
    first: bool = True,
    arguments: Sequence[str] = (),
) -> Iterator[Candidate]:
    """Yield what a parameter takes, by its type and by the words of its placeholder."""
    kind, metavar = parameter.type_descriptor.annotation, parameter.metavar or ""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        yield from (Candidate("word", str(member.value)) for member in kind)
    elif choices := _CHOICES.fullmatch(metavar):
        yield from (Candidate("word", choice) for choice in choices[1].split("|"))
    if "RECIPE" in metavar and first and "=" not in typed:
        yield from (Candidate("word", name, "recipe") for name in _recipes())
    if "KEY" in metavar and not typed.startswith((".", "/", "~")):
        yield from _keys(typed, arguments, valued="KEY=" in metavar)
    if (kind is Path or _FILES.search(metavar)) and "=" not in typed:
        yield Candidate("file")


def _recipes() -> list[str]:
    folder = Path(__file__).parents[1] / "recipes"
    return sorted(file.stem for file in folder.iterdir() if file.suffix in _SUFFIXES)


def _keys(typed: str, arguments: Sequence[str], *, valued: bool) -> Iterator[Candidate]:
    """Yield keys one level at a time, then the values of the one that is typed."""
    name, equals, _ = typed.partition("=")
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    known = [
        key for key in completion_keys.read() if all(chosen.get(at, member) == member for at, member in key.within)
    ]
    if equals:
        for key in known:
            if key.name == name:
                yield from (Candidate("word", f"{name}={value}") for value in key.values)
                if key.takes_file:
                    yield Candidate("file")
        return
    start = name[: name.rfind(".") + 1]
    yield from {each.text: each for each in _level(known, start, valued=valued)}.values()


def _level(known: Sequence[KnownKey], start: str, *, valued: bool) -> Iterator[Candidate]:
    """Yield the next part of each key that begins with the finished parts."""
    for key in known:
        if not key.name.startswith(start):
            continue
        part, dot, _ = key.name[len(start) :].partition(".")
        if part == "*":
            continue
        if dot:
            yield Candidate("part", f"{start}{part}.")
        elif not valued:
            yield Candidate("word", start + part, key.note)
        elif not key.is_section:
            yield Candidate("part", f"{start}{part}=", key.note)


def _note(command: Any) -> str:  # noqa: ANN401
    return _line(command.get_short_help_str(limit=100))


def _line(text: str) -> str:
    return " ".join(text.split())
