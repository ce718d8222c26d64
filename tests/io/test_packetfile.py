"""Packets in a file of their own: nothing changed, nothing believed that is not whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.errors import OutputError
from vrestore.io.packetfile import PacketWriter, read_packets

TICK = Fraction(1001, 30000)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "0.packets"
    with PacketWriter(file) as writer:
        for number in range(4):
            packet = av.Packet(bytes(range(number * 7)))
            packet.pts, packet.dts, packet.duration = number * 2**40, number - 9, 5
            packet.is_keyframe = number == 2
            writer.write(packet)
        writer.end()
    assert writer.bytes == file.stat().st_size
    return file


def test_packets_come_back_as_they_were(path):
    found = list(read_packets(path, TICK))
    assert [bytes(p) for p in found] == [bytes(range(n * 7)) for n in range(4)]
    assert [(p.pts, p.dts, p.duration) for p in found] == [(n * 2**40, n - 9, 5) for n in range(4)]
    assert [p.is_keyframe for p in found] == [False, False, True, False]
    assert found[0].time_base == TICK


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**62), 2**62), st.integers(-(2**40), 2**40), st.integers(0, 2**40),
            st.binary(max_size=9), st.booleans(),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_numbers_of_any_size_come_back(packets):
    with TemporaryDirectory() as folder:
        file = Path(folder) / "0.packets"
        with PacketWriter(file) as writer:
            for pts, lead, duration, data, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts, pts + lead, duration
                packet.is_keyframe = key
                writer.write(packet)
            writer.end()
        found = [
            (p.pts, p.dts - p.pts, p.duration, bytes(p), p.is_keyframe)
            for p in read_packets(file, TICK)
        ]
    assert found == packets


def test_what_is_cut_or_altered_anywhere_is_refused(path):
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at])
        with pytest.raises(OutputError, match="damaged"):
            list(read_packets(path, TICK))
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with pytest.raises(OutputError, match="damaged"):
            list(read_packets(path, TICK))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OutputError, match="cannot be read"):
        list(read_packets(tmp_path / "none", TICK))
