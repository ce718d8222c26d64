"""A picture's side data, read so that no memory is freed twice."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

import av
from av.dictionary import Dictionary
from av.sidedata.sidedata import SideData, SideDataContainer

__all__ = ["side_data_of"]


def side_data_of(frame: av.VideoFrame) -> dict[str, bytes]:
    """The side data of a picture by FFmpeg's name (the last of each kind).

    Kinds that PyAV cannot name (EXIF) are left out.
    """
    # `frame.side_data` is not asked: its container is lost where one kind has no name, and with it
    # the way to what `_keep` must hold.
    container = SideDataContainer.__new__(SideDataContainer, frame)  # type: ignore[call-arg]
    # Where one kind has no name, those before it, and itself, are in the container.
    with contextlib.suppress(ValueError):
        container.__init__(frame)  # type: ignore[misc]
    items = list(_items(container))
    for item in items:
        _keep(item)
    named = ((_name(item), item) for item in items)
    return {name: bytes(item) for name, item in named if name is not None}


def _items(container: SideDataContainer) -> Iterator[SideData]:
    """What the container holds, by the garbage collector's eyes: it has no attribute for it."""
    for held in gc.get_referents(container):
        if isinstance(held, list):
            yield from (item for item in held if isinstance(item, SideData))


def _name(item: SideData) -> str | None:
    try:
        return str(item.type.name)
    except ValueError:
        return None


def _keep(item: SideData) -> None:
    """Takes from PyAV the dictionary that belongs to the picture.

    PyAV 18 wraps the dictionary of a side datum (the name of a PNG's ICC profile) as if it were
    its own and frees it with the wrapper; FFmpeg frees it with the picture, and the program dies.
    One reference too many leaves it to FFmpeg.
    """
    for held in gc.get_referents(item):
        if isinstance(held, Dictionary) and len(held):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
