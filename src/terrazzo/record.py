"""The base of every component: a frozen record of settings, and the table that finds a record by its name.

A component is a record plus one verb (`build`, `__call__`, `catalog`). Its fields are at once the YAML schema, the
Python interface and the documentation. A `Table` maps names to "module:Class" and imports a class on first use, so that
names can be listed without loading torch.
"""

import difflib
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from terrazzo.errors import ConfigError

__all__ = ["Component", "OneOrSeveral", "Record", "Table", "family", "load_plugin", "nearest"]


class Record(BaseModel):
    """Frozen settings; an unknown key is an error, and every field carries one sentence of documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    bare_fields: ClassVar[tuple[str, ...]] = ()
    """Fields of which a bare value may stand for the whole record; a validator takes it, and the schema says so."""

    @model_validator(mode="before")
    @classmethod
    def _over_default_components(cls, given: object) -> object:
        """Lay a component's keys without its name over the field's default component.

        What is no mapping is left to the record's own validators.
        """
        if not isinstance(given, Mapping):
            return given
        named = {
            name: {"name": default, **given[name]}
            for name, default in _default_components(cls).items()
            if isinstance(given.get(name), Mapping) and "name" not in given[name]
        }
        return {**given, **named} if named else given

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer the bare values beside the mapping: an editor would mark them as errors."""
        found = handler(schema)
        if cls.bare_fields:
            told = handler.resolve_ref_schema(found)
            mapping = dict(told)
            told.clear()
            told.update((key, mapping.pop(key)) for key in ("title", "description") if key in mapping)
            told["anyOf"] = [*(mapping["properties"][name] for name in cls.bare_fields), mapping]
        return found


class OneOrSeveral:
    """Lets the JSON Schema of a list take one of its items as well, where a validator does."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer an item beside the list."""
        several = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [several["items"], several]}


class Component(Record):
    """A record that a table can name.

    Subclasses declare `name: Literal["its_name"] = "its_name"` so that the dumped form says what it is.
    """

    name: str
    """Name in the family's table."""


@functools.cache
def _default_components(record: type[Record]) -> dict[str, str]:
    """Return the names of the default components of a record's fields."""
    fields = record.model_fields.items()
    return {name: field.default.name for name, field in fields if isinstance(field.default, Component)}


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
            found = vars(importlib.import_module(module)).get(attribute)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f'{self.family} "{name}" needs the package "{error.name}", which is not installed.'
            ) from error
        if not (isinstance(found, type) and issubclass(found, Component)):
            raise ConfigError(f'{self.family} "{name}" points at {module}:{attribute}, which is no Component.')
        return found

    def stranger(self, component: Component) -> str:
        """Return why a component does not belong here, or an empty string where it may.

        A record that no table lists may: it was made in Python, without registering it.
        """
        home = f"{type(component).__module__}:{type(component).__qualname__}"
        listed = [table for table in Table._all.values() if table.lists(component.name, home)]
        if not listed or self in listed:
            return ""
        return f'"{component.name}" is one of the {listed[0].family}, not of the {self.family}.'

    def lists(self, name: str, target: str) -> bool:
        """Whether this name stands for "module:Class" here."""
        return self._entries.get(name) == target

    def create(self, name: str, **settings: object) -> Component:
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
        ConfigError: The file does not exist, is no Python file, or cannot be imported.
    """
    path = path.resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ConfigError(f"plugins: {path} is not a Python file.")
    # Files of the same name in two folders are two modules.
    module_name = f"terrazzo_plugin_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugins: {path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    whole = False
    try:
        spec.loader.exec_module(module)
        whole = True
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"plugins: {path} cannot be imported: {error}.") from error
    finally:
        if not whole:
            del sys.modules[module_name]


class family:  # noqa: N801 - reads as a word inside Annotated[...]
    """Annotation that lets a field hold any component of a table: `Annotated[Loss, family(LOSSES)]`.

    Accepts a bare name, a mapping with `name`, or a record; errors inside keep their path.
    """

    _describing: ClassVar[list[Table]] = []

    def __init__(self, table: Table) -> None:
        self.table = table

    def _validate(self, value: object) -> Component:
        if isinstance(value, Component):
            if stranger := self.table.stranger(value):
                raise PydanticCustomError("component_family", "{message}", {"message": stranger})
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

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate through the table, so that listing a family imports none of its members."""
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda record: record.model_dump()),
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Offer each name, and each member's own fields beside its name.

        A member may hold members of its own family; inside one, the others are referred to instead of described.
        """
        names = self.table.names()
        cores = [self.table.find(name).__pydantic_core_schema__ for name in names]
        if self.table in self._describing:
            described = [handler(core_schema.definition_reference_schema(_reference(core))) for core in cores]
        else:
            self._describing.append(self.table)
            try:
                # Only inside another schema does pydantic keep a record's schema as a definition to refer to.
                described = [handler(core_schema.union_schema([core])) for core in cores]
            finally:
                self._describing.pop()
        members = [{"allOf": [schema, {"required": ["name"]}]} for schema in described]
        return {"anyOf": [{"enum": names, "type": "string"}, *members]}


def _reference(core: CoreSchema) -> str:
    """Return the name by which a record's schema is referred to; that of a recursive type stands one level deeper."""
    inner: Mapping[str, Any] = core["schema"] if core["type"] == "definitions" else core
    return str(inner["schema_ref"] if inner["type"] == "definition-ref" else inner["ref"])
