"""What part of a source is asked for, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vrestore.io.timestamps import parse_seconds
from vrestore.limits import PICTURE_PIXELS, exact

__all__ = ["DecodeConfig", "Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConfig:
    """The `[input]` section of a preset."""

    on_error: str = "repeat"
    """What stands for a damaged picture: "repeat" the last good one, or "fail"."""

    video: int | None = None
    """Which video stream, counted from 0 without covers; None for the first with pictures."""

    fps: str | None = None
    """Pictures per second of an image sequence, such as "24" or "24000/1001"."""

    start_number: int | None = None
    """Number of the first picture of an image sequence; None for the lowest there is."""

    start: str | None = None
    """First time to show, seconds or [HH:]MM:SS[.fraction] after the first picture."""

    stop: str | None = None
    """First time no longer to show, like `start`."""

    seek: bool = True
    """Go straight to a late `start` where the container tells exactly where its pictures are.
    Frames are then numbered from there on."""

    frames: str | None = None
    """Pictures to show, "A:B" half-open, numbered from 0; either may be left out."""

    max_pixels: int = PICTURE_PIXELS
    """Width times height of the largest picture that is read; more is refused before it fills the
    memory."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_pixels < 2**31:
            raise ValueError(f"max_pixels must be in 1..{2**31 - 1}, got {self.max_pixels}")
        if self.on_error not in ("repeat", "fail"):
            raise ValueError(f'on_error must be "repeat" or "fail", got {self.on_error!r}')
        if self.video is not None and self.video < 0:
            raise ValueError(f"video must not be negative, got {self.video}")
        if self.start_number is not None and self.start_number < 0:
            raise ValueError(f"start_number must not be negative, got {self.start_number}")
        _ = self.rate, self.numbers
        first, end = self.times
        if end is not None and end <= first:
            raise ValueError(f"stop must be later than start, got {self.start} and {self.stop}")

    @property
    def rate(self) -> Fraction | None:
        """`fps` as a number."""
        if self.fps is None:
            return None
        try:
            rate = exact(self.fps)
        except ValueError:
            rate = Fraction(0)
        if rate <= 0:
            raise ValueError(f'fps must be a number such as "24000/1001", got {self.fps!r}')
        return rate

    @property
    def times(self) -> tuple[Fraction, Fraction | None]:
        """Seconds after the first picture to show, half-open."""
        first = Fraction(0) if self.start is None else parse_seconds(self.start)
        return first, None if self.stop is None else parse_seconds(self.stop)

    @property
    def numbers(self) -> tuple[int, int | None]:
        """Numbers of the pictures to show, half-open."""
        if self.frames is None:
            return 0, None
        first, colon, end = self.frames.partition(":")
        if not colon or not all(part.isascii() and part.isdigit() for part in (first, end) if part):
            raise ValueError(f'frames must be "A:B", got {self.frames!r}')
        low, high = int(first or 0), int(end) if end else None
        if high is not None and high <= low:
            raise ValueError(f"frames must not be empty, got {self.frames!r}")
        return low, high


class Selection:
    """Counts pictures and says which are wanted."""

    def __init__(self, config: DecodeConfig, origin: Fraction | None = None) -> None:
        """`origin` is the time of the source's first picture, None where that is the next one."""
        self._times = config.times
        self._numbers = config.numbers
        self._origin = origin
        self.number = 0
        """Of the picture that is asked for next."""
        self.finished = False
        """No later picture will be wanted."""

    def begin(self, seconds: Fraction) -> None:
        """The time of a picture that is read and neither asked for nor counted."""
        if self._origin is None:
            self._origin = seconds

    def takes(self, seconds: Fraction) -> bool:
        """Whether the next picture, shown at `seconds`, is wanted."""
        number, self.number = self.number, self.number + 1
        self.begin(seconds)
        assert self._origin is not None
        since = seconds - self._origin
        (start, stop), (low, high) = self._times, self._numbers
        self.finished = (stop is not None and since >= stop) or (
            high is not None and number >= high - 1
        )
        past = (stop is not None and since >= stop) or (high is not None and number >= high)
        return since >= start and number >= low and not past
