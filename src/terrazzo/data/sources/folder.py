"""Photographs and patches in folders, each with a label image of the same size."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from terrazzo.data.classes import Class, Classes
from terrazzo.data.sources.pairing import PairedSource
from terrazzo.data.sources.source import Listing

__all__ = ["FolderSource"]


def _numbers(value: object) -> object:
    """Read "1 2 5" or "1, 2, 5", and a single number; the background needs no mention."""
    if isinstance(value, int):
        value = [value]
    if isinstance(value, str):
        words = value.replace(",", " ").split()
        if not all(word.isascii() and word.isdigit() for word in words):
            raise ValueError(f'label values are whole numbers such as "1 2 5", not "{value}"')
        value = [int(word) for word in words]
    return [item for item in value if item != 0] if isinstance(value, list | tuple) else value


_Value = Annotated[int, Field(ge=1)]
ClassList = Annotated[
    tuple[_Value, ...],
    Field(min_length=1),
    BeforeValidator(_numbers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ]
        }
    ),
]
"""Label values; "1 2 5", 255 and [1, 2, 5] are accepted."""


class FolderSource(PairedSource):
    """Images with label images of the same size, in folders or under two patterns."""

    name: Literal["folder"] = "folder"
    """Name of this source."""
    class_list: ClassList | None = None
    """Label values that are classes, such as "1 2 5", instead of `data.classes`; all others are background, which is
    the first class. One value makes a binary task."""
    max_mask_val: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Instead of a list: labels hold 0, the background, to this value, each a class of its own; at most 1000."""
    val_folder: Path | None = None
    """Folder of the validation images, laid out as `folder` is; what `folder` itself has for validation is left out."""

    @model_validator(mode="after")
    def _one_list(self) -> "FolderSource":
        if self.class_list is not None and self.max_mask_val is not None:
            raise ValueError("give `class_list` or `max_mask_val`, not both")
        if self.class_list is not None and len(set(self.class_list)) < len(self.class_list):
            raise ValueError(f"class_list names a value twice: {' '.join(map(str, self.class_list))}")
        return self

    @property
    def georeferenced(self) -> bool:
        """No: a photograph has no coordinates; where image and label both have them, these say how they lie."""
        return False

    def known_classes(self) -> Classes | None:
        """Return the background and a class for each value of `class_list` or up to `max_mask_val`."""
        if self.class_list is None and self.max_mask_val is None:
            return None
        values = self.class_list or range(1, (self.max_mask_val or 0) + 1)
        found = [Class(name=f"class_{value}", values=(value,)) for value in values]
        return Classes(
            items=(Class(name="background", values=(0,)), *found),
            labels="value",
            unlisted="background" if self.class_list else "error",
        )

    def require_classes(self, classes: Classes) -> None:
        """Let classes rename those of `class_list` or `max_mask_val`, but not list other values.

        Raises:
            ValueError: They list other values.
        """
        known = self.known_classes()
        if known is not None and [item.values for item in known.items] != [item.values for item in classes.items]:
            field = "class_list" if self.class_list else "max_mask_val"
            raise ValueError(
                f"source.{field} says the classes {', '.join(known.names)}, but `classes` lists other values; "
                "leave one of them out"
            )

    def elsewhere(self, folder: Path) -> "FolderSource":
        """Return the same layout in another folder, which holds its validation images itself."""
        return self.model_copy(update={"folder": folder, "val_folder": None})

    def pairs(self) -> Listing:
        """List images with their labels, opening none of them.

        Raises:
            DataError: Nothing is there, or images and labels do not match.
            ConfigError: A pattern holds an unknown word.
        """
        listing = super().pairs()
        if self.val_folder is None:
            return listing
        beside = self.val_folder.absolute()
        held_out = self.elsewhere(beside).pairs()
        others = [
            replace(pair, split=pair.split or "train")
            for pair in listing.pairs
            if pair.split != "val" and not pair.image.is_relative_to(beside)
        ]
        selecting = [replace(pair, image_id=f"val/{pair.image_id}", split="val") for pair in held_out.pairs]
        left = sum(1 for pair in listing.pairs if pair.split == "val" and not pair.image.is_relative_to(beside))
        notes = (f"left out: {left} validation images of {self.folder}, since val_folder is given",) if left else ()
        joined = tuple(sorted((*others, *selecting), key=lambda pair: pair.image_id))
        return Listing(joined, (*listing.notes, *held_out.notes, *notes))
