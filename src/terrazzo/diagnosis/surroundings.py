"""Text and tools around the process: encoding, the compiler that torch.compile needs, and the configuration found."""

import locale
import os
import shutil
import sys
from collections.abc import Iterator

from terrazzo.diagnosis.finding import Finding, Level

__all__ = ["check_surroundings"]


def check_surroundings() -> list[Finding]:
    """Return findings about encodings and the compiler."""
    return [*_encoding(), *_compiler()]


def _encoding() -> Iterator[Finding]:
    names = {
        "files": sys.getfilesystemencoding(),
        "text": locale.getpreferredencoding(do_setlocale=False),
        "output": getattr(sys.stdout, "encoding", None) or "unknown",
    }
    told = {kind: name for kind, name in names.items() if name.lower().replace("-", "").replace("_", "") != "utf8"}
    language = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "unset"
    if "files" in told:
        advice = "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1: names of files with other letters cannot be read."
        yield Finding("encoding", Level.WARNING, f"{told} (locale {language})", advice, names)
    elif told:
        said = ", ".join(f"{kind} {name}" for kind, name in told.items())
        advice = "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1, so that names with other letters are shown whole."
        yield Finding("encoding", Level.NOTE, f"{said} (locale {language})", advice, names)
    else:
        yield Finding("encoding", Level.FINE, f"UTF-8 (locale {language})", facts=names)


def _compiler() -> Iterator[Finding]:
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted) or shutil.which("clang++")
    if found is None:
        said = "no C++ compiler; on the processor networks run as they are"
        advice = "Install g++ where train.compile or predict.compile shall make them faster."
        yield Finding("compiler", Level.NOTE, said, advice)
    else:
        yield Finding("compiler", Level.FINE, found, facts={"path": found})
