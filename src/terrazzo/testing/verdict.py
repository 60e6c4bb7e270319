"""How a conformance suite says that a promise was broken."""

from terrazzo.record import Component

__all__ = ["require"]


def require(kept: bool, record: Component, promise: str) -> None:
    """Raise AssertionError with a sentence where a promise was not kept.

    Args:
        kept: Whether it was.
        record: The component under test.
        promise: What should have been, with the figures that were met.
    """
    if not kept:
        raise AssertionError(f"{type(record).__name__} ({record.model_dump()}): {promise}")
