"""Which losses fit a network: those that read exactly the records it answers."""

from terrazzo.losses.loss import LOSSES, Loss

__all__ = ["fitting"]


def fitting(answers: frozenset[type]) -> str:
    """Return, in words, the losses to use for a network that answers these records.

    Losses that need settings before they can be made are left out; empty where a record is read by none.

    >>> from terrazzo.models.output import DeepSupervision, Steps
    >>> fitting(frozenset({Steps}))
    'steps'
    >>> fitting(frozenset({Steps, DeepSupervision}))
    'sum, with terms deep_supervision and steps'
    """
    if not answers:
        return _reading(answers)
    parts = [_reading(frozenset({kind})) for kind in sorted(answers, key=lambda kind: kind.__name__)]
    if not all(parts):
        return ""
    return parts[0] if len(parts) == 1 else f"sum, with terms {' and '.join(parts)}"


def _reading(kinds: frozenset[type]) -> str:
    found: list[str] = []
    for name in LOSSES.names():
        if any(field.is_required() for field in LOSSES.find(name).model_fields.values()):
            continue
        loss = LOSSES.create(name)
        if isinstance(loss, Loss) and loss.reads == kinds:
            found.append(name)
    *others, last = found or [""]
    return f"{', '.join(others)} or {last}" if others else last
