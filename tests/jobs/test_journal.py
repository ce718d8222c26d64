"""The journal: what is whole is read back, what is torn ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.jobs.journal import Journal, read_entries


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "journal"
    journal = Journal(file)
    for number in range(3):
        journal.append({"number": number, "text": 'a "line"\n', "list": [1, 2.5, None]})
    journal.close()
    return file


def test_entries_come_back_as_they_were(path):
    entries, length = read_entries(path)
    assert [entry["number"] for entry in entries] == [0, 1, 2]
    assert entries[0]["text"] == 'a "line"\n'
    assert length == path.stat().st_size


def test_wherever_it_is_cut_whole_entries_remain_and_it_goes_on(path):
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        entries, length = read_entries(path)
        whole = sum(len(b"".join(lines[: n + 1])) <= size for n in range(3))
        assert len(entries) == whole
        journal = Journal(path, length)
        journal.append({"number": "next"})
        journal.close()
        assert [e["number"] for e in read_entries(path)[0]] == [*range(whole), "next"]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_an_altered_byte_is_never_believed(tmp_path_factory, at, change):
    path = tmp_path_factory.mktemp("j") / "journal"
    journal = Journal(path)
    for number in range(3):
        journal.append({"number": number})
    journal.close()
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= change
    path.write_bytes(data)
    entries, _ = read_entries(path)
    assert [entry["number"] for entry in entries] == list(range(len(entries)))
    assert len(entries) < 3


@given(st.binary(max_size=200))
def test_anything_is_read_without_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("j") / "journal"
    path.write_bytes(data)
    assert read_entries(path) == ([], 0)
