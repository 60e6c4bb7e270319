"""When a network that answers in steps may stop early: the threshold, its promise, and all that it was chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from terrazzo.assessment.halting_results import HaltingSweep
from terrazzo.assessment.halting_samples import QUANTILES, StepStatistics
from terrazzo.assessment.halting_sweep import sweep_halting
from terrazzo.bundle import Bundle
from terrazzo.calibration.record import HaltingPromise, Origin
from terrazzo.calibration.risk import choose, quantile_threshold
from terrazzo.calibration.settings import CalibrateSettings, HaltingSettings
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.metrics import Confusion
from terrazzo.progress import Listener, silent
from terrazzo.scene.contract import fit_bands
from terrazzo.scene.inputs.addresses import is_address
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.inputs.part import part_image
from terrazzo.scene.settings import PredictSettings

__all__ = ["Halted", "can_halt", "choose_halting", "scenes_to_halt"]

Row = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Halted:
    """A halting threshold as it was chosen, before it is said on what.

    Attributes:
        tau: The threshold; 1 where none less careful could be promised.
        feasible: Whether the method found any that holds; without one nothing stops early.
        needed_images: With how many images like these one would be found; None where one was, or none would.
        advice: What to do where nothing may stop early; None where windows may.
        images: Names of the images that were judged: n.
        left_out: Names of those in which nothing is measured, or nothing labelled.
        risk: Mean clipped loss at tau.
        upper: What the method bounds the risk by; None for a quantile.
        clipped: Images whose loss was clipped at tau.
        mean_steps: Mean over images at tau.
        most_steps: Steps of a window that never stops early.
        saved: Share of the multiplications of all steps, encoder included, that tau saves.
        sweep: Of each threshold: tau, miou, mean steps, share saved, risk, bound.
        statistics: Of each step: how the probabilities to halt are distributed.
    """

    tau: float
    feasible: bool
    needed_images: int | None
    advice: str | None
    images: tuple[str, ...]
    left_out: tuple[str, ...]
    risk: float
    upper: float | None
    clipped: int
    mean_steps: float
    most_steps: int
    saved: float
    sweep: tuple[Row, ...]
    statistics: tuple[Row, ...]

    def promise(self, settings: CalibrateSettings, origin: Origin) -> HaltingPromise:
        """Return what the bundle keeps.

        Args:
            settings: How it was chosen.
            origin: On what.
        """
        asked = settings.halting or HaltingSettings()
        return HaltingPromise(
            tau=self.tau,
            method=asked.method,
            loss=settings.halting_loss,
            epsilon=asked.epsilon,
            delta=None if asked.method == "crc" else asked.delta,
            bound=asked.bound,
            clipped=self.clipped,
            grid=asked.grid,
            risk=self.risk,
            upper=self.upper,
            mean_steps=self.mean_steps,
            origin=origin,
        )

    def told(self) -> dict[str, object]:
        """Return the figures that a summary shows beside the promise."""
        return {
            "tau": self.tau,
            "feasible": self.feasible,
            "needed_images": self.needed_images,
            "images": len(self.images),
            "left_out": list(self.left_out),
            "risk": self.risk,
            "upper": self.upper,
            "clipped": self.clipped,
            "mean_steps": self.mean_steps,
            "most_steps": self.most_steps,
            "saved": self.saved,
        }


def can_halt(bundle: Bundle) -> bool:
    """Return whether a network may stop before its last step."""
    rule = bundle.architecture.halting_rule
    return rule is not None and rule.first < rule.last


def choose_halting(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    settings: CalibrateSettings,
    mapping: PredictSettings,
    machine: MachineSettings,
    listener: Listener = silent,
) -> Halted:
    """Choose when windows may stop, by what that loses each image.

    Args:
        bundle: With the temperatures and the decision threshold that maps will be made with.
        entries: Images; labelled unless the settings name scenes without labels.
        bands: Their bands, in the network's order.
        classes: How their labels name classes.
        settings: Method, loss, allowed risk.
        mapping: How scenes become maps.
        machine: What is computed on.
        listener: Hears of the progress.

    Raises:
        ConfigError: The network cannot stop early.
        DataError: No image has anything to judge.
    """
    asked, loss = settings.halting or HaltingSettings(), settings.halting_loss

    def swept(thresholds: tuple[float, ...]) -> HaltingSweep:
        return sweep_halting(
            bundle,
            entries,
            bands=bands,
            classes=classes,
            thresholds=thresholds,
            losses=(loss,),
            settings=mapping,
            machine=machine,
            labelled=not settings.unlabelled,
            listener=listener,
        )

    sweep = swept(asked.grid)
    # The order that some bounds go through the images in comes from their names, never from their losses.
    table = replace(sweep.losses[loss], images=sweep.images)
    clipped = np.minimum(table.losses, asked.bound)
    risks = clipped.mean(axis=0).tolist()
    uppers: Sequence[float | None]
    if asked.method == "quantile":
        tau = min(quantile_threshold(sweep.halting.q, delta=asked.delta), 1.0)
        place, feasible, needed, advice, upper = 1, False, None, None, None
        uppers = [None] * len(risks)
        # A quantile of the values lies anywhere between the thresholds of the table.
        there = swept((1.0, tau)) if tau < 1 else swept((1.0,))
        place = len(there.thresholds) - 1
    else:
        choice = choose(table, method=asked.method, epsilon=asked.epsilon, delta=asked.delta, bound=asked.bound)
        tau, place, feasible = choice.threshold, choice.position, choice.feasible
        needed, advice, upper, uppers = choice.needed_images, choice.advice, choice.upper, choice.uppers
        there = sweep
    losses = there.losses[loss].losses[:, place]
    return Halted(
        tau=tau,
        feasible=feasible,
        needed_images=needed,
        advice=advice,
        images=sweep.images,
        left_out=sweep.left_out,
        risk=float(np.minimum(losses, asked.bound).mean()),
        upper=upper,
        clipped=int((losses > asked.bound).sum()),
        mean_steps=float(there.mean_steps[:, place].mean()),
        most_steps=sweep.steps,
        saved=float(there.savings[place]),
        sweep=tuple(_sweep_rows(sweep, bundle.classes.names, risks, uppers)),
        statistics=tuple(map(_statistics_row, sweep.halting.statistics(tau=tau))),
    )


def _sweep_rows(
    sweep: HaltingSweep, names: tuple[str, ...], risks: Sequence[float], uppers: Sequence[float | None]
) -> list[Row]:
    rows: list[Row] = []
    for place, tau in enumerate(sweep.thresholds):
        miou = None
        if sweep.confusions is not None:
            miou = Confusion(torch.from_numpy(sweep.confusions[place])).scores(names).miou
        rows.append(
            {
                "tau": tau,
                "miou": miou,
                "mean_steps": float(sweep.mean_steps[:, place].mean()),
                "saved": float(sweep.savings[place]),
                "risk": risks[place],
                "bound": uppers[place],
            }
        )
    return rows


def _statistics_row(one: StepStatistics) -> Row:
    quantiles: Row = {f"q{100 * share:g}": value for share, value in zip(QUANTILES, one.quantiles, strict=True)}
    return {
        "step": one.step,
        "samples": one.samples,
        "mean": one.mean,
        "std": one.std,
        **quantiles,
        "share_above_tau": one.share_above,
        "should_go_on": one.should_go_on,
        "auroc": one.auroc,
    }


def scenes_to_halt(bundle: Bundle, inputs: Sequence[str], mapping: PredictSettings) -> list[ImageEntry]:
    """Return scenes without labels, described as the images of training are.

    Args:
        bundle: What maps them.
        inputs: Files and folders, as predict takes them.
        mapping: How scenes become maps.

    Raises:
        ConfigError: A scene is joined of several pictures, cut to an area, or lies at an address.
        DataError: An input names nothing, or a scene cannot be read.
        ContractError: A scene does not fit the bundle.
    """
    found: list[ImageEntry] = []
    for position, scene in enumerate(find_entries(inputs, mapping, bundle)):
        part = scene.parts[0]
        if len(scene.parts) > 1 or scene.area is not None or part.window != scene.grid.whole:
            raise ConfigError(
                f"{scene.path} is a mosaic or part of a scene, which cannot be calibrated on without labels; leave out "
                "predict.mosaic and predict.area, and name its files one by one."
            )
        if any(map(is_address, part.files)):
            raise ConfigError(f"{scene.path} lies at an address and would be read again and again; fetch it first.")
        with scene.open() as opened:
            bands = fit_bands(bundle, opened, positions=mapping.bands)
        places = {place.name: place for place in part.places}
        # Called as the bundle calls them, so that scenes that name their bands in several ways go together.
        stack = tuple(
            BandPlace(wanted.name, places[band.name].file, places[band.name].number, *places[band.name][3:])
            for wanted, band in zip(bundle.bands, bands, strict=True)
        )
        image = part_image(part, scene.grid, f"{position:05d} {scene.name}")
        found.append(replace(image, stack=stack))
    if not found:
        raise DataError("No scene is left to calibrate on; name files or folders by --unlabelled.")
    return found
