"""A finished file that holds everything, and a way to damage copies of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
from av.stream import Disposition

import vrestore

PLAIN = {"restore.model": "identity", "encode.encoder": "ffv1", "run.threads": 1}


def _torture() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "io" / "torture.py"
    spec = importlib.util.spec_from_file_location("torture_for_checks", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torture_for_checks"] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Finished:
    """A source and what was made of it."""

    source: Path
    output: Path

    def run(self, output: Path, **overrides: object) -> Path:
        """Another output of the source, which carries the settings of `self.output` all the same:
        a file that is not what its settings say."""
        made = output.with_name("made-" + output.name)
        vrestore.restore(str(self.source), str(made), preset="plain", overrides=PLAIN | overrides)
        with av.open(str(self.output)) as honest:
            settings = honest.metadata["VRESTORE_SETTINGS"]
        return remux(made, output, Change(metadata={"VRESTORE_SETTINGS": settings}))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The torture file, and its copy through the whole pipeline."""
    folder = tmp_path_factory.mktemp("finished")
    source = _torture().build_mkv(folder / "torture.mkv")
    output = folder / "out.mkv"
    vrestore.restore(str(source), str(output), preset="plain", overrides=PLAIN)
    return Finished(source=source, output=output)


@dataclass(frozen=True)
class Change:
    """What a copy of a file has otherwise."""

    without: tuple[int, ...] = ()
    """Streams that are left out."""

    packet: Callable[[int, int, Any], Any] = lambda stream, number, packet: packet
    """(stream, number in it, packet) -> the packet to write, or None."""

    metadata: dict[str, str] = field(default_factory=dict)
    stream_metadata: dict[int, dict[str, str]] = field(default_factory=dict)
    chapters: Callable[[list[Any]], list[Any]] = lambda chapters: chapters
    attachment: Callable[[str, bytes], tuple[str, bytes]] = lambda name, data: (name, data)


def remux(source: Path, target: Path, change: Change) -> Path:
    """A copy of a Matroska file, packet for packet but for `change`."""
    with (
        av.open(str(source)) as before,
        av.open(str(target), "w", container_options={"avoid_negative_ts": "disabled"}) as after,
    ):
        places: dict[int, Any] = {}
        for stream in before.streams:
            cover = stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)
            if stream.index in change.without:
                continue
            if stream.type == "attachment" or cover:
                name = stream.metadata["filename"]
                data = stream.data if stream.type == "attachment" else _cover(source, stream.index)
                name, data = change.attachment(name, data)
                added = after.add_attachment(name, stream.metadata["mimetype"], data)
            else:
                added = after.add_stream_from_template(stream, opaque=True)
                added.time_base = stream.time_base
                added.disposition = stream.disposition
                places[stream.index] = added
            kept = {key: value for key, value in stream.metadata.items() if key != "DURATION"}
            added.metadata.update(kept | change.stream_metadata.get(stream.index, {}))
        after.metadata.update(dict(before.metadata) | change.metadata)
        after.set_chapters(change.chapters(before.chapters()))
        numbers = dict.fromkeys(places, 0)
        for packet in before.demux([before.streams[index] for index in places]):
            if not packet.size:
                continue
            index = packet.stream_index
            number, numbers[index] = numbers[index], numbers[index] + 1
            packet.stream = places[index]
            changed = change.packet(index, number, packet)
            if changed is not None:
                after.mux_one(changed)
    return target


def _cover(path: Path, index: int) -> bytes:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams[index])
        return next(bytes(packet) for packet in packets if packet.size)


def with_contents(packet: Any, contents: bytes) -> Any:
    """A packet with other bytes in the same place."""
    changed = av.Packet(contents)
    for name in ("stream", "time_base", "pts", "dts", "duration"):
        setattr(changed, name, getattr(packet, name))
    changed.is_keyframe = packet.is_keyframe
    return changed


@pytest.fixture
def copy_with(finished: Finished, tmp_path: Path) -> Callable[..., Path]:
    """`copy_with(without=..., packet=..., ...)`: the finished file but for that."""
    return lambda **change: remux(finished.output, tmp_path / "copy.mkv", Change(**change))


@pytest.fixture(scope="session")
def contents() -> Callable[[Any, bytes], Any]:
    """`contents(packet, bytes)`: a packet with other bytes in the same place."""
    return with_contents
