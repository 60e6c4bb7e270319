"""Trackers: where the figures and pictures of a training go besides the run folder's own files."""

from terrazzo.tracking.comet import Comet
from terrazzo.tracking.csv_files import Csv
from terrazzo.tracking.entry import Entry
from terrazzo.tracking.json_lines import JsonLines
from terrazzo.tracking.mlflow import MlFlow
from terrazzo.tracking.tensorboard import TensorBoard
from terrazzo.tracking.tracker import TRACKERS, Track, TrackedRun, Tracker, require_trackers
from terrazzo.tracking.tracking import Tracking
from terrazzo.tracking.wandb import WeightsAndBiases

__all__ = [
    "TRACKERS",
    "Comet",
    "Csv",
    "Entry",
    "JsonLines",
    "MlFlow",
    "TensorBoard",
    "Track",
    "TrackedRun",
    "Tracker",
    "Tracking",
    "WeightsAndBiases",
    "require_trackers",
]
