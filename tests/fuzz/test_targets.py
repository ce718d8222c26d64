"""The fuzzer's targets without the fuzzer: their beginnings pass, and small damage ends well."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "fuzz_targets", Path(__file__).with_name("targets.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_targets"] = module
    spec.loader.exec_module(module)
    return module


TARGETS = _targets().TARGETS


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, doubled or taken away."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(4):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del made[at : at + chance.randint(1, 20)]
            case 2:
                made[at:at] = made[at : at + chance.randint(1, 20)] * chance.randint(1, 3)
            case _:
                made[at:at] = chance.choice((b"-", b"9" * 30, b"\xff", b"\0", b"e999", b"[", b"="))
    return bytes(made)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_ends_well_on_its_beginnings_and_near_them(name: str) -> None:
    target = TARGETS[name]
    chance = random.Random(name)
    for seed in target.seeds[:6]:
        target(seed)
        for _ in range(12):
            target(damaged(seed, chance))


@pytest.mark.parametrize("name", ["preset", "shots", "settings", "manifest", "models", "record"])
def test_depth_and_length_without_end_are_refused(name: str) -> None:
    target = TARGETS[name]
    target(b"schema = 1\nx = " + b"[" * 3000)
    target(b"[" * 100_000)
    target(b"schema = 1\nx = " + b"9" * 5000)
    target(b'{"a":' * 50_000)
