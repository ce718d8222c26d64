"""What is fuzzed: every parser of ours, what it may raise, and where a fuzzer begins.

A target takes bytes and must end: by itself, or by one of the errors that vrestore raises on
purpose.  Anything else is a defect.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from vrestore import preset, shotlist
from vrestore.errors import InputError, ModelError, OutputError, PresetError, VRestoreError
from vrestore.fieldplan import FieldsKnown
from vrestore.io import ebml
from vrestore.io.accounts import DecodeReport
from vrestore.io.cutoff import missing_bytes
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.dpx import parse_dpx_header
from vrestore.io.probe import probe
from vrestore.io.still import read_still
from vrestore.io.timestamps import parse_seconds
from vrestore.jobs.entries import (
    Beginning,
    Made,
    parse_beginning,
    parse_finishing,
    parse_made,
)
from vrestore.jobs.folder import JobFolder
from vrestore.jobs.journal import read_entries
from vrestore.jobs.segments import Segment
from vrestore.jobs.status import status_of
from vrestore.limits import printable
from vrestore.models import registry
from vrestore.models.single import ncnnfile
from vrestore.ops.cutlist import MarkCuts, parse_cuts
from vrestore.ops.fieldfound import FieldRun
from vrestore.ops.pulldown import PairRun
from vrestore.preset import Setting
from vrestore.review.embedded import parse_settings
from vrestore.review.page.account import record_page
from vrestore.review.page.markup import element, script_json
from vrestore.sections import HINTS
from vrestore.train.manifest import parse_manifest

ROOT = Path(__file__).resolve().parents[2]
SMALL = DecodeConfig(max_pixels=2**20)
MAGIC = ncnnfile.MAGIC.encode()


@dataclass(frozen=True)
class Target:
    """One parser."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()
    """What it may raise."""

    words: tuple[str, ...] = ()
    """A dictionary for the fuzzer."""

    length: int = 4096
    """Bytes of the longest input."""

    def __call__(self, data: bytes) -> None:
        """Runs it; returns where it ended as it may."""
        try:
            self.run(data)
        except self.errors:
            return


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def scratch(data: bytes, suffix: str) -> Path:
    """The bytes as a file in memory, one for each process."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    path = Path(folder) / f"vrestore-fuzz-{os.getpid()}{suffix}"
    path.write_bytes(data)
    return path


# -------------------------------------------------------------------------------- the parsers


def run_preset(data: bytes) -> None:
    made = preset.loads(text(data), "fuzzed")
    again = preset.loads(made.to_toml(), "fuzzed")
    assert list(again.settings()) == list(made.settings()) or _equal(again, made)


def _equal(a: preset.Preset, b: preset.Preset) -> bool:
    """The same values, wherever they came from."""
    return [(s.key, repr(s.value)) for s in a.settings()] == [
        (s.key, repr(s.value)) for s in b.settings()
    ]


def run_words(data: bytes) -> None:
    key, _, value = text(data).partition("=")
    preset.Preset(name="fuzzed").override_all([Setting(key=key, value=value, origin="--set")])


def run_shots(data: bytes) -> None:
    shots = shotlist.parse_shots(text(data))
    assert shotlist.parse_shots(shots.to_toml()) == shots


def run_cuts(data: bytes) -> None:
    MarkCuts(parse_cuts(text(data)))


def run_time(data: bytes) -> None:
    parse_seconds(text(data))


def run_settings(data: bytes) -> None:
    settings = parse_settings(text(data), "file.mkv")
    preset.loads(settings.toml, settings.preset)


def run_manifest(data: bytes) -> None:
    parse_manifest(text(data), "fuzzed")


def run_models(data: bytes) -> None:
    registry.parse_table(text(data))


def run_ncnn(data: bytes) -> None:
    described, _, numbers = data.partition(b"\0")
    scratch(numbers, ".bin")
    ncnnfile.read(scratch(described, ".param"))


def run_dpx(data: bytes) -> None:
    parse_dpx_header(data)


def run_ebml(data: bytes) -> None:
    ebml.write_display_aspect(scratch(data, ".mkv"), 720, 576, Fraction(64, 45))


def run_still(data: bytes) -> None:
    read_still(scratch(data, ".img"), max_pixels=2**20)


def run_y4m(data: bytes) -> None:
    info = probe(io.BytesIO(data), SMALL)
    with Decoder(io.BytesIO(data), SMALL, stream=info.video.stream.index, threads=1) as decoder:
        for number, frame in enumerate(decoder):
            assert frame.height and frame.width
            if number == 3:
                return


def run_journal(data: bytes) -> None:
    """As it is, and with the checksums that its lines should have; what a resuming run reads."""
    plain = scratch(data, ".journal")
    read_entries(plain)
    lines = (line + b"\n" for line in data.split(b"\n"))
    sound = b"".join(b"%08x %s" % (zlib.crc32(line), line) for line in lines)
    folder = plain.with_suffix(".job")
    folder.mkdir(exist_ok=True)
    (folder / "journal").write_bytes(sound)
    job, begun = JobFolder.look(folder)
    assert str(status_of(job, begun)) and len(job.todo) + len(job.made) == len(begun.segments)
    shotlist.parse_shots(begun.shots)
    preset.loads(begun.toml, begun.preset)
    DecodeReport(**dict(begun.decoded))


def run_entries(data: bytes) -> None:
    """One entry for each reader, past what a journal's checksums and order let through."""
    try:
        entry = json.loads(text(data))
    except (ValueError, RecursionError):
        return
    if not isinstance(entry, dict):
        return
    for parse in (parse_beginning, lambda entry: parse_made(entry, 2), parse_finishing):
        try:
            parse(entry)
        except ValueError:
            continue


