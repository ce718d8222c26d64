"""Options of encoders that name files: statistics, tables, reports that they read or write."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["options_of_files"]

_NAMES_FILE = frozenset({
    # FFmpeg's own, and of its wrappers
    "passlogfile", "stats", "vstats-file",
    # x264
    "cqmfile", "qpfile", "tcfile-in", "tcfile-out", "dump-yuv", "opencl-clbin",
    # x265
    "analysis-reuse-file", "analysis-save", "analysis-load", "csv", "lambda-file",
    "dolby-vision-rpu", "dhdr10-info", "zonefile", "scaling-list", "recon", "nalu-file",
    "film-grain", "aom-film-grain", "dither-file", "log-file",
    # SVT-AV1
    "stat-file", "qp-file", "fgs-table", "roi-map-file", "pred-struct-file", "errlog",
})  # fmt: skip
"""Lower case, words joined by dashes."""


def options_of_files(options: Mapping[str, str]) -> list[str]:
    """Those of an encoder's options, and of the parameters within them, that name a file.

    `options` is `encode.options`: an entry such as `x265-params` holds `key=value` pairs divided
    by colons.
    """
    found = []
    for key, value in options.items():
        pairs = [(key, value)]
        if key.endswith(("params", "opts")):
            pairs += [(name, given) for name, _, given in map(_parted, value.split(":"))]
        for name, given in pairs:
            plain = name.strip().lower().replace("_", "-")
            # One word is a file's name to one encoder and a strength to another (film-grain).
            if plain in _NAMES_FILE and not given.strip().isdecimal():
                found.append(name.strip())
    return found


def _parted(pair: str) -> tuple[str, str, str]:
    return pair.partition("=")
