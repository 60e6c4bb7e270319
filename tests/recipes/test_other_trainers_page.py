"""The migration pages name every option of the four programs, and keys, commands and values that exist."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from terrazzo.cli.application import application
from terrazzo.config import config_schema, load_config
from terrazzo.config.files import VARIABLE

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "deepglobe-trm": "migrate-deepglobe-trm.md",
    "dinov3-geotiff": "migrate-dinov3seg.md",
    "folders-smp": "migrate-smp-trainer.md",
    "cityscapes-hardnet": "migrate-hydra-pipeline.md",
}
"""The page of each recipe."""

OPTIONS = {
    "deepglobe-trm": """
        project_root dataset.root dataset.patch.size dataset.patch.stride dataset.filter_unknown_ratio
        dataset.train_split dataset.val_split training.batch training.workers training.max_epochs training.amp
        training.grad_clip_norm training.save_every optimizer.lr optimizer.weight_decay optimizer.betas
        scheduler.warmup_epochs model.in_channels model.num_classes model.width model.steps.t_min model.steps.t_max
        model.steps.tau model.steps.act model.pixel_act loss.alpha loss.beta loss.gamma logging.out_dir
        patchify|--cfg patchify|--root patchify|--force train|--cfg train|--seed train|--out_dir infer|--cfg
        infer|--input infer|--out infer|--stride calibrate_halt|--cfg calibrate_halt|--checkpoint
        calibrate_halt|--delta calibrate_halt|--save_csv efficiency|--cfg efficiency|--steps calibration|--cfg
        calibration|--checkpoint prepare_deepglobe.py run_sweep.sh trm.py|prepare
        trm.py|train trm.py|infer trm.py|halt-cal trm.py|ece trm.py|efficiency trm.py|sweep""",
    "dinov3-geotiff": """
        resources.seed resources.omp_threads resources.matmul_precision resources.distributed resources.dist_backend
        logging.level logging.timestamps logging.file paths.raw_images_dir paths.label_path paths.processed_dir
        dataset.augmentations.enable dataset.augmentations.hflip dataset.augmentations.vflip
        dataset.augmentations.rotate90 dataset.splits.train_list dataset.splits.val_list model.backbone model.layers
        model.head model.num_classes model.dino_channels prepare.enable prepare.tile_size prepare.device verify.enable
        verify.workers train.enable train.processed_dir train.weights_dir train.batch_size train.epochs train.muon_lr
        train.adamw_lr train.momentum train.patience train.val_fraction train.num_workers train.grad_accum_steps
        train.compile train.ema_decay train.loss.ce_weight train.loss.dice_weight train.loss.aux_weight
        inference.enable inference.input_tif inference.output_tif inference.checkpoint inference.tile_size
        inference.overlap inference.tta.horizontal_flip inference.tta.vertical_flip main.py
        DINOV3SEG_CONFIG""",
    "folders-smp": """
        --model --encoder --image-size --exp-name --log-dir --class-list --max-mask-val --dataset --add-dirs --val-dir
        --add-val-dirs --adv-freq --use-only-add-val --batch -lr --epochs --augmentation --cpu --device --seed --workers
        train.sh dataset_utils test_augment tensorboard|--logdir validate.sh
        validate.py|--check-path validate.py|--check-dir validate.py|--thres validate.py|--dataset-dir
        validate.py|--output-dir validate.py|--vis validate.py|--plots validate.py|--no-plots validate.py|--only-plots
        validate.py|--binary validate.py|--raw validate.py|--com validate.py|--tile-size validate.py|--cpu
        validate.py|--device""",
    "cityscapes-hardnet": """
        FRAMEWORK TASK MODEL_ID hydra.run.dir hydra.sweep.dir hydra.sweep.subdir DATA.DATA_ID DATA.SPLIT_ID
        DATA.DATASET DATA.CLASS_NUM DATA.N_FOLD DATA.path AUGMENTATION.hflip AUGMENTATION.rscale_crop MODEL.arch
        MODEL.n_classes MODEL.pretrain MODEL.fuse_bn LOSS.name LOSS.min_K LOSS.loss_th LOSS.size_average TRAIN.EPOCHS
        TRAIN.LR TRAIN.BATCH_SIZE TRAIN.MONITOR TRAIN.MODE TRAIN.DEBUG TRAINER.gpus TRAINER.distributed_backend
        TRAINER.benchmark TRAINER.deterministic TRAINER.accumulate_grad_batches TRAINER.profiler TRAINER.max_epochs
        TRAINER.log_save_interval TRAINER.gradient_clip_val TRAINER.num_sanity_val_steps TRAINER.weights_summary
        OPTIMIZER.NAME OPTIMIZER.PARAMS.lr OPTIMIZER.PARAMS.momentum OPTIMIZER.PARAMS.weight_decay
        OPTIMIZER.PARAMS.nesterov SCHEDULER.NAME SCHEDULER.PARAMS.max_iter CALLBACK.MODEL_CHECKPOINT.CLASS_NAME
        CALLBACK.MODEL_CHECKPOINT.PARAMS.monitor CALLBACK.MODEL_CHECKPOINT.PARAMS.save_top_k
        CALLBACK.MODEL_CHECKPOINT.PARAMS.mode CALLBACK.MODEL_CHECKPOINT.PARAMS.save_weights_only
        CALLBACK.MODEL_CHECKPOINT.PARAMS.verbose CALLBACK.EARLY_STOPPING.FLAG CALLBACK.EARLY_STOPPING.CLASS_NAME
        CALLBACK.EARLY_STOPPING.PARAMS.monitor CALLBACK.EARLY_STOPPING.PARAMS.patience
        CALLBACK.EARLY_STOPPING.PARAMS.mode CALLBACK.EARLY_STOPPING.PARAMS.verbose CALLBACK.LOGGER.TENSORBOARD
        CALLBACK.LOGGER.COMMET.FLAG CALLBACK.LOGGER.COMMET.SAVE_DIR CALLBACK.LOGGER.COMMET.WORKSPACE
        CALLBACK.LOGGER.COMMET.PROJECT_NAME CALLBACK.LOGGER.JSON PRIVATE.COMET_API DEVICE TEST.BATCH_SIZE SYSTEM.GPUS
        SYSTEM.SEED SYSTEM.NUM_WORKERS SYSTEM.CUDNN.ENABLED SYSTEM.CUDNN.BENCHMARK SYSTEM.CUDNN.DETERMINISTIC
        MODEL_PATH DATA_PATH TEST_ID GPUS train.py predict.py train.yaml test.yaml serving notebooks
        preprocess_seg_pytorch.py read_cvat.py split01.pkl colormap.npy""",
}
"""Every option of their documents, a bar in place of a space within a name, by our recipe."""

PUBLISHED = {
    "deepglobe-trm": {
        "data.patch.size": 256,
        "data.patch.stride": 256,
        "data.max_ignored_share": 0.9,
        "model.name": "trm",
        "model.width": 64,
        "model.t_min": 2,
        "model.t_max": 6,
        "model.tau": 0.7,
        "loss.halting.beta": 0.5,
        "optimizer.name": "adamw",
        "optimizer.lr": 3e-4,
        "optimizer.weight_decay": 0.05,
        "schedule.name": "cosine",
        "schedule.warmup_epochs": 3,
        "train.batch_size": 8,
        "train.epochs": 80,
    },
    "dinov3-geotiff": {
        "seed": 1337,
        "data.patch.size": 512,
        "model.backbone.taps": [5, 11, 17, 23],
        "model.backbone.variant": "satellite",
        "model.head.name": "unet_v2",
        "loss.auxiliary_weight": 0.4,
        "loss.loss.ce_weight": 1.0,
        "loss.loss.dice_weight": 1.0,
        "optimizer.name": "muon",
        "optimizer.lr": 0.02,
        "optimizer.adamw_lr": 1e-3,
        "optimizer.momentum": 0.95,
        "schedule.name": "one_cycle",
        "train.batch_size": 4,
        "train.epochs": 30,
        "train.monitor.patience": 10,
        "predict.overlap": 0.25,
        "predict.views": ["identity", "hflip"],
        "machine.threads": 4,
        "machine.workers": 4,
    },
    "folders-smp": {
        "seed": 42,
        "model.architecture": "deeplabv3plus",
        "model.encoder": "efficientnet-b0",
        "data.patch.size": 512,
        "data.source.class_list": [255],
        "loss.name": "dice",
        "optimizer.name": "adam",
        "optimizer.lr": 1e-3,
        "schedule.name": "cosine",
        "train.batch_size": 6,
        "train.epochs": 50,
        "augment.set": "hard",
        "machine.workers": 1,
    },
    "cityscapes-hardnet": {
        "data.patch.size": 1024,
        "model.name": "hardnet70",
        "loss.min_K": 4096,
        "loss.loss_th": 0.3,
        "loss.size_average": True,
        "optimizer.name": "sgd",
        "optimizer.lr": 0.02,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 5e-4,
        "optimizer.nesterov": False,
        "schedule.name": "poly",
        "schedule.by": "epoch",
        "train.epochs": 100,
        "train.batch_size": 4,
        "train.clip_norm": None,
        "train.monitor.figure": "val_loss",
        "train.sanity_batches": 2,
        "train.log_every": 100,
        "evaluate.batch_size": 1,
        "machine.workers": 4,
        "machine.cudnn_benchmark": True,
        "machine.deterministic": False,
    },
    "camvid-hardnet68": {
        "model.name": "hardnet68",
        "data.patch.size": 480,
        "schedule.gamma": 0.998,
        "train.epochs": 800,
    },
}
"""What their documents publish, under our keys."""


class Row(NamedTuple):
    recipe: str
    theirs: str
    ours: str
    value: str
    remark: str


@functools.cache
def rows() -> tuple[Row, ...]:
    return tuple(
        Row(recipe, *(cell.strip() for cell in line[1:-1].split("|")))
        for recipe, page in PAGES.items()
        for line in (DOCS / page).read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    )


def words(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CITYSCAPES_ROOT", "DEEPGLOBE_ROOT", "DINOV3_WEIGHTS", "HARDNET_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


def branches(schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a schema and whatever it may be instead."""
    if "$ref" in schema:
        yield from branches(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    yield schema
    if isinstance(schema.get("items"), dict):
        yield from branches(schema["items"], whole)
    for word in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(word, ()):
            yield from branches(one, whole)


def has(key: str, whole: dict[str, Any]) -> bool:
    """Tell whether a dotted key leads through the JSON schema of configurations."""
    places = [whole]
    for part in key.split("."):
        found = [schema for place in places for schema in branches(place, whole)]
        places = [schema["properties"][part] for schema in found if part in schema.get("properties", {})]
        places += [schema["additionalProperties"] for schema in found if schema.get("additionalProperties")]
    return bool(places)


@functools.cache
def plain(recipe: str) -> dict[str, Any]:
    return load_config(recipe).model_dump(mode="json")


def value_of(recipe: str, key: str) -> object:
    """Return a setting of a recipe as plain data."""
    value: Any = plain(recipe)
    for part in key.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("recipe", OPTIONS)
def test_every_option_has_its_row_and_no_row_is_made_up(recipe: str) -> None:
    named = [words(row.theirs)[0] for row in rows() if row.recipe == recipe]
    assert sorted(named) == sorted(option.replace("|", " ") for option in OPTIONS[recipe].split())


def test_the_check_of_keys_knows_right_from_wrong() -> None:
    schema = config_schema()
    assert all(
        has(key, schema) for key in ("seed", "train.monitor.figure", "model.backbone.taps", "loss.loss.ce_weight")
    )
    assert not any(has(key, schema) for key in ("sead", "train.monitor.figures", "model.taps", "loss.halting.gamma"))


def test_every_key_of_ours_exists() -> None:
    schema = config_schema()
    commands = typer.main.get_command(application).commands  # type: ignore[attr-defined]
    for row in rows():
        for word in words(row.ours):
            if word == VARIABLE:
                continue
            if word.startswith("terrazzo "):
                _, name, *options = word.split()
                known = {text for each in commands[name].params for text in each.opts}
                assert set(options) <= known, row
            else:
                assert has(word, schema), row


def test_what_has_no_key_says_why() -> None:
    for row in rows():
        if not words(row.ours):
            assert row.ours in {"no", "to come"}, row
            assert row.ours == "to come" or row.remark or "CLASS_NAME" in row.theirs, row


def test_the_recipes_values_are_those_on_the_page() -> None:
    for row in rows():
        if row.value:
            key = words(row.ours)[0]
            told = yaml.safe_load(re.sub(r"^(\d+)e-", r"\1.0e-", words(row.value)[0]))
            found = value_of(row.recipe, key)
            assert (found.get("name") if isinstance(found, dict) and "name" in found else found) == told, row


@pytest.mark.parametrize(("recipe", "key"), [(recipe, key) for recipe, keys in PUBLISHED.items() for key in keys])
def test_a_recipe_sets_what_is_published(recipe: str, key: str) -> None:
    assert value_of(recipe, key) == PUBLISHED[recipe][key]
