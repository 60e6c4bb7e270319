"""The configuration as JSON Schema, for completion and checks in an editor."""

from collections.abc import Mapping
from typing import Any

from terrazzo.config.run_config import RunConfig

__all__ = ["config_schema"]

_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}
_NOTES = ("title", "description", "default", "examples")


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file.

    Each field of a component offers every member of its family with the member's own fields, plug-ins included; each
    description is the sentence under the field in its record. A reference such as `${paths.x}` may stand for any value.
    """
    root = _opened_mapping(RunConfig.model_json_schema())
    names = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    sentence = "Files or recipes that this file is laid over; paths are relative to this file, and later ones win."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "Terrazzo configuration",
        "properties": {"include": {"description": sentence, **names}, **root["properties"]},
    }


def _opened(schema: object) -> object:
    """Return a schema whose every property also takes a reference, and a component's keys without its name."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    return _opened_mapping(schema) if isinstance(schema, Mapping) else schema


def _opened_mapping(schema: Mapping[str, Any]) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            inner = {name: _opened_mapping(field) for name, field in value.items()}
            opened[key] = {name: _or_reference(_or_default_member(field)) for name, field in inner.items()}
        else:
            # What stands under these is data, not schema.
            opened[key] = value if key in {"default", "const", "enum", "examples"} else _opened(value)
    return opened


def _or_default_member(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a component's keys stand without its name where the field has a default: they are laid over that."""
    choices = schema.get("anyOf", [])
    default = schema.get("default")
    if not (choices and isinstance(default, Mapping) and "enum" in choices[0] and "name" in default):
        return schema
    member = choices[1 + choices[0]["enum"].index(default["name"])]
    return {**schema, "anyOf": [*choices, member["allOf"][0]]}


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    plain_text = schema.get("type") == "string" and not schema.keys() & {"enum", "const", "pattern", "format"}
    if plain_text or "const" in schema:
        return schema
    notes = {key: schema[key] for key in _NOTES if key in schema}
    return {**notes, "anyOf": [{key: value for key, value in schema.items() if key not in notes}, _REFERENCE]}
