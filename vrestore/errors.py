"""Everything vrestore raises on purpose.

    VRestoreError
    ├── InputError        the source cannot be read, has no picture, or is not supported
    ├── PresetError       a preset, `--set` or other setting is wrong; names file, key and remedy
    ├── PlanError         no way to do what was asked (no encoder, impossible size)
    ├── ModelError        unknown model, wrong checksum, unsupported dtype
    ├── DeviceError       no such device, out of device memory, no free encoder session
    ├── EncodeError       an encoder or muxer refused a frame or packet
    ├── OutputError       the output cannot be written (exists, no space, not writable)
    ├── LossError         `--strict` and something in the source would be lost
    └── StoppedError      stopped before the end; what is done is kept, the same command goes on

Each message is one sentence that says what is wrong, where, and what to do.  Exceptions of other
libraries are wrapped at the boundary (`io/`, `models/`) with `raise ... from`, keeping their text.
"""

__all__ = [
    "DeviceError",
    "EncodeError",
    "InputError",
    "LossError",
    "ModelError",
    "OutputError",
    "PlanError",
    "PresetError",
    "StoppedError",
    "VRestoreError",
]


class VRestoreError(Exception):
    """Base of all errors that a user can do something about."""


class InputError(VRestoreError):
    """The source cannot be read, has no picture, or is of a kind that is not supported."""


class PresetError(VRestoreError):
    """A setting is unknown or out of range."""


class PlanError(VRestoreError):
    """What was asked for cannot be done on this machine or with this source."""


class ModelError(VRestoreError):
    """A model is unknown, damaged, or cannot run as asked."""


class DeviceError(VRestoreError):
    """A device is absent, or has no memory or session left."""


class EncodeError(VRestoreError):
    """An encoder or muxer refused what it was given."""


class OutputError(VRestoreError):
    """The output cannot be written."""


class LossError(VRestoreError):
    """Something in the source would be lost and `--strict` was given."""


class StoppedError(VRestoreError):
    """The run was stopped, or had to stop, and goes on where it was when started again."""
