"""Every real file is read to the end with all frames accounted for, or refused in one sentence."""

from pathlib import Path

import pytest

from vrestore.errors import InputError
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.probe import probe

FOLDERS = ("odd", "interlaced", "hdr", "real_lowquality", "anime", "old_film")
MOST_FRAMES = 60

REFUSED = {
    "mov-3elist-encrypted.mp4": "encrypted",
    "subsample_encrypted_altref.webm": "encrypted",
    "sample_fragmented_sideloaded_track.mp4": "cannot be opened",
    "sample_malformed_free_box.mp4": "cannot be opened",
    "svq3_decoding_regression.mp4": "none of the",
    "zero_empty_stsc.mp4": "none of the",
    "Owner-iTunes_9.0.3.15.mp4": "cover picture but no video",
    "multiple-aac-tracks.mp4": "only audio",
    "sample_audio_only.mp4": "only audio",
    "pmtchange.mp4": "none of the",
}

FRAMES = {
    "sony_a7_1080i.mts": 13,
    "pal_fields_720x576i.ts": 31,
    "Cisco_Men_whisper_640x320_CAVLC_Bframe_9.264": 9,
    "packed_bframes.avi": 15,
    "ref_10.avi": 25,
    "sample-with-large-length.avi": 58,
    "mov-3elist.mp4": 48,
    "mov_neg_first_pts_discard.mp4": 15,
    "frag_overlap.mp4": 96,
    "vp90-2-05-resize.mp4": 10,
    "hdr10_pq_prores_meridian.mov": 5,
    # One picture after the last good one cannot be decoded.
    "corrupted.mp4": 50,
    # 38 packets say "as before" and make the decoder show nothing.
    "demo.mp4": 83,
    # 12 packets are broken, 2 more come too late.
    "no_timescale.mp4": 182,
}
"""How many come out, where it differs from the packets or is easily got wrong."""


def files(shared: Path) -> list[Path]:
    found = [path for name in FOLDERS for path in sorted((shared / "data" / name).rglob("*.*"))]
    return [*found, shared / "data" / "odd" / "damaged" / "sample_with_junk"]


def test_every_file_is_read_or_refused(shared: Path) -> None:
    refused = {}
    for path in files(shared):
        try:
            info = probe(str(path))
        except InputError as error:
            refused[path.name] = str(error)
            with pytest.raises(InputError), Decoder(str(path)) as decoder:
                list(decoder)
            continue
        config = DecodeConfig(frames=f":{MOST_FRAMES}")
        with Decoder(str(path), config, stream=info.video.stream.index, threads=2) as decoder:
            last = None
            for frame in decoder:
                assert last is None or frame.timestamp.pts > last, path.name
                last = frame.timestamp.pts
                assert frame.format == info.video.format, path.name
                assert frame.color == info.video.color, path.name
                assert (frame.width, frame.height) == (info.video.width, info.video.height)
        assert decoder.report.balanced, path.name
        assert decoder.report.emitted > 0, path.name
    assert set(refused) == set(REFUSED)
    for name, message in refused.items():
        assert REFUSED[name] in message
        assert "\n" not in message


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_frames_are_counted_right(shared: Path, name: str) -> None:
    (path,) = (shared / "data").rglob(name)
    with Decoder(str(path), threads=1) as decoder:
        assert sum(1 for _ in decoder) == FRAMES[name]
    assert decoder.report.balanced


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("av1-1-b8-03-sizeup.mp4", 10), ("brokensps.mp4", 27), ("switch_frame.mp4", 2)],
)
def test_pictures_of_another_size_are_scaled_and_counted(
    shared: Path, name: str, sizes: int
) -> None:
    (path,) = (shared / "data").rglob(name)
    with Decoder(str(path)) as decoder:
        assert len({(frame.width, frame.height) for frame in decoder}) == 1
    assert decoder.report.rescaled == sizes


def test_fail_refuses_damaged_files_only(shared: Path) -> None:
    folder = shared / "data" / "odd"
    strict = DecodeConfig(on_error="fail")
    for name in ("damaged/corrupted.mp4", "damaged/demo.mp4", "damaged/op-partial.mp4"):
        with pytest.raises(InputError, match="damaged"), Decoder(str(folder / name), strict) as bad:
            list(bad)
    for name in ("pixel_formats/skating.avi", "edit_lists/mov-3elist.mp4"):
        with Decoder(str(folder / name), strict) as good:
            assert list(good)
