"""XML files of others, read without the parts of XML that reach beyond the file or grow without bound."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from terrazzo.errors import DataError

__all__ = ["LARGEST_BYTES", "read_xml"]

LARGEST_BYTES = 256 * 2**20
"""Files above this are refused; metadata and annotations are far smaller."""


def read_xml(path: Path) -> Element:
    """Read a whole XML file.

    A document type, which is where entities come from, is refused in whatever encoding it is written, before anything
    that it declares is looked at.

    Args:
        path: The file.

    Returns:
        The root element; names carry their namespace as `{namespace}name`.

    Raises:
        DataError: The file cannot be read, is too large, declares a document type or is no XML.
    """

    def refuse(*_: object) -> None:
        raise DataError(f"{path} declares a document type or entities, which are refused; remove its <!DOCTYPE ...>.")

    def named(name: str) -> str:
        return f"{{{name}" if "}" in name else name

    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: builder.start(named(name), attributes)
    parser.EndElementHandler = lambda name: builder.end(named(name))
    parser.CharacterDataHandler = builder.data
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DataError(f"{path} holds more than {LARGEST_BYTES // 2**20} MiB; it is no metadata or annotation.")
        with path.open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no complete XML file: {error}.") from error
    return builder.close()
