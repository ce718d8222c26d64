"""Diagnosis of files: windows or the whole, cuts, pipes, what cannot be read."""

import pytest

from vrestore.diagnose import Severity, diagnose, source
from vrestore.diagnose.source import examine, marked_frames
from vrestore.errors import InputError
from vrestore.io.decode import DecodeConfig
from vrestore.io.probe import ProbeOptions, probe
from vrestore.io.testclip import write_test_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    write_test_clip(path, 64, 48, 20)
    return str(path)


def test_a_short_file_is_read_whole_and_every_frame_is_counted(clip):
    diagnosis = diagnose(clip)
    assert diagnosis.whole
    assert diagnosis.frames == 20
    assert sum(reading.frames for reading in diagnosis.readings) == 20
    assert diagnosis.finding("cadence").severity <= Severity.ABSENT
    assert diagnosis.finding("shots").value == 1
    with pytest.raises(KeyError):
        diagnosis.finding("no such")


def test_what_is_not_flagged_interlaced_is_decoded_once(clip, monkeypatch):
    begun = []

    def counted(*arguments):
        begun.append(arguments)
        return marked_frames(*arguments)

    monkeypatch.setattr(source, "marked_frames", counted)
    assert diagnose(clip).frames == 20
    assert len(begun) == 1


def test_a_long_file_is_looked_at_in_windows(tmp_path):
    path = tmp_path / "long.mkv"
    write_test_clip(path, 64, 48, 300)
    info = probe(str(path), DecodeConfig(), ProbeOptions(count=True))
    evidence = examine(info, DecodeConfig(), window=6)
    assert not evidence.whole
    assert 6 <= evidence.frames <= 48
    places = {int(reading.seconds // 3) for reading in evidence.readings}
    assert len(places) >= 2


def test_evidence_has_its_time(tmp_path):
    path = tmp_path / "long.mkv"
    write_test_clip(path, 64, 48, 700)
    diagnosis = diagnose(str(path))
    assert not diagnosis.whole
    for finding in diagnosis.findings:
        assert len(finding.evidence_seconds) == len(finding.evidence_frames)
        for index, seconds in zip(finding.evidence_frames, finding.evidence_seconds, strict=True):
            assert seconds == pytest.approx(index / 25, abs=0.05)


def test_standard_input_is_refused():
    with pytest.raises(InputError, match="read only once"):
        diagnose("-")


def test_a_file_without_pictures_is_an_input_error(tmp_path):
    path = tmp_path / "none.mkv"
    path.write_bytes(b"not a film")
    with pytest.raises(InputError):
        diagnose(str(path))
