"""`terrazzo doctor`."""

from typing import TYPE_CHECKING

import typer

from terrazzo.cli.options import AsJson, Configuration, Debug, split_arguments
from terrazzo.cli.session import Session

if TYPE_CHECKING:
    from terrazzo.phases.doctor_summary import DoctorSummary

__all__ = ["doctor"]

_MARKS = {"fine": ("ok", "green"), "note": ("note", "cyan"), "warning": ("WARN", "yellow"), "fault": ("FAULT", "red")}


def doctor(configuration: Configuration = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look at this machine and say what to mend.

    Versions, devices, precision, memory, disk, formats and surroundings are tried. Status 1 means that Terrazzo cannot
    work here; notes and warnings leave it 0. With a configuration its folders and its machine are looked at too.
    """
    with Session("doctor", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.doctor import doctor as look

        summary = look(*split_arguments(configuration), listener=session.listener)
        if as_json:
            session.show(summary.as_dict())
        else:
            session.listener.close()
            _print(summary)
        if not summary.usable:
            raise typer.Exit(1)


def _print(summary: "DoctorSummary") -> None:
    """Print a line for each finding, and below it what to do."""
    from rich.text import Text

    from terrazzo.cli.terminal import output
    from terrazzo.logs import redact

    console = output()
    width = max(len(finding.subject) for found in summary.findings.values() for finding in found)
    for section, found in summary.findings.items():
        console.print(Text(section, style="bold"))
        for finding in found:
            mark, colour = _MARKS[finding.level]
            line = Text.assemble((f"{mark:>5}", colour), f"  {finding.subject:<{width}}  ", redact(finding.said))
            console.print(line, soft_wrap=True)
            if finding.advice:
                console.print(Text(f"{'':>5}  {'':<{width}}  -> {redact(finding.advice)}", style="dim"), soft_wrap=True)
    console.print(Text(_verdict(summary), style="bold"), soft_wrap=True)


def _verdict(summary: "DoctorSummary") -> str:
    from terrazzo.diagnosis import Level

    faults, warnings = summary.count(Level.FAULT), summary.count(Level.WARNING)
    took = f"looked for {summary.seconds:.1f} s"
    if faults:
        return f"Terrazzo cannot work here: {_counted(faults, 'fault')} to mend first ({took})."
    if warnings:
        return f"Terrazzo works here, with {_counted(warnings, 'warning')} ({took})."
    return f"Terrazzo works here ({took})."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
