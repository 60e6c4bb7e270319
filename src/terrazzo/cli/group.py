"""A group of commands whose own `--help` costs nothing where it is not asked for."""

from typing import Any

from typer.core import TyperGroup

__all__ = ["Group"]


class Group(TyperGroup):
    """Gives `--help` the default False: Typer loads pydantic to convert the None that it has otherwise."""

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer keeps these types to itself
        """Return the help option."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option
