"""What every source promises: the same whole table of existing files each time."""

from typing import TYPE_CHECKING

from terrazzo.testing.verdict import require

if TYPE_CHECKING:
    from terrazzo.data.sources.source import Source

__all__ = ["check_source"]


def check_source(record: "Source") -> None:
    """Hold a source to the contract of `Source`; its paths must lead to data.

    Checked are: the listing is not empty and repeats, its names are unique, every file exists, and the catalog holds
    just the listed images, with their sizes and splits.

    Args:
        record: The source.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    listing = record.pairs()
    require(bool(listing.pairs), record, "lists no image")
    require(record.pairs() == listing, record, "lists something else the second time")
    names = [pair.image_id for pair in listing.pairs]
    double = sorted({name for name in names if names.count(name) > 1})
    require(not double, record, f"the names {double[:5]} stand for several images")
    missing = [str(path) for pair in listing.pairs for path in pair.all_files if not path.exists()]
    require(not missing, record, f"lists files that do not exist, such as {missing[:3]}")
    catalog = record.catalog()
    require(
        sorted(entry.image_id for entry in catalog) == sorted(names),
        record,
        "the catalog holds other images than the listing",
    )
    for pair in listing.pairs:
        entry = catalog.entry(pair.image_id)
        require(entry.height > 0 and entry.width > 0, record, f"{pair.image_id} has no pixels in the catalog")
        kept = (entry.image, entry.label, entry.split) == (pair.image, pair.label, pair.split)
        require(kept, record, f"{pair.image_id} has other files or another split in the catalog than in the listing")
