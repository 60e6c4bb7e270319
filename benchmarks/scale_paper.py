"""The tables of docs/scale.md: what a country and a continent cost, from measured figures and stated assumptions.

    python benchmarks/scale_paper.py

Every figure stands below once, with where it comes from; a test compares what is printed with the page.
"""

from dataclasses import dataclass

from terrazzo.scene.strips import strips_of
from terrazzo.scene.windows import Axis, step_between

SIDE = 10_000
"""Pixels of a scene's side: a sheet of aerial photographs."""
PIXELS = {"country": 1e12, "continent": 4e13}
RESOLUTION_M = 0.5
BYTES = 3
"""Bytes of a pixel: three bands of 8 bits."""
BLOCK = 512

# Measured on two cores with other work on them; `python benchmarks/scale.py` prints them anew.
APPEND_S = 8e-3
APPEND_CODE_S = 0.5e-3
RECORD_BYTES = 5_900
STRIP_BYTES = 2.94
MAP_BYTES = 0.082
MAP_RATE_CORE = 24e6
WINDOW_RATE = 350e6
DECODE_RATE = 320e6
PLAN_S = 0.9e-3
BUNDLE_BYTES = 57.3e6

# The network alone: 4096 x 4096 pixels at overlap 1/8 in 7.8 s on two cores, bfloat16, channels_last.
CPU_RATE = 4096 * 4096 / 7.8
# torch's own counter: smp.Unet("resnet18"), six classes, one window.
UNET_FLOP = 43.56e9
# Assumed: a ViT-L/16 backbone at 512 pixels, 1,024 tokens x 2 x 300 million weights, and a tenth for attention.
VIT_FLOP = 1024 * 2 * 300e6 * 1.1
# NVIDIA's data sheet of the H100 SXM: bfloat16, dense. A fifth of it is assumed to be reached.
H100_FLOPS = 989e12 * 0.2

# Assumptions.
READERS = 12
REQUEST_S = 0.1
# As `terrazzo.scene.inputs.listing` reads them.
HEADERS_AT_ONCE = 8
GETS_A_SECOND = 5_500
GET_DOLLARS = 0.4e-6
SPOT_HOURS = 20.0
# 419 unexpected interruptions of 16,384 H100 in 54 days (Llama 3, arXiv 2407.21783, table 5).
HARDWARE_HOURS = 54 * 24 * 16_384 / 419
RESTART_S = 90.0


@dataclass(frozen=True)
class Sheet:
    """One scene.

    Attributes:
        windows: Windows.
        strips: Strips.
        overhead: Pixels that the network sees for each pixel of the scene.
    """

    windows: int
    strips: int
    overhead: float


def sheet() -> Sheet:
    """Cut a scene as the engine does at its defaults."""
    axis = Axis.of(SIDE, window=512, stride=step_between(512, overlap=None, stride=None))
    windows = len(axis) ** 2
    return Sheet(windows, len(strips_of(axis, pixels=2048)), windows * 512**2 / SIDE**2)


def rates() -> dict[str, tuple[float, str]]:
    """Return pixels of scenes a second of each device, and what bounds it."""
    cut = sheet()
    pixels = SIDE**2 / cut.windows
    ready, decoded = WINDOW_RATE / cut.overhead, READERS * DECODE_RATE / BYTES
    fed = min(ready, decoded)
    found = {"2 cores, U-Net/resnet18": (CPU_RATE, "the network")}
    for name, flop in (("H100, U-Net/resnet18", UNET_FLOP), ("H100, ViT-L", VIT_FLOP)):
        network = H100_FLOPS / flop * pixels
        found[name] = (min(network, fed), "the network" if network < fed else "one thread that makes windows ready")
    return found


def table(header: str, rows: list[list[str]]) -> list[str]:
    """Return a table as lines of Markdown."""
    return [header, "|" + "---|" * (header.count("|") - 1), *("| " + " | ".join(row) + " |" for row in rows)]


def sizes() -> list[str]:
    cut = sheet()
    rows = []
    for name, pixels in PIXELS.items():
        scenes = pixels / SIDE**2
        rows.append([
            name, f"{pixels:.0e}", f"{pixels * RESOLUTION_M**2 / 1e6:,.0f} km²", f"{scenes:,.0f}",
            f"{scenes * cut.strips:,.0f}", f"{scenes * cut.windows:.2e}", f"{cut.overhead:.2f}",
        ])  # fmt: skip
    return table("| | pixels | area | scenes | strips | windows | pixels seen for one mapped |", rows)