def run_cutoff(data: bytes) -> None:
    assert missing_bytes(scratch(data, ".any")) >= 0


def run_printable(data: bytes) -> None:
    """Nothing that a terminal obeys, whatever a journal says; and nothing lost."""
    words = text(data)
    shown = printable(words)
    assert all(sign >= " " and not "\x7f" <= sign <= "\x9f" for sign in shown)
    assert len(shown) >= len(words)


def run_markup(data: bytes) -> None:
    """Whatever text there is: no markup of its own comes out, and no script ends early."""
    words = text(data)
    made = element("p", words, title=words)
    inner = made.removeprefix("<p ").removesuffix("</p>")
    assert inner.count("<") == 0 and inner.count(">") == 1
    script = script_json({words[:50]: words}, "data")
    assert script.count("<") == 2 and script.count("</script") == 1


def run_record(data: bytes) -> None:
    try:
        record = json.loads(text(data))
    except (ValueError, RecursionError):
        return
    if isinstance(record, dict):
        # Whatever is wrong with a record is turned into one sentence by the command.
        try:
            page = record_page(record)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return
        assert page.count("<script") == page.count("</script")


# ----------------------------------------------------------------------------------- beginnings


def _y4m() -> bytes:
    head = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\n"
    return head + b"".join(b"FRAME\n" + bytes([n]) * 384 for n in range(3))


def _stills() -> tuple[bytes, ...]:
    import numpy as np
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3))
    made = []
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA"):
        stream = io.BytesIO()
        tags = {"exif": exif.tobytes()} if kind in ("PNG", "JPEG", "WEBP") else {}
        picture.save(stream, kind, **tags)
        made.append(stream.getvalue())
    return tuple(made)


def _matroska() -> bytes:
    video = ebml.element(
        0xE0,
        ebml.uint(0xB0, 720)
        + ebml.uint(0x54B2, 0)
        + ebml.element(0x7670, ebml.real(0x7675, Fraction(180)) + bytes(24)),
    )
    tracks = ebml.element(0x1654AE6B, ebml.element(0xBF, bytes(4)) + ebml.element(0xAE, video))
    return ebml.element(0x1A45DFA3, b"") + ebml.element(0x18538067, tracks)


def _settings() -> bytes:
    shipped = preset.load("film-8mm")
    return json.dumps(
        {
            "schema": 1, "version": "0.1", "source": "a.mov", "source_bytes": 5, "model": "lite",
            "preset": "film-8mm", "toml": shipped.to_toml(), "sha256": None,
        }
    ).encode()  # fmt: skip


def _journal() -> bytes:
    """A job of two segments of which one is durable, without the checksums."""
    ranges = {"fed_from": 0, "fed_to": 9, "read_from": 0, "read_to": 9, "read_pts": 0}
    begun = Beginning(
        source="a.mkv", output="b.mkv", preset="plain", toml="schema = 1\n", overwrite=False,
        conditions={"source": "5 bytes"}, shots="schema = 1\n[[shot]]\nstart = 0\n",
        segments=(
            Segment(number=0, start=0, stop=5, renewal=False, next_from=2, **ranges),
            Segment(number=1, start=5, stop=9, renewal=True, next_from=9, **ranges),
        ),
        fields=FieldsKnown(
            runs=(FieldRun(0, 5, False, False), FieldRun(5, 0, True, True)), pairs=(PairRun(0, 4),)
        ),
        decoded=asdict(DecodeReport()), steady=True,
    )  # fmt: skip
    made = Made(
        number=0, bytes=0, packets=5, last_pts=4, reorder=1, extradata="0", frames=5, added=0,
        deinterlaced=0, shots=1, seconds=0.5,
        notes=({"stage": "dirt", "first": 0, "frames": 5, "values": {"a": 1.5},
                "curves": {"b": [0.5, 1]}},),
    )  # fmt: skip
    entries = (
        {"entry": "begin", "form": 1} | asdict(begun),
        {"entry": "segment"} | asdict(made),
        {"entry": "finishing", "bytes": 7},
    )
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def _entries() -> tuple[bytes, ...]:
    made = []
    for line in _journal().splitlines():
        entry = json.loads(line)
        del entry["entry"]
        entry.pop("form", None)
        made.append(json.dumps(entry).encode())
    return tuple(made)


