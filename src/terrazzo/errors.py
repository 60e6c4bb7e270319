"""Every error a user can meet, in one tree.

TerrazzoError
├── ConfigError          the configuration or the arguments are wrong (exit status 2)
├── DataError            images, labels or their pairing are wrong
│   ├── LabelError       a label holds values or colours that no class lists
│   └── UnfitDataError   verifying found what makes training wrong or impossible
├── ContractError        a scene or data set does not fit what a bundle was trained for
├── BundleError          a model file is damaged, foreign or too new
├── ModelError           a network cannot be built or answered with wrong shapes
├── TrainingError        training cannot go on (a loss that is not finite, a run folder that holds another run)
├── StorageError         files cannot be written, read or locked
│   ├── LockedError      another process works on the same output
│   └── SpaceError       the disk has too little room
├── OutOfMemoryError     the device, or the host, has too little memory for what was asked
├── StoppedError         somebody asked to stop; the same command goes on
└── WorkerError          a process that computes for another one ended, or failed in a way nobody foresaw

Each message says what was given, what was expected, where, and what to do.
"""

__all__ = [
    "BundleError",
    "ConfigError",
    "ContractError",
    "DataError",
    "LabelError",
    "LockedError",
    "ModelError",
    "OutOfMemoryError",
    "SpaceError",
    "StoppedError",
    "StorageError",
    "TerrazzoError",
    "TrainingError",
    "UnfitDataError",
    "WorkerError",
]


class TerrazzoError(Exception):
    """Root of all errors that Terrazzo raises on purpose."""


class ConfigError(TerrazzoError, ValueError):
    """The configuration or the arguments are wrong."""


class DataError(TerrazzoError, ValueError):
    """Images, labels or their pairing are wrong."""


class LabelError(DataError):
    """A label holds values or colours that no class lists."""


class UnfitDataError(DataError):
    """Verifying found what makes training wrong or impossible."""


class ContractError(TerrazzoError, ValueError):
    """A scene or data set does not fit what a bundle was trained for."""


class BundleError(TerrazzoError, ValueError):
    """A model file is damaged, foreign or too new."""


class ModelError(TerrazzoError, ValueError):
    """A network cannot be built, or answered with wrong shapes."""


class TrainingError(TerrazzoError, RuntimeError):
    """Training cannot go on."""


class StorageError(TerrazzoError, OSError):
    """Files cannot be written, read or locked."""


class LockedError(StorageError):
    """Another process works on the same output."""


class SpaceError(StorageError):
    """The disk has too little room."""


class OutOfMemoryError(TerrazzoError, MemoryError):
    """The device, or the host, has too little memory for what was asked."""


class StoppedError(TerrazzoError, RuntimeError):
    """Somebody asked to stop; the same command goes on."""


class WorkerError(TerrazzoError, RuntimeError):
    """A process that computes for another one ended, or failed in a way nobody foresaw."""
