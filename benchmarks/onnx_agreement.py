"""How near exported files come to torch: every recipe's network compared on real patches, at four sizes each.

Weights are the recipes' own architectures, random at first and then trained for a few updates on the real patches and
their labels: enough that logits are spread as a network's are, too little for a map. The dinov3 recipe's backbone is a
random network of its kind, smaller than the recipe's, since its weights may not be fetched here; what is exported is
the same code.

Run: python benchmarks/onnx_agreement.py [--format onnx] [--precision float32] [--data /work/shared/data]
         [--updates 20] [RECIPE ...]

Exits 1 beyond a difference of 1e-3 or below the same class in 99.9 % of the pixels; with float16 beyond what such an
export takes, 0.25 and 99 %. That an export fails is said, and counts.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.export.exporting import export_bundle
from terrazzo.export.patches import Patch
from terrazzo.export.settings import ExportSettings
from terrazzo.geo.bands import Band, Bands
from terrazzo.models import ARCHITECTURES
from terrazzo.progress import Progress

BACKBONE = {"name": "dinov3_vit", "size": {"channels": 96, "inner": 256, "layers": 4, "heads": 4}, "taps": [0, 1, 2, 3]}
MODELS = {
    "camvid-hardnet68": ("hardnet68", {}),
    "camvid": ("smp", {"architecture": "unet", "encoder": "resnet18"}),
    "cityscapes-hardnet": ("hardnet70", {}),
    "deepglobe-trm": ("trm", {"width": 64, "t_min": 2, "t_max": 6, "tau": 0.7, "act": True}),
    "deepglobe-trm (its own net)": ("trm_deepglobe", {}),
    "deepglobe-trm (by pixel)": ("trm", {"width": 64, "t_min": 2, "t_max": 6, "tau": 0.7, "pixel_act": True}),
    "demo": (
        "smp",
        {
            "architecture": "unet",
            "encoder": "resnet18",
            "settings": {"encoder_depth": 4, "decoder_channels": [128, 64, 32, 16]},
        },
    ),
    "dinov3-geotiff": ("dinov3", {"backbone": BACKBONE, "head": {"name": "unet_v2", "deep_supervision": True}}),
    "dubai": ("smp", {"architecture": "unet", "encoder": "resnet18"}),
    "folders-smp": ("smp", {"architecture": "deeplabv3plus", "encoder": "efficientnet-b0"}),
    "folders, geotiff": ("smp", {"architecture": "unet", "encoder": "resnet34"}),
}
SIDE = 256
CROP = 128


def real_patches(data: Path) -> tuple[list[Patch], list[np.ndarray]]:
    """Return patches of the aerial images of Dubai, and their label colours as class numbers."""
    patches, labels = [], []
    colours = np.array(
        [[int(code[position : position + 2], 16) for position in (1, 3, 5)] for code in
         ("#3C1098", "#8429F6", "#6EC1E4", "#FEDD3A", "#E2A929", "#9B9B9B")]
    )  # fmt: skip
    for tile in ("Tile 1", "Tile 2", "Tile 3", "Tile 4"):
        image = next((data / "dubai" / tile / "images").glob("*.jpg"))
        mask = data / "dubai" / tile / "masks" / f"{image.stem}.png"
        values = np.asarray(Image.open(image).convert("RGB")).transpose(2, 0, 1)[:, :SIDE, :SIDE]
        label = np.asarray(Image.open(mask).convert("RGB"))[:SIDE, :SIDE].astype(int)
        distance = ((label[..., None, :] - colours) ** 2).sum(-1)
        patches.append(Patch(np.ascontiguousarray(values), np.ones(values.shape[1:], dtype=bool)))
        labels.append(distance.argmin(-1))
    return patches, labels


def trained(
    name: str, settings: dict[str, object], patches: list[Patch], labels: list[np.ndarray], updates: int
) -> Bundle:
    """Return a bundle of a few updates."""
    torch.manual_seed(0)
    record = ARCHITECTURES.create(name, **settings)
    network = record.build(bands=3, classes=6)
    values = np.stack([patch.values for patch in patches]).astype(np.float64)
    means, stds = values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))
    normalisation = Normalisation(mean=tuple(map(float, means)), std=tuple(map(float, stds)))
    images = torch.from_numpy(np.stack([normalisation(patch.values, patch.valid) for patch in patches]))
    targets = torch.from_numpy(np.stack(labels))
    optimiser = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(updates):
        y, x = (int(one) for one in torch.randint(0, SIDE - CROP, (2,), generator=generator))
        part = slice(y, y + CROP), slice(x, x + CROP)
        logits = network(images[:, :, *part]).logits
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, targets[:, *part]).backward()
        optimiser.step()
    return Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=band) for band in ("red", "green", "blue"))),
        classes=Classes(items=["building", "land", "road", "vegetation", "water", "unlabelled"]),
        normalisation=normalisation,
        patch_size=SIDE,
        resolution_m=None,
        weights={key: value.detach().clone() for key, value in network.state_dict().items()},
        training={},
        versions={},
        licence="",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--data", type=Path, default=Path("/work/shared/data"))
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--format", default="onnx", choices=["onnx", "torch_export"])
    parser.add_argument("--precision", default="float32", choices=["float32", "float16"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    patches, labels = real_patches(arguments.data)
    difference, agreement = ExportSettings(precision=arguments.precision).tolerance
    chosen = ExportSettings(
        format=arguments.format, precision=arguments.precision, largest_difference=1e9, least_agreement=0
    )
    print(
        f"{arguments.format}, {arguments.precision}: real patches of Dubai, {arguments.updates} updates; bar: "
        f"difference <= {difference:g}, same class >= {100 * agreement:g} %"
    )
    print(f"{'recipe':28} {'size':>10} {'by':>13} {'logit':>7} {'difference':>10} {'same class':>11} {'steps':>6}")
    held, rows = True, []
    for recipe, (name, settings) in MODELS.items():
        if arguments.recipes and recipe not in arguments.recipes:
            continue
        begun = time.monotonic()
        bundle = trained(name, settings, patches, labels, arguments.updates)
        file = "model.onnx" if arguments.format == "onnx" else "model.pt2"
        try:
            with tempfile.TemporaryDirectory() as folder, Progress("export") as progress:
                found = export_bundle(bundle, Path(folder) / file, chosen, patches[:2], progress=progress)
                size = sum(one.stat().st_size for one in found.files)
        except Exception as error:  # noqa: BLE001 - the others are still to be compared
            held = False
            print(f"{recipe:28} FAILED: {type(error).__name__}: {error}", flush=True)
            continue
        for one in found.compared:
            held &= one.difference <= difference and one.agreement >= agreement
            steps = "" if one.steps is None else f"{100 * one.steps:.0f} %"
            print(
                f"{recipe:28} {f'{one.height}x{one.width}':>10} {one.by:>13} {one.largest_logit:7.2f} "
                f"{one.difference:10.1e} {100 * one.agreement:9.4f} % {steps:>6}",
                flush=True,
            )
            rows.append({"recipe": recipe, "by": one.by, "difference": one.difference, "agreement": one.agreement})
        print(f"{'':28} {size / 2**20:.1f} MiB, {time.monotonic() - begun:.0f} s", flush=True)
    worst = max((row["difference"] for row in rows), default=None)
    least = min((row["agreement"] for row in rows), default=None)
    print(json.dumps({"held": held, "worst": worst, "least_agreement": least, "rows": len(rows)}))
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
