"""CamVid as SegNet's authors distribute it: street frames with 11 classes and void."""

from pathlib import Path, PurePosixPath
from typing import Literal

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.sources.source import Listing, Pair, Source
from terrazzo.errors import DataError

__all__ = ["CAMVID", "CamvidSource"]

CAMVID = Classes(
    items=(
        Class(name="sky", colour=(128, 128, 128)),
        Class(name="building", colour=(128, 0, 0)),
        Class(name="pole", colour=(192, 192, 128)),
        Class(name="road", colour=(128, 64, 128)),
        Class(name="pavement", colour=(0, 0, 192)),
        Class(name="tree", colour=(128, 128, 0)),
        Class(name="sign", colour=(192, 128, 128)),
        Class(name="fence", colour=(64, 64, 128)),
        Class(name="car", colour=(64, 0, 128)),
        Class(name="pedestrian", colour=(64, 64, 0)),
        Class(name="bicyclist", colour=(0, 128, 192)),
    ),
    labels="value",
    ignore_values=(11,),
)
"""The 11 classes in the order of the label values 0..10; 11 is void and ignored.

Source: Badrinarayanan, Kendall & Cipolla, SegNet, 2015 (values); Brostow, Fauqueur & Cipolla, 2009 (colours).
"""

_LISTS = ("train", "val", "test")


class CamvidSource(Source):
    """CamVid: `train/`, `val/`, `test/` with `trainannot/`, `valannot/`, `testannot/` beside them."""

    name: Literal["camvid"] = "camvid"
    """Name of this source."""
    folder: Path
    """Folder that holds train/ and trainannot/."""
    split: Literal["folders", "lists"] = "folders"
    """Where roles come from: the folders, or the files train.txt, val.txt and test.txt with an image and its label in
    each line, separated by a space or, where names hold spaces, a tab; the last two parts of their paths count."""

    def known_classes(self) -> Classes:
        """Return the 11 classes of SegNet."""
        return CAMVID

    def pairs(self) -> Listing:
        """List frames with their labels, opening none of them.

        Raises:
            DataError: Nothing is there, frames and labels do not match, or a list names what is not there.
        """
        if self.split == "folders":
            return FolderSource(folder=self.folder, images="{split}/*.png", labels="{split}annot/*.png").pairs()
        lists = [path for path in (self.folder / f"{role}.txt" for role in _LISTS) if path.is_file()]
        if not lists:
            raise DataError(
                f"{self.folder} holds none of train.txt, val.txt, test.txt; set data.source.split: folders."
            )
        found: dict[str, Pair] = {}
        for path in lists:
            for number, line in _lines(path):
                pair = self._pair(line, role=path.stem, where=f"{path}, line {number}")
                if pair.image_id in found:
                    raise DataError(f"{path}, line {number}: {pair.image_id} stands in a list already.")
                found[pair.image_id] = pair
        return Listing(tuple(found[name] for name in sorted(found)))

    def _pair(self, line: str, *, role: str, where: str) -> Pair:
        words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
        if len(words) != 2:
            raise DataError(f'{where}: expected an image and its label, got "{line}".')
        # The lists name /SegNet/CamVid/train/x.png: the folder of whoever wrote them.
        parts = [PurePosixPath(word).parts[-2:] for word in words]
        if any(".." in part for part in parts):
            raise DataError(f'{where}: "{line}" leads out of the folder.')
        image, label = (self.folder.absolute().joinpath(*part) for part in parts)
        for path in (image, label):
            if not path.is_file():
                raise DataError(f"{where}: {path} does not exist.")
        name = PurePosixPath(*parts[0]).with_suffix("").as_posix()
        return Pair(image_id=name, image=image, label=RasterLabel(rasters=(label,)), split=role)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a list that name something, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
