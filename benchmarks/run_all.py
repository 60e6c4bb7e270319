"""Run every benchmark that needs no more than this machine and its data, one after the other.

Usage: python benchmarks/run_all.py [--quick]

Times mean something only on a machine that does nothing else. `--quick` leaves out those that take more than a few
minutes (CamVid, Dubai, memory).
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

QUICK = (
    "startup.py",
    "boundary.py",
    "train_overhead.py",
    "demo_forest.py",
    "kill_training.py",
    "kill_scene.py",
    "cell_halting.py",
    "adaptive_time.py",
    "scale.py",
    "risk_simulation.py",
    "viewer_first_tile.py",
    "onnx_agreement.py",
    "onnx_agreement.py --format torch_export",
    "serve_throughput.py",
    "serve_hostile.py",
    "sweep_kill.py",
    "wheel_demo.py",
)
LONG = (
    "prepare.py",
    "patches.py",
    "verify.py",
    "overfit.py",
    "muon_step.py",
    "feature_cache.py",
    "dubai.py",
    "label_memory.py",
    "predict_memory.py",
    "reliability.py",
    "scene.py",
    "polygons.py",
    "refiner_depth.py",
    "camvid_hardnet.py",
    "adaptive_saving.py",
    "real_calibration.py",
    "camvid.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only those of a few minutes")
    failed = []
    for name in QUICK if parser.parse_args().quick else (*QUICK, *LONG):
        print(f"--- {name}", flush=True)
        begun = time.perf_counter()
        script, *arguments = name.split()
        command = [sys.executable, str(Path(__file__).parent / script), *arguments]
        status = subprocess.run(command, check=False).returncode
        print(f"    {time.perf_counter() - begun:.0f} s, status {status}", flush=True)
        failed += [name] if status else []
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
