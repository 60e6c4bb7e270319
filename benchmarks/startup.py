"""How long `terrazzo --help` and `import terrazzo` take beyond bare Python: medians of five runs, and their ratio.

The rival does what eager loading would: `import torch`. Prints one line a claim: wall time, which the bars are about,
and processor time, which says the same on a machine that is busy with other things.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5
HELP_LIMIT_S = 0.3
IMPORT_LIMIT_S = 0.1


def medians(command: list[str]) -> tuple[float, float]:
    """Return the median wall time and the median processor time of a command, in seconds."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # compiles and caches what is read
    wall, processor = [], []
    for _ in range(RUNS):
        begun, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        wall.append(time.perf_counter() - begun)
        processor.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(wall), statistics.median(processor)


def main() -> None:
    python = [sys.executable, "-c"]
    program = str(Path(sys.executable).with_name("terrazzo"))
    bare, bare_processor = medians([*python, "pass"])
    print(f"bare Python: {bare:.3f} s wall, {bare_processor:.2f} s processor; load {os.getloadavg()[0]:.1f}")
    for claim, command, limit_s in [
        ("terrazzo --help", [program, "--help"], HELP_LIMIT_S),
        ("terrazzo train --help", [program, "train", "--help"], HELP_LIMIT_S),
        ("import terrazzo", [*python, "import terrazzo"], IMPORT_LIMIT_S),
        ("import torch (rival)", [*python, "import torch"], None),
    ]:
        wall, processor = medians(command)
        verdict = "" if limit_s is None else f"; bar {limit_s} s, {'kept' if wall - bare <= limit_s else 'MISSED'}"
        print(
            f"{claim}: {wall:.3f} s, {wall - bare:.3f} s over bare Python, {wall / bare:.1f} x; "
            f"{processor:.2f} s processor{verdict}"
        )


if __name__ == "__main__":
    main()
