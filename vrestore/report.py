"""What a run has done, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass

from vrestore.io.decode import DecodeReport
from vrestore.io.deinterlace import FieldReport
from vrestore.notes import ShotNote
from vrestore.ops.fieldmatch import MatchReport
from vrestore.planning import Plan
from vrestore.review.witness import Sighting
from vrestore.runtime.pool import PoolStats
from vrestore.runtime.stats import PipelineStats
from vrestore.shortage import SHORTAGE

__all__ = ["Report"]

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The facts of a finished run."""

    plan: Plan
    decoded: DecodeReport
    """What became of everything the source held."""

    frames: int
    """Frames written: `decoded.emitted`, with `fields.added` and without `matched.dropped`, or the
    run would have failed."""

    fields: FieldReport | None
    """None where nothing was to be deinterlaced."""

    matched: MatchReport | None = None
    """None where no fields were to be matched."""

    shots: int
    notes: tuple[ShotNote, ...] = ()
    """What the stages did, shot by shot."""

    sightings: tuple[Sighting, ...] = ()
    """Moments in which most was repaired, with their masks."""

    stats: PipelineStats | None
    """None for a still."""

    pool: PoolStats | None
    peak_rss_bytes: int | None
    """Of the whole process."""

    @property
    def _added(self) -> int:
        return 0 if self.fields is None else self.fields.added

    @property
    def _dropped(self) -> int:
        return 0 if self.matched is None else self.matched.dropped

    @property
    def facts(self) -> dict[str, object]:
        """Plain values, for JSON."""
        decoded = self.decoded
        seconds = None if self.stats is None else self.stats.elapsed_seconds
        return {
            "output": self.plan.path,
            "frames_in": decoded.decoded,
            "frames_out": self.frames,
            "repeated": decoded.repeated,
            "corrupt": decoded.corrupt_pictures + decoded.corrupt_packets,
            "dropped": dict(decoded.dropped),
            "lost": decoded.lost,
            "repaired_pts": decoded.repaired_pts,
            "rescaled": decoded.rescaled,
            "truncated": decoded.truncated,
            "deinterlaced": 0 if self.fields is None else self.fields.deinterlaced,
            "second_fields": self._added,
            "repeats_left_out": self._dropped,
            "accounted": decoded.balanced
            and decoded.emitted + self._added - self._dropped == self.frames,
            "shots": self.shots,
            "elapsed_seconds": seconds,
            "fps": self.frames / seconds if seconds else None,
            "expected_bytes": self.plan.memory.total,
            "peak_rss_bytes": self.peak_rss_bytes,
            "out_of_memory_retries": self._shortages,
            "losses": [str(loss) for loss in self.plan.losses],
        }

    @property
    def _shortages(self) -> int:
        """How often a frame was done again in smaller parts because memory ran out."""
        return sum(key.startswith(SHORTAGE) for note in self.notes for key in note.values)

    @property
    def _deinterlaced(self) -> dict[str, int]:
        """The map from frames to pictures, in words."""
        fields = self.fields
        if fields is None:
            return {}
        made = "1 -> 2 fields" if fields.rate == 2 else "1 -> 1"
        return {
            f"deinterlaced, {made}": fields.deinterlaced,
            "not interlaced, passed as they were": fields.frames - fields.deinterlaced,
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the source even where nothing else is."""
        if self.decoded.truncated is None:
            return ()
        return (f"the source ends early: {self.decoded.truncated}",)

    def __str__(self) -> str:
        decoded = self.decoded
        lines = [f"{self.plan.path}: {self.frames} frames, {self.shots} shots"]
        if self.plan.output is None:
            width, height = self.plan.size.output
            lines = [f"{self.plan.path}: {width}x{height}"]
        if self.stats is not None:
            elapsed = self.stats.elapsed_seconds
            lines[0] += f", {elapsed:.1f} s, {self.frames / elapsed:.1f} fps"
        if self.peak_rss_bytes is not None:
            lines[0] += (
                f", peak {self.peak_rss_bytes // _MIB} MiB "
                f"(expected {self.plan.memory.total // _MIB})"
            )
        explained = {
            "decoded pictures": decoded.decoded if decoded.decoded != self.frames else 0,
            "repeats of pulldown left out": self._dropped,
            **self._deinterlaced,
            "inserted for pictures that were lost": decoded.inserted,
            "replaced because damaged": decoded.replaced,
            "times memory ran out and a frame was done again in narrower bands": self._shortages,
            "lost with nothing before them to repeat": decoded.lost,
            "times repaired": decoded.repaired_pts,
            "brought to the first picture's size": decoded.rescaled,
            **{f"dropped: {reason}": count for reason, count in decoded.dropped.items()},
        }
        lines += [f"  {count} {what}" for what, count in explained.items() if count]
        lines += [f"  {warning}" for warning in self.warnings]
        return "\n".join(lines)
