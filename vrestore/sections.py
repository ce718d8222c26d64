"""The sections of a preset and their keys, collected from the dataclasses that own them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, get_type_hints

from vrestore import setting_type
from vrestore.errors import PresetError
from vrestore.io.decode import DecodeConfig
from vrestore.io.deinterlace import DeinterlaceConfig
from vrestore.io.encode import EncodeConfig
from vrestore.io.streams import StreamsConfig
from vrestore.models.restorer import RestoreConfig
from vrestore.ops.color import ColorConfig
from vrestore.ops.cuts import CutsConfig
from vrestore.ops.deflicker import DeflickerConfig
from vrestore.ops.dirt import DirtConfig
from vrestore.ops.duplicates import DuplicatesConfig
from vrestore.ops.fading import FadingConfig
from vrestore.ops.fidelity import FidelityConfig
from vrestore.ops.grain import GrainConfig
from vrestore.ops.matching import IvtcConfig
from vrestore.ops.scratches import ScratchesConfig
from vrestore.ops.size import SizeConfig
from vrestore.ops.stabilise import StabiliseConfig
from vrestore.ops.tape import TapeConfig
from vrestore.runtime.device import RunConfig

__all__ = ["HINTS", "SECTIONS", "default", "nearest", "resolve"]

SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "input": DecodeConfig,
        "color": ColorConfig,
        "cuts": CutsConfig,
        "deinterlace": DeinterlaceConfig,
        "ivtc": IvtcConfig,
        "duplicates": DuplicatesConfig,
        "stabilise": StabiliseConfig,
        "deflicker": DeflickerConfig,
        "fading": FadingConfig,
        "tape": TapeConfig,
        "dirt": DirtConfig,
        "scratches": ScratchesConfig,
        "restore": RestoreConfig,
        "size": SizeConfig,
        "fidelity": FidelityConfig,
        "grain": GrainConfig,
        "encode": EncodeConfig,
        "streams": StreamsConfig,
        "run": RunConfig,
    }
)
"""Section name -> its dataclass, in the order of the data's way through the program."""

HINTS: Mapping[str, Any] = MappingProxyType(
    {
        f"{section}.{name}": hint
        for section, config in SECTIONS.items()
        for name, hint in get_type_hints(config).items()
    }
)
"""`section.field` -> its declared type, in the order of sections and fields."""


def resolve(key: str, origin: str) -> tuple[str, str | None]:
    """A key as (`section.field`, entry of a table or None).

    Raises PresetError, beginning with `origin`, that names the nearest legal key.
    """
    if key in HINTS:
        return key, None
    section, _, name = key.partition(".")
    field_name, _, entry = name.partition(".")
    table = f"{section}.{field_name}"
    if entry and table in HINTS and setting_type.is_table(HINTS[table]):
        return table, entry
    if section in SECTIONS:
        siblings = [known for known in HINTS if known.startswith(f"{section}.")]
        match = difflib.get_close_matches(f"{section}.{name}", siblings, n=1, cutoff=0.5)
        hint = f"; did you mean {match[0]!r}?" if match else ""
        hint = hint or f"; [{section}] has {', '.join(k.split('.')[1] for k in siblings)}"
    else:
        hint = nearest(key, HINTS) or f"; sections are {', '.join(SECTIONS)}"
    raise PresetError(f"{origin}: unknown key {key!r}{hint}")


def default(key: str) -> object:
    """What a key is where nothing sets it."""
    section, name = key.split(".")
    return getattr(SECTIONS[section](), name)


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a mistyped word, or nothing where nothing is like it."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