def hours() -> list[str]:
    rows = []
    for name, (rate, bound) in rates().items():
        needed = [f"{pixels / rate / 3600:,.1f}" for pixels in PIXELS.values()]
        rows.append([name, f"{rate / 1e6:,.1f}", bound, *needed])
    return table("| device | Mpixel/s | bounded by | country, device hours | continent, device hours |", rows)


def storage() -> list[str]:
    cut = sheet()
    figures = {
        "scenes, decoded (read once; twice where two strips meet)": lambda p: BYTES * p,
        "maps of classes, deflated, with overviews": lambda p: MAP_BYTES * p,
        "strips, if all lay there at once": lambda p: STRIP_BYTES * p,
        "strips, of the 64 scenes under way": lambda _p: STRIP_BYTES * SIDE**2 * 64,
        "journals, if all lay there at once": lambda p: RECORD_BYTES * p / SIDE**2 * cut.strips,
        "the model, written once a scene for the workers": lambda p: BUNDLE_BYTES * p / SIDE**2,
    }
    rows = [[name, *(f"{size(pixels) / 1e12:,.3g} TB" for pixels in PIXELS.values())] for name, size in figures.items()]
    return table("| | country | continent |", rows)


def requests() -> list[str]:
    blocks = -(-SIDE // BLOCK)
    rows = []
    for name, a_scene in (("a request a row of blocks (neighbours merged)", blocks), ("one a block", blocks**2)):
        counts = [pixels / SIDE**2 * (a_scene + 2) for pixels in PIXELS.values()]
        rows.append([name, *(f"{count:.1e}, ${count * GET_DOLLARS:,.2f}" for count in counts)])
    return table("| | country | continent |", rows)


def failures() -> list[str]:
    rows = []
    strip = SIDE**2 / sheet().strips
    for name, (rate, _) in rates().items():
        for kind, mean in (("hardware", HARDWARE_HOURS), ("spot", SPOT_HOURS)):
            needed = [pixels / rate / 3600 for pixels in PIXELS.values()]
            lost = (strip / rate / 2 + RESTART_S) / 3600 / mean
            rows.append([name, kind, *(f"{count / mean:,.2g}" for count in needed), f"{lost:.2%}"])
    return table("| device | kind | country | continent | time lost |", rows)


def limits() -> list[str]:
    strip = SIDE**2 / sheet().strips
    gpu = rates()["H100, U-Net/resnet18"][0]
    scenes = PIXELS["continent"] / SIDE**2
    ceilings = {
        "windows made ready by one thread of each worker": (gpu, f"{1e9 / WINDOW_RATE:.1f} ns a pixel seen"),
        "maps written by a coordinator of 16 cores": (16 * MAP_RATE_CORE, "24 Mpixel/s a core"),
        "requests to one prefix of S3, one a block": (GETS_A_SECOND * BLOCK**2, "5,500 a second"),
        "journals, one line after the other": (strip / APPEND_S, "8 ms a line"),
        "journals of scenes side by side, as it is: the code alone": (strip / APPEND_CODE_S, "0.5 ms a line"),
    }
    rows = [[name, why, f"{rate / 1e9:,.2f}", f"{rate / gpu:,.0f}"] for name, (rate, why) in ceilings.items()]
    lines = table("| what | figure | Gpixel/s | H100 of U-Net/resnet18 that it serves |", rows)
    planning = (
        f"Planning all scenes before the first is mapped: {scenes:,.0f} x {PLAN_S * 1e3:.1f} ms = "
        f"{scenes * PLAN_S / 60:.0f} minutes on a local disk; at {REQUEST_S * 1e3:.0f} ms a request over a network, "
        f"eight at once, {scenes * REQUEST_S / HEADERS_AT_ONCE / 3600:.1f} hours."
    )
    return [*lines, "", planning]


TABLES = {"sizes": sizes, "hours": hours, "storage": storage, "requests": requests, "failures": failures,
          "limits": limits}  # fmt: skip

if __name__ == "__main__":
    for title, make in TABLES.items():
        print(f"-- {title}", *make(), "", sep="\n")
