"""Single settings from the command line, laid over a record."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from terrazzo.errors import ConfigError
from terrazzo.record import Record, nearest

__all__ = ["changed"]

R = TypeVar("R", bound=Record)


def changed(settings: R, section: str, given: Mapping[str, Mapping[str, object]]) -> R:
    """Return a record with some settings replaced.

    Raises:
        ConfigError: A key is unknown or a value is wrong.
    """
    try:
        return type(settings).model_validate({**settings.model_dump(), **given[section]})
    except ValidationError as error:
        keys = list(type(settings).model_fields)
        lines = []
        for issue in error.errors():
            key = ".".join(str(part) for part in issue["loc"])
            hint = nearest(key, keys) if issue["type"] == "extra_forbidden" else ""
            lines.append(f"{section}.{key}: {issue['msg']}.{hint}" if key else f"{section}: {issue['msg']}.")
        raise ConfigError("\n".join(lines)) from error
