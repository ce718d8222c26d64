"""Values as JSON."""

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from vrestore.json_form import to_json
from vrestore.media import ColorSpec, Matrix, StreamKind


@dataclass(frozen=True)
class Thing:
    rate: Fraction
    kind: StreamKind
    color: ColorSpec
    options: Any = field(default_factory=lambda: MappingProxyType({"a": (1, 2.5, None, True)}))
    picture: Any = field(default=b"opaque", repr=False)


def test_a_dataclass_becomes_an_object_of_plain_values():
    thing = Thing(Fraction(24000, 1001), StreamKind.VIDEO, ColorSpec(matrix=Matrix.BT709))
    read = json.loads(to_json(thing))
    assert read == {
        "rate": "24000/1001",
        "kind": "video",
        "color": {
            "matrix": "bt709",
            "primaries": "unspecified",
            "transfer": "unspecified",
            "range": "unspecified",
            "chroma_location": "unspecified",
        },
        "options": {"a": [1, 2.5, None, True]},
    }


def test_text_keeps_its_letters_and_bytes_become_hexadecimal():
    assert to_json("Größe") == '"Größe"'
    assert json.loads(to_json({"raw": b"\x00\xff"})) == {"raw": "00ff"}


def test_what_has_no_form_of_its_own_is_written_as_text():
    assert json.loads(to_json([PurePosixPath("a/b")])) == ["a/b"]