def _containers() -> tuple[bytes, ...]:
    """Beginnings of Matroska, MP4, QuickTime and AVI files, whole and cut off."""
    box = b"\0\0\0\x10ftypisom\0\0\2\0"
    media = b"\0\0\0\x01mdat" + (40).to_bytes(8, "big") + bytes(24)
    riff = b"RIFF" + (20).to_bytes(4, "little") + b"AVI LIST" + bytes(12)
    whole = (_matroska(), box + media, b"\0\0\0\x08wide" + media, riff)
    return (*whole, *(data[:-5] for data in whole))


def _shipped(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.toml")))


_SHOTS = b"""schema = 1
[[shot]]
start = 0
deflicker.strength = 0.5
[[shot]]
time = 1.92
frames = 3
grain.y.power.3 = 0.25
grain.correlation.1 = -0.5
"""
_NCNN = (
    MAGIC + b"\n3 3\nInput in 0 1 data 0=3\nConvolution c 1 1 data a 0=1 1=1 5=1 6=3\n"
    b"PReLU p 1 1 a out 0=1\n\0" + bytes(4) + bytes(12) + bytes(4) + bytes(4)
)
_KEYS = tuple(HINTS)

TARGETS: dict[str, Target] = {
    "preset": Target(
        run_preset, _shipped(ROOT / "pipelines"), (PresetError,),
        ("schema = 1", "extends", "description", "[encode]", "none", "auto", *_KEYS),
    ),
    "words": Target(
        run_words, (b"size.scale=2", b"encode.options.a=b", b"streams.map=a,b"), (PresetError,),
        _KEYS,
    ),
    "shots": Target(run_shots, (_SHOTS,), (PresetError,), ("[[shot]]", "start", "time", *_KEYS)),
    "cuts": Target(
        run_cuts, (b"# frame\n0  0  1/25  0.0\n48\n1:02:03.04\n12.5\n",), (ValueError,)
    ),
    "time": Target(run_time, (b"1:02:03.04", b"12.5"), (ValueError,)),
    "settings": Target(run_settings, (_settings(),), (InputError, PresetError), length=16384),
    "manifest": Target(
        run_manifest, _shipped(ROOT / "vrestore" / "train" / "manifests"), (PresetError,)
    ),
    "models": Target(
        run_models, (registry.TABLE.read_bytes(),), (ModelError,), ("scales", "dtypes", "sha256")
    ),
    "ncnn": Target(run_ncnn, (_NCNN,), (ModelError,), ("Convolution", "PReLU", "Eltwise", "0=1")),
    "dpx": Target(run_dpx, (b"SDPX" + bytes(2044), b"XPDS" + bytes(range(256)) * 8)),
    "ebml": Target(run_ebml, (_matroska(),), (OutputError,)),
    "still": Target(run_still, _stills(), (InputError,)),
    "y4m": Target(run_y4m, (_y4m(),), (VRestoreError,), ("YUV4MPEG2 ", "FRAME", " C420p10")),
    "journal": Target(
        run_journal, (_journal(), b'{"a": [1, 2]}\n{"b'), (VRestoreError,),
        ("segments", "notes", "decoded", "conditions", "number", "../", "://"), length=8192,
    ),
    "entries": Target(
        run_entries, _entries(), (), ("segments", "notes", "decoded", "conditions", "curves"),
        length=8192,
    ),
    "cutoff": Target(
        run_cutoff, _containers(), (), ("ftyp", "moov", "mdat", "wide", "RIFF", "AVI ", "JUNK"),
    ),
    "printable": Target(run_printable, (b"a\x1b[2J\x9b31m\xe2\x80\xae.mkv", b"\r\n\x07\x7f")),
    "markup": Target(run_markup, (b"<b>&amp;\"'</script>", b"\xe2\x80\xa8\0")),
    "record": Target(run_record, (b'{"output": {"path": "a"}}',), length=16384),
}  # fmt: skip
