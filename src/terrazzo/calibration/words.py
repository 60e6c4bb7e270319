"""What is promised, in words: the same on the page, in maps' notes and on the terminal."""

from terrazzo.calibration.record import AbstentionPromise, ConformalSets, HaltingLoss, HaltingPromise, Origin

__all__ = ["abstention_words", "halting_words", "is_selected", "sets_words"]

_LOSSES: dict[HaltingLoss, str] = {
    "disagreement": "at most {epsilon} of the pixels have another class than after all steps",
    "error": "stopping early makes at most {epsilon} more of the pixels wrong than all steps do",
    "iou": "stopping early lowers the mean IoU of the classes present by at most {epsilon}",
    "brier": "stopping early raises the Brier score by at most {epsilon}",
}
"""What is promised of each loss; shares of pixels are told in per cent."""


def is_selected(split: str) -> bool:
    """Return whether images of a role trained or chose the model, so that nothing can be promised from them.

    >>> is_selected("val_sea"), is_selected("calibrate")
    (True, False)
    """
    return split in {"train", "val"} or split.startswith("val_")


def halting_words(promise: HaltingPromise) -> str:
    """Return what is promised of stopping early, or why nothing is.

    Args:
        promise: The halting threshold with all that it was chosen by.
    """
    begun = f"halting threshold {promise.tau:g}"
    where = _where(promise.origin)
    if promise.tau >= 1:
        return f"{begun}: no window stops early, so that nothing is lost ({promise.method}, {where})"
    if promise.method == "quantile":
        return f"{begun}, a quantile of the probabilities to halt: without guarantee ({where})"
    if is_selected(promise.origin.split):
        return f"{begun}: no promise, since its images ({promise.origin.split}) trained or chose the model ({where})"
    share = promise.loss in ("disagreement", "error")
    epsilon = f"{100 * promise.epsilon:g} %" if share else f"{promise.epsilon:g}"
    loss = f"{_LOSSES[promise.loss].format(epsilon=epsilon)}, as a mean over new images like these"
    clipped = f"the losses of {promise.clipped} of them clipped at {promise.bound:g}"
    return f"{begun}: {_confidence(promise.method, promise.delta)}, {loss} ({promise.method}, {where}, {clipped})"


def abstention_words(promise: AbstentionPromise) -> str:
    """Return what is promised of the pixels that a map keeps, or why nothing is.

    Args:
        promise: The threshold to abstain with all that it was chosen by.
    """
    where = _where(promise.origin)
    if promise.least_confidence > 1:
        return (
            f"abstention: no threshold could be promised, so that maps abstain everywhere ({promise.method}, {where})"
        )
    begun = f"abstention below confidence {promise.least_confidence:.3f}"
    if is_selected(promise.origin.split):
        return f"{begun}: no promise, since its images ({promise.origin.split}) trained or chose the model ({where})"
    kept = f"{promise.method}, {where}, {100 * promise.kept:.1f} % of their pixels kept"
    share = f"at most {100 * promise.epsilon:g} % of the pixels kept are wrong, as a mean over new images like these"
    return f"{begun}: {_confidence(promise.method, promise.delta)}, {share} ({kept})"


def sets_words(sets: ConformalSets) -> str:
    """Return what is promised of the class sets, or why nothing is.

    Args:
        sets: The threshold of the sets with all that it was chosen by.
    """
    where = _where(sets.origin)
    begun = f"class sets of {sets.mean_size:.2f} classes on average"
    if is_selected(sets.origin.split):
        return f"{begun}: no promise, since its images ({sets.origin.split}) trained or chose the model ({where})"
    return (
        f"{begun}: {_confidence('crc', None)}, they miss the class of at most {100 * sets.alpha:g} % of the pixels, as "
        f"a mean over new images like these (crc, {where})"
    )


def _confidence(method: str, delta: float | None) -> str:
    if method == "crc" or delta is None:
        return "on average over calibrations"
    return f"with {100 * (1 - delta):g} % confidence"


def _where(origin: Origin) -> str:
    unit = "scenes without labels" if origin.split == "unlabelled" else f"images of {origin.split}"
    return f"n = {origin.images} {unit}, {origin.date}"
