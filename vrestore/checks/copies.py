"""The streams beside the picture: nothing missing, nothing changed, nothing moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from vrestore.checks.expected import Expected
from vrestore.checks.verdict import Check, Outcome, checked, counted
from vrestore.io.inventory import (
    Inventory,
    Packets,
    attachments_of,
    decoded_digest,
    take_inventory,
)
from vrestore.io.streams import Handling, Route
from vrestore.io.trim import nearest
from vrestore.media import MediaInfo, StreamInfo, StreamKind

__all__ = ["copied_streams"]

_ALIASES = {"ger": "deu", "fre": "fra", "dut": "nld", "gre": "ell", "chi": "zho", "cze": "ces",
            "ice": "isl", "per": "fas", "rum": "ron", "slo": "slk", "alb": "sqi", "arm": "hye",
            "baq": "eus", "bur": "mya", "geo": "kat", "mac": "mkd", "mao": "mri", "may": "msa",
            "tib": "bod", "wel": "cym"}  # fmt: skip
"""ISO 639-2: bibliographic codes -> the terminological ones of the same languages."""

_WITHOUT_TAGS = frozenset({"mpegts"})
_TIMED = (StreamKind.AUDIO, StreamKind.SUBTITLE, StreamKind.VIDEO, StreamKind.DATA)
_NOTHING = 2
"""Bytes of a subtitle that shows nothing: QuickTime fills gaps with them."""

_FLAGS = ("forced", "comment", "hearing_impaired", "visual_impaired", "original")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A stream of the source that was taken along, and what became of it."""

    route: Route
    before: StreamInfo
    after: StreamInfo | None


def copied_streams(
    info: MediaInfo, inventory: Inventory, expected: Expected, shift: Fraction
) -> Iterator[Check]:
    """One check for each stream that was to be taken along.

    `shift` is by how much all times of the output are later than planned.
    """
    plan, source = expected.plan, expected.plan.info
    if plan.output is None or not plan.output.streams.routes:
        yield Check(name="streams", outcome=Outcome.OK, told="none was to be taken along")
        return
    routes = plan.output.streams.routes
    read = take_inventory(source.path, only=[route.index for route in routes])
    # A stream without a packet is none in some containers, and nothing is lost by that.
    empty = {index for index, packets in read.packets.items() if not len(packets)}
    for pair in _pairs(routes, source, info):
        name = f"{pair.before.kind.value} #{pair.before.index}"
        if pair.after is None:
            gone = pair.before.index in empty or _outside(read, pair.before.index, expected)
            yield Check(
                name=name,
                outcome=Outcome.NOTE if gone else Outcome.FAILED,
                told="has no packet in this part" if gone
                else f"{_described(pair.before)} of the source is missing",
            )  # fmt: skip
            continue
        failures = [
            *_properties(pair.before, pair.after, info.container),
            *_contents(pair, read, inventory, expected, shift, info.path),
        ]
        yield from checked(name, failures, _told(pair, inventory))
    yield from _attached(routes, source.path, info.path)


def _pairs(routes: Sequence[Route], source: MediaInfo, output: MediaInfo) -> Iterator[_Pair]:
    """Each timed stream of the source with its place in the output: the first left of its kind
    that has its language and codec, else its language, else any."""
    by_index = {stream.index: stream for stream in source.streams}
    left = [s for s in output.streams if s.index != output.video.stream.index]
    timed = [route for route in routes if route.kind in _TIMED]
    counts = {kind: sum(route.kind is kind for route in timed) for kind in _TIMED}
    for route in timed:
        before = by_index[route.index]
        same = [stream for stream in left if stream.kind is route.kind]
        complete = len(same) >= counts[route.kind]
        ranked = [
            [s for s in same if _language(s) == _language(before) and s.codec == before.codec],
            [s for s in same if _language(s) == _language(before) and _convertible(route)],
        ]
        # With all there, order decides: languages may be what was damaged.
        found = same[:1] if complete else next((each[:1] for each in ranked if each), [])
        counts[route.kind] -= 1
        if found:
            left.remove(found[0])
        yield _Pair(route=route, before=before, after=found[0] if found else None)


def _convertible(route: Route) -> bool:
    return route.handling is Handling.CONVERT


def _outside(read: Inventory, index: int, expected: Expected) -> bool:
    """Whether a stream has no packet in the part that was kept."""
    packets = read.packets.get(index)
    return packets is not None and not _kept(packets, expected, shown=True)


def _told(pair: _Pair, inventory: Inventory) -> str:
    assert pair.after is not None
    packets = inventory.packets.get(pair.after.index)
    count = 0 if packets is None else len(packets)
    how = "as text in another codec" if _convertible(pair.route) else "byte for byte"
    return f"{_described(pair.after)}: {counted(count, 'packet')}, {how}, in their places"


def _described(stream: StreamInfo) -> str:
    details = ", ".join(text for text in (stream.codec, stream.language, stream.title) if text)
    return f"{stream.kind.value} ({details})"


def _language(stream: StreamInfo) -> str | None:
    code = (stream.language or "").lower()
    return None if code in ("", "und") else _ALIASES.get(code, code)


def _properties(before: StreamInfo, after: StreamInfo, container: str) -> Iterator[str]:
    """What a stream says of itself."""
    language = _language(before)
    if language is not None and _language(after) != language:
        yield f"its language is {after.language or 'not given'} and was {before.language}"
    if container in _WITHOUT_TAGS:
        return
    if before.title and before.title not in after.metadata.values():
        yield f"its title is {after.title!r} and was {before.title!r}"
    if container == "matroska":
        for flag in _FLAGS:
            if flag in before.dispositions and flag not in after.dispositions:
                yield f"it is no longer marked as {flag.replace('_', ' ')}"


