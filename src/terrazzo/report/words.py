"""Numbers in words a person reads at a glance; what does not exist is said, never shown as 0."""

import math

__all__ = ["ABSENT", "area", "duration", "fine_percent", "percent", "quantity", "score", "short"]

ABSENT = "absent"
"""Stands for a score of a class that a split does not hold."""


def score(value: float | None) -> str:
    """Return a score of 0..1 with three decimals.

    >>> score(0.8126), score(None), score(float("nan"))
    ('0.813', 'absent', 'absent')
    """
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.3f}"


def percent(share: float | None) -> str:
    """Return a share of 0..1 in per cent; what is rounded to 0 or 100 but is not says so.

    >>> percent(0.251), percent(0.0), percent(0.0004), percent(0.9999)
    ('25 %', '0 %', '<1 %', '>99 %')
    """
    if share is None or not math.isfinite(share):
        return ABSENT
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


def fine_percent(share: float | None) -> str:
    """Return a share of 0..1 in per cent with two digits that count, where small ones matter.

    >>> fine_percent(0.2514), fine_percent(0.00123), fine_percent(0.0), fine_percent(1e-7), fine_percent(0.99999)
    ('25 %', '0.12 %', '0 %', '<0.01 %', '>99.9 %')
    """
    if share is None or not math.isfinite(share) or share in {0, 1}:
        return percent(share)
    if 0 < share < 1e-4:
        return "<0.01 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if share > 0.99 else f"{100 * share:.2g} %"


def quantity(value: float | int | None) -> str:
    """Return a whole number in groups of three.

    >>> quantity(1234567), quantity(None)
    ('1 234 567', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{round(value):,}".replace(",", " ")


def short(value: float) -> str:
    """Return a number in few characters, for axes.

    >>> short(0.25), short(120000.0), short(0.0002), short(0.0)
    ('0.25', '1.2e5', '2e-4', '0')
    """
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.4g}"


def duration(seconds: float | int | None) -> str:
    """Return a time span.

    >>> duration(0.42), duration(75), duration(7325), duration(None)
    ('0.42 s', '1 min 15 s', '2 h 02 min', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def area(hectares: float | None) -> str:
    """Return an area in the unit that suits it.

    >>> area(0.0356), area(12.34), area(250000.0), area(None)
    ('356 m²', '12.3 ha', '2 500 km²', '–')
    """
    if hectares is None or not math.isfinite(hectares):
        return "–"
    for factor, unit, largest in ((10_000, "m²", 1.0), (1, "ha", 1000.0), (0.01, "km²", math.inf)):
        if hectares < largest:
            value = hectares * factor
            return f"{quantity(value) if value >= 100 or value == 0 else f'{value:.3g}'} {unit}"
    return "–"
