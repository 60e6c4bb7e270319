"""How long `terrazzo --help` and `import terrazzo` take beyond bare Python: medians of five runs, and their ratio.

The rival does the same work with what loads eagerly: `import torch`. Prints one line a claim.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5
HELP_LIMIT_S = 0.3
IMPORT_LIMIT_S = 0.1


def seconds(command: list[str]) -> float:
    """Return the median wall time of a command."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # compiles and caches what is read
    found = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> None:
    python = [sys.executable, "-c"]
    program = str(Path(sys.executable).with_name("terrazzo"))
    bare = seconds([*python, "pass"])
    for claim, command, limit_s in [
        ("terrazzo --help", [program, "--help"], HELP_LIMIT_S),
        ("terrazzo train --help", [program, "train", "--help"], HELP_LIMIT_S),
        ("import terrazzo", [*python, "import terrazzo"], IMPORT_LIMIT_S),
        ("import torch (rival)", [*python, "import torch"], None),
    ]:
        took = seconds(command)
        verdict = "" if limit_s is None else f"; bar {limit_s} s, {'kept' if took - bare <= limit_s else 'MISSED'}"
        print(f"{claim}: {took:.3f} s, {took - bare:.3f} s over bare Python's {bare:.3f} s, {took / bare:.1f} x{verdict}")


if __name__ == "__main__":
    main()
