"""Plans and maps a scene in a process of its own and writes what memory was reckoned with and what was taken.

python measured_job.py SCENE MAP FIGURES.json LAYER,LAYER
"""

import json
import sys
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.host_memory import resident_memory
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin
from terrazzo.scene import map_scene
from terrazzo.scene.planning import plan_scenes
from terrazzo.scene.settings import PredictSettings

WINDOW = 512


def highest() -> int:
    """Bytes that this process held at most since the peak was forgotten."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def make_bundle() -> Bundle:
    load_plugin(Path(__file__).parent / "probe_networks.py")
    record = ARCHITECTURES.create("probe_identity")
    names = ("red", "green", "blue")
    return Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name) for name in names)),
        classes=Classes(items=["one", "two", "three"]),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=WINDOW,
        resolution_m=None,
        weights=record.build(bands=3, classes=3).state_dict(),
        training={},
        versions={},
        licence="",
    )


def main(scene: Path, out: Path, figures: Path, layers: tuple[str, ...]) -> None:
    bundle, settings = make_bundle(), PredictSettings(layers=layers, strip_pixels=WINDOW, batch_size=2)
    machine = MachineSettings(accelerator="cpu", precision="float32")
    (planned,) = plan_scenes(bundle, [scene], out, settings=settings, machine=machine)
    # From here on the system notes the peak anew.
    held = resident_memory()
    Path("/proc/self/clear_refs").write_text("5")
    mapped = map_scene(bundle, scene, out, settings=settings, machine=machine)
    found = {
        "held": held,
        "reckoned": planned.host_bytes,
        "taken": highest(),
        "disk": planned.disk_bytes,
        "pixels": sum(mapped.summary.class_pixels),
    }
    figures.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), tuple(filter(None, sys.argv[4].split(","))))
