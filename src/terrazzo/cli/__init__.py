"""The command line: one thin command a public function."""

from terrazzo.cli.application import main

__all__ = ["main"]
