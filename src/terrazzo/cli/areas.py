"""`terrazzo areas`: how much ground each class has, with confidence intervals."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.group import Group
from terrazzo.cli.options import AsJson, Debug
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

__all__ = ["Allocations", "application", "parse_expected"]

application = typer.Typer(
    cls=Group,
    help="Estimate areas of classes with confidence intervals.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Classes = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Classes of maps whose tags do not name them: forest,water for the values 0 and 1, or 1=forest,5=water.",
    ),
]
Without = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME", help="Classes and other values of the maps outside the population."),
]


class Allocations(StrEnum):
    """How points are divided between classes."""

    PROPORTIONAL = "proportional"
    EQUAL = "equal"
    OLOFSSON = "olofsson"


@application.command()
def sample(
    maps: Annotated[list[Path], typer.Argument(metavar="MAP...", help="Class maps that together are one population.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The points, a .gpkg, .csv or .geojson; their design lies beside them.")
    ],
    points: Annotated[int | None, typer.Option(metavar="N", min=1, help="Points in all.")] = None,
    error: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Instead of points: standard error of the overall accuracy that is wanted, such as 0.01."
        ),
    ] = None,
    expected: Annotated[
        str | None,
        typer.Option(
            metavar="X|NAME=X,...", help="User's accuracies that are expected: 0.9, or 0.95,town=0.7 with exceptions."
        ),
    ] = None,
    allocation: Annotated[
        Allocations,
        typer.Option(help="How points are divided; olofsson gives rare classes a minimum, the rest by area."),
    ] = Allocations.OLOFSSON,
    minimum: Annotated[int, typer.Option(metavar="N", min=2, help="Fewest points of a class under olofsson.")] = 50,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draw; the same seed draws the same points.")] = 0,
    classes: Classes = None,
    without: Without = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw points from class maps, for an interpreter to label.

    The map's classes are the strata. Fill the column "reference" of the file, then call areas estimate.
    """
    with Session("areas sample", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.area_sampling import SampleSettings
        from terrazzo.phases.area_sampling import sample as draw

        settings = SampleSettings(
            points=points,
            error=error,
            expected=None if expected is None else parse_expected(expected),
            allocation=allocation.value,
            minimum=minimum,
            seed=seed,
            classes=classes,
            without=_words(without),
        )
        session.finish(draw(maps, out, settings, listener=session.listener))


@application.command()
def estimate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SAMPLE|RUN", help="A sample file with filled references, or a run folder with an evaluated split."
        ),
    ],
    *,
    maps: Annotated[
        list[Path] | None,
        typer.Option(
            "--map", metavar="MAP", help="Map of which the areas are wanted; repeat it for several. A design says it."
        ),
    ] = None,
    design: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The sample's design, if it does not lie beside the sample.")
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Evaluated split of a run folder.")] = "test",
    level: Annotated[float, typer.Option(metavar="X", help="Confidence level of the intervals, 0 to 1.")] = 0.95,
    classes: Classes = None,
    without: Without = None,
    also: Annotated[str | None, typer.Option(metavar="NAME,NAME", help="Reference classes that no map has.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for tables and page.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Estimate areas and accuracies from reference labels.

    A sample file gives figures for the mapped ground. A test split gives them only as far as its images stand for it.
    """
    with Session("areas estimate", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.areas import estimate as estimate_areas

        session.finish(
            estimate_areas(
                source,
                maps=maps or (),
                design=design,
                split=split,
                level=level,
                classes=classes,
                without=_words(without),
                also=_words(also),
                out=out,
                listener=session.listener,
            )
        )


def parse_expected(text: str) -> dict[str, float]:
    """Return expected accuracies by class; one without a name stands for all other classes, under an empty name.

    Raises:
        ConfigError: A part is no number, or a class or the rest is named twice.

    >>> parse_expected("0.95, town=0.7")
    {'': 0.95, 'town': 0.7}
    """
    found: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.rpartition("=")
        try:
            accuracy = float(number)
        except ValueError as error:
            raise ConfigError(
                f'--expected: "{part}" is no accuracy; write for example 0.9 or 0.95,town=0.7.'
            ) from error
        if name.strip() in found:
            raise ConfigError(f"--expected gives two accuracies for {name.strip() or 'all other classes'}.")
        found[name.strip()] = accuracy
    if not found:
        raise ConfigError("--expected is empty; write for example 0.9 or 0.95,town=0.7.")
    return found


def _words(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(word.strip() for word in text.split(",") if word.strip())
