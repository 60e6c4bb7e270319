"""Conformance suites: run them on your own architecture, loss, transform or source, in a test of yours.

Each suite raises AssertionError with a sentence that names the record and the promise it broke.
"""

from terrazzo.testing.adaptive import check_adaptive
from terrazzo.testing.architectures import check_architecture
from terrazzo.testing.heads import check_head
from terrazzo.testing.losses import check_loss
from terrazzo.testing.sources import check_source
from terrazzo.testing.transforms import check_transform

__all__ = ["check_adaptive", "check_architecture", "check_head", "check_loss", "check_source", "check_transform"]
