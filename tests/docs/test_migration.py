"""A table that another program pickled comes over as its page says, without a pickle being opened."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from terrazzo.config import load_config
from terrazzo.data.prepare import open_prepared
from terrazzo.errors import DataError
from terrazzo.phases.prepare import prepare

PAGE = (Path(__file__).parents[2] / "docs" / "migrate-hydra-pipeline.md").read_text(encoding="utf-8")
SETTINGS = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[-1])
WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": lambda table, path: table.to_parquet(path),
}


def pickled(place: Path) -> pd.DataFrame:
    """Return such a table: absolute paths and a flag of training."""
    names = [f"train_{number}.tif" for number in range(2)] + ["val_0.tif"]
    return pd.DataFrame(
        {
            "img_path": [str(place / "data/images" / name) for name in names],
            "gt_path": [str(place / "data/gt" / name) for name in names],
            "is_train": [name.startswith("train") for name in names],
        }
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_table_becomes_a_catalog_with_its_roles(suffix: str, place: Path) -> None:
    source = SETTINGS["data"]["source"] | {"table": f"split01{suffix}", "folder": "."}
    WRITERS[suffix](pickled(place), place / f"split01{suffix}")
    settings = SETTINGS | {"data": {"source": source, "classes": ["ground", "field"]}}
    Path("moved.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    config = load_config("moved.yaml", "paths.prepared=moved", "data.patch.size=24", "machine.workers=0")
    prepare(config)
    catalog = open_prepared(config.prepare.folder).catalog
    assert {entry.image.name: entry.split for entry in catalog} == {
        "train_0.tif": "train",
        "train_1.tif": "train",
        "val_0.tif": "val",
    }


def test_the_pickle_itself_is_refused(place: Path) -> None:
    Path("split01.pkl").write_bytes(b"not even looked at")
    Path("moved.yaml").write_text(PAGE.split("```yaml\n")[-1].split("```")[0], encoding="utf-8")
    with pytest.raises(DataError, match="save it as CSV or Parquet"):
        prepare(load_config("moved.yaml", "data.source.table=split01.pkl", "paths.prepared=moved"))


def test_the_colours_are_printed_from_an_array_without_objects(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[-1], "page", "exec"), {})
    assert capsys.readouterr().out == "#804080\n#00008E\n"
