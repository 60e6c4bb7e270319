"""What lies in a feature cache, with the hash of each file: written last, so that only a whole cache is ever read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.errors import StorageError
from terrazzo.storage import fingerprint, hash_file, read_json, write_json

__all__ = ["INDEX_FILE", "FeatureIndex", "StoredShard", "load_index", "stored"]

INDEX_FILE = "index.json"


@dataclass(frozen=True)
class StoredShard:
    """One file, as it was written.

    Attributes:
        bytes: Its size.
        modified_ns: When it was last written, in nanoseconds since 1970: a file with another time is hashed again.
        sha256: Hash of its bytes.
    """

    bytes: int
    modified_ns: int
    sha256: str

    def is_untouched(self, path: Path) -> bool:
        """Return whether a file has the size and time that it was written with."""
        try:
            facts = path.stat()
        except OSError:
            return False
        return (facts.st_size, facts.st_mtime_ns) == (self.bytes, self.modified_ns)

    def is_at(self, path: Path) -> bool:
        """Return whether a file is this one; it is read only where its time is not the one known."""
        if self.is_untouched(path):
            return True
        try:
            return path.stat().st_size == self.bytes and hash_file(path) == self.sha256
        except OSError:
            return False


def stored(path: Path, sha256: str | None = None) -> StoredShard:
    """Describe a file as it lies there.

    Args:
        path: The file.
        sha256: Its hash where that is known.
    """
    facts = path.stat()
    return StoredShard(facts.st_size, facts.st_mtime_ns, sha256 or hash_file(path))


@dataclass(frozen=True)
class FeatureIndex:
    """A whole cache.

    Attributes:
        recipe: What decides its features, for a reader.
        shards: Each file by its name.
    """

    recipe: Mapping[str, Any]
    shards: Mapping[str, StoredShard]

    def save(self, folder: Path) -> None:
        """Write the index of a cache's folder, whole or not at all."""
        content = {
            "recipe": dict(self.recipe),
            "shards": {name: vars(shard) for name, shard in self.shards.items()},
        }
        write_json(folder / INDEX_FILE, {**content, "checksum": fingerprint(content)})


def load_index(folder: Path) -> FeatureIndex | None:
    """Read the index of a cache's folder; None where nothing was finished, or the index is damaged."""
    try:
        content = read_json(folder / INDEX_FILE)
        body = {key: value for key, value in content.items() if key != "checksum"}
        if content["checksum"] != fingerprint(body):
            return None
        return FeatureIndex(content["recipe"], {name: StoredShard(**one) for name, one in content["shards"].items()})
    except (StorageError, KeyError, TypeError, AttributeError):
        return None