# ------------------------------------------------------------------------------------- packets


def _contents(
    pair: _Pair,
    read: Inventory,
    inventory: Inventory,
    expected: Expected,
    shift: Fraction,
    output: str,
) -> Iterator[str]:
    assert pair.after is not None
    before = read.packets[pair.before.index]
    after = inventory.packets[pair.after.index]
    kept = _kept(before, expected, shown=pair.before.kind is StreamKind.SUBTITLE)
    if _convertible(pair.route):
        yield from _events(before, kept, after, expected, shift)
        return
    wanted = [before.digests[place] for place in kept]
    if wanted == list(after.digests):
        yield from _moved(before, kept, after, expected, shift)
        return
    whole = expected.plan.span is None
    if whole and before.contents == after.contents:
        return  # The same bytes in other portions: the container's own, as for PCM.
    if whole and pair.before.kind in (StreamKind.AUDIO, StreamKind.VIDEO):
        digest = decoded_digest(expected.plan.info.path, pair.before.index)
        if digest is not None and digest == decoded_digest(output, pair.after.index):
            return  # Other packets, one result: the container's own framing, as of H.264.
    yield _difference(wanted, after, before, kept)


def _kept(packets: Packets, expected: Expected, *, shown: bool) -> list[int]:
    """Positions of the packets that lie in the part that was asked for.

    `shown` takes those along that begin before it and last into it.
    """
    span = expected.plan.span
    if span is None or not expected.times:
        return list(range(len(packets)))
    stop = span.stop
    if span.stop_with_picture:
        last = expected.times[-1].seconds
        step = last - expected.times[-2].seconds if len(expected.times) > 1 else Fraction(0)
        stop = last + step
    found = []
    for place in range(len(packets)):
        seconds = packets.seconds(place)
        if seconds is None or (stop is not None and seconds >= stop):
            continue
        end = seconds + packets.durations[place] * packets.time_base
        if seconds >= expected.origin or (shown and end > expected.origin):
            found.append(place)
    return found


def _difference(wanted: Sequence[int], after: Packets, before: Packets, kept: Sequence[int]) -> str:
    """One sentence that names the first packet that is not there or another one."""
    there = list(after.digests)
    place = next((n for n, (a, b) in enumerate(zip(wanted, there, strict=False)) if a != b), None)
    if place is None:
        if len(there) > len(wanted):
            return f"it has {len(there)} packets and {len(wanted)} were to be copied"
        place = len(there)
    time = before.seconds(kept[place])
    at = "" if time is None else f" of {float(time):.3f} s"
    missing = len(wanted) - len(there)
    if missing > 0:
        return f"{missing} of {len(wanted)} packets are missing, the first is that{at}"
    return f"packet {place}{at} has other contents than the source's"


def _moved(
    before: Packets, kept: Sequence[int], after: Packets, expected: Expected, shift: Fraction
) -> Iterator[str]:
    """The first packet whose time is not the source's."""
    tick, last = after.time_base, None
    for position, place in enumerate(kept):
        was, now = before.seconds(place), after.seconds(position)
        stood, last = last is not None and was is not None and was <= last, was
        if was is None or now is None or stood:
            continue  # Standing clocks of broken sources are moved on by a tick.
        # A subtitle that is shown across the cut begins with it.
        since = max(was - expected.origin, Fraction(0)) if expected.plan.span else was
        wanted = nearest((since + shift) / tick) * tick
        if abs(now - wanted) > tick:
            yield (
                f"packet {position} is at {float(now):.3f} s and should be at {float(wanted):.3f} s"
            )
            return


def _events(
    before: Packets, kept: Sequence[int], after: Packets, expected: Expected, shift: Fraction
) -> Iterator[str]:
    """Converted subtitles: every event begins when it did."""
    tick = after.time_base
    found = {after.pts[place] for place in range(len(after))}
    for place in kept:
        was = before.seconds(place)
        if was is None or before.sizes[place] <= _NOTHING:
            continue
        since = max(was - expected.origin, Fraction(0)) if expected.plan.span else was
        wanted = nearest((since + shift) / tick)
        if not {wanted - 1, wanted, wanted + 1} & found:
            yield f"the subtitle of {float(was):.3f} s is missing"
            return


# ----------------------------------------------------------------------------------- attachments


def _attached(routes: Sequence[Route], source: str, output: str) -> Iterator[Check]:
    """Fonts and covers, by name and contents."""
    kinds = (StreamKind.ATTACHMENT, StreamKind.COVER)
    wanted = [route for route in routes if route.kind in kinds]
    if not wanted:
        return
    before = attachments_of(source)
    left = list(attachments_of(output).values())
    failures = []
    for route in wanted:
        name, _, contents = before.get(route.index, ("", "", b""))
        match = [each for each in left if each[2] == contents and each[0] == name]
        match = match or [each for each in left if each[2] == contents]
        label = f"{route.kind.value} #{route.index} ({name or route.codec})"
        if not match:
            failures.append(f"{label} of the source is missing or has other contents")
            continue
        left.remove(match[0])
        if route.kind is StreamKind.ATTACHMENT and match[0][0] != name:
            failures.append(f"{label} is now called {match[0][0]!r}")
    yield from checked(
        "attached",
        failures,
        f"{counted(len(wanted), 'font or cover', 'fonts and covers')}, byte for byte",
    )
