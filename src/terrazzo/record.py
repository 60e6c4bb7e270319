"""The base of every component: a frozen record of settings, and the table that finds a record by its name.

A component is a record plus one verb (`build`, `__call__`, `catalog`). Its fields are at once the YAML schema, the
Python interface and the documentation. A `Table` maps names to "module:Class" and imports a class on first use, so that
names can be listed without loading torch.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from terrazzo.errors import ConfigError

__all__ = ["Component", "Record", "Table", "family", "load_plugin", "nearest"]


class Record(BaseModel):
    """Frozen settings; an unknown key is an error, and every field carries one sentence of documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


class Component(Record):
    """A record that a table can name.

    Subclasses declare `name: Literal["its_name"] = "its_name"` so that the dumped form says what it is.
    """

    name: str
    """Name in the family's table."""


def nearest(word: str, choices: list[str]) -> str:
    """Return a hint such as ` Did you mean "epochs"?`, or an empty string where nothing is near.

    >>> nearest("epoch", ["epochs", "batch_size"])
    ' Did you mean "epochs"?'
    >>> nearest("zzz", ["epochs"])
    ''
    """
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f' Did you mean "{found[0]}"?' if found else ""


class Table:
    """Names of one family of components, each resolved to its record class on first use.

    Args:
        family: Plural word used in messages and for the entry-point group `terrazzo.<family>`.
        entries: Name to "module:Class".
    """

    _all: ClassVar[dict[str, "Table"]] = {}

    def __init__(self, family: str, entries: Mapping[str, str]) -> None:
        self.family = family
        self._entries = dict(entries)
        self._own = frozenset(entries)
        self._searched = False
        Table._all[family] = self

    @staticmethod
    def of(family: str) -> "Table":
        """Return the table of a family.

        Raises:
            ConfigError: No family has that name.
        """
        if family not in Table._all:
            raise ConfigError(f'No component family "{family}"; families are {", ".join(sorted(Table._all))}.')
        return Table._all[family]

    def names(self) -> list[str]:
        """Return all names, sorted, plug-ins included."""
        self._search()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._search()
        return name in self._entries

    def register(self, name: str, target: str) -> None:
        """Add a plug-in's name.

        Args:
            name: New name; it may repeat an earlier plug-in's identical line, never one of Terrazzo's own.
            target: "module:Class".

        Raises:
            ConfigError: The name is taken by another class.
        """
        if self._entries.get(name, target) != target:
            raise ConfigError(
                f'{self.family} "{name}" is already {self._entries[name]}; {target} must take another name.'
            )
        self._entries[name] = target

    def find(self, name: str) -> type[Component]:
        """Return the record class of a name.

        Raises:
            ConfigError: Unknown name (with the nearest right one), or its module cannot be imported.
        """
        self._search()
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise ConfigError(
                f'No {self.family} entry is called "{name}".{nearest(name, list(self._entries))} Known: {known}.'
            )
        module, _, attribute = self._entries[name].partition(":")
        try:
            found = vars(importlib.import_module(module))[attribute]
        except ModuleNotFoundError as error:
            raise ConfigError(
                f'{self.family} "{name}" needs the package "{error.name}", which is not installed.'
            ) from error
        if not (isinstance(found, type) and issubclass(found, Component)):
            raise ConfigError(f'{self.family} "{name}" points at {module}:{attribute}, which is no Component.')
        return found

    def create(self, name: str, **settings: Any) -> Component:
        """Return the record called `name` with these settings, checked."""
        return self.find(name).model_validate({"name": name, **settings})

    def _search(self) -> None:
        """List entry points once; their modules load only when used."""
        if not self._searched:
            self._searched = True
            for point in entry_points(group=f"terrazzo.{self.family}"):
                self.register(point.name, point.value)


def load_plugin(path: Path) -> None:
    """Import a Python file that the user named under `plugins:`; it registers its own components.

    The file calls `terrazzo.record.Table.of("models").register("mine", f"{__name__}:Mine")`.

    Raises:
        ConfigError: The file does not exist or is no Python file.
    """
    path = path.resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ConfigError(f"plugins: {path} is not a Python file.")
    module_name = f"terrazzo_plugin_{path.stem}"
    if module_name in sys.modules and getattr(sys.modules[module_name], "__file__", None) == str(path):
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugins: {path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)


class family:  # noqa: N801 - reads as a word inside Annotated[...]
    """Annotation that lets a field hold any component of a table: `Annotated[Loss, family(LOSSES)]`.

    Accepts a bare name, a mapping with `name`, or a record; errors inside keep their path.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def _validate(self, value: object) -> Component:
        if isinstance(value, Component):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise PydanticCustomError(
                "component",
                "expected a name or a mapping with `name`; names are {names}",
                {"names": ", ".join(self.table.names())},
            )
        try:
            record = self.table.find(value["name"])
        except ConfigError as error:
            raise PydanticCustomError("component_name", "{message}", {"message": str(error)}) from error
        return record.model_validate(value)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate through the table, so that listing a family imports none of its members."""
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda record: record.model_dump()),
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Offer each name, and each member's own fields beside its name."""
        members = []
        for name in self.table.names():
            schema = self.table.find(name).model_json_schema()
            schema.setdefault("required", []).append("name")
            schema["properties"]["name"] = {"const": name, "type": "string"}
            members.append(schema)
        return {"anyOf": [{"enum": self.table.names(), "type": "string"}, *members]}
