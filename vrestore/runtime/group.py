"""A nursery for threads: starts them, cancels all when one fails, joins all, raises the original.

    with StageGroup() as group:
        sender, receiver = group.channel(4, "left > right")
        group.start("left", run_source, source, sender, meter)
        for item in receiver: ...

What holds when the block has been left, however it was left: every thread has ended, every channel
is finished or cancelled, and the exception (if any) is the first failure, the very object that was
raised, with its own traceback.
"""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from vrestore.runtime.channel import Broken, Cancelled, Receiver, Sender, open_channel
from vrestore.runtime.posix import LONGEST_WAIT_SECONDS

__all__ = ["StageGroup"]

T = TypeVar("T")
P = ParamSpec("P")


class StageGroup:
    """Threads and channels that live and die together.  Used once, by the thread that made it.

    Failures are kept in the order in which they happened.  The first is raised.  Others that are
    independent of it (raised by a stage at work, not by one being cancelled) join it in an
    ExceptionGroup, first one first.  KeyboardInterrupt and other exits are raised alone, and never
    displace an earlier failure.  `Cancelled` and `Broken` are consequences and are not shown.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._channels: list[Sender[Any]] = []
        self._failures: list[BaseException] = []
        self._remarks: list[str] = []
        self._cancelled = False
        # One entry for each thread that ended (None) and each interrupt.  A SimpleQueue, because
        # its `put` may run in a signal handler that interrupted any code, this class included.
        self._events: SimpleQueue[BaseException | None] = SimpleQueue()
        self._ended = 0

    def channel(self, capacity: int, name: str) -> tuple[Sender[T], Receiver[T]]:
        """A new channel that is cancelled with the group."""
        ends: tuple[Sender[T], Receiver[T]] = open_channel(capacity, name)
        self._channels.append(ends[0])
        if self._cancelled:
            ends[0].cancel()
        return ends

    def start(
        self, name: str, body: Callable[P, None], *args: P.args, **kwargs: P.kwargs
    ) -> threading.Thread:
        """Run `body` in a thread of its own, named `name`."""

        def run() -> None:
            try:
                body(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 (raised by the group's own thread)
                self.cancel(error)
            finally:
                self._events.put(None)

        thread = threading.Thread(target=run, name=name, daemon=False)
        self._threads.append(thread)
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:
                self._threads.remove(thread)
            raise
        return thread

    def cancel(self, error: BaseException) -> None:
        """End everything because of `error`, which the group raises.  From any thread."""
        if isinstance(error, Broken | Cancelled):
            self._remarks.extend(getattr(error, "__notes__", ()))
            # Broken with nothing cancelled is nobody's consequence, but a mistake to be seen.
            if isinstance(error, Broken) and not self._cancelled:
                self._failures.append(error)
        elif not any(error is known for known in self._failures):
            self._failures.append(error)
        self._cancelled = True
        for channel in tuple(self._channels):
            channel.cancel()

    def wait(self, observe: Callable[[], None] | None = None, every_seconds: float = 0.25) -> None:
        """Block until every thread has ended; raises nothing of theirs.

        `observe` is called in this thread, about `every_seconds`.
        """
        next_look = monotonic() + every_seconds
        while self._ended < len(self._threads):
            timeout = LONGEST_WAIT_SECONDS
            if observe is not None:
                until_look = max(0.0, next_look - monotonic())
                timeout = until_look if timeout is None else min(timeout, until_look)
            with suppress(Empty):
                self._note(self._events.get(timeout=timeout))
            if observe is not None and monotonic() >= next_look:
                observe()
                next_look = monotonic() + every_seconds

    def _note(self, event: BaseException | None) -> None:
        if event is None:
            self._ended += 1
        else:
            self.cancel(event)

    @contextmanager
    def interrupts_as_events(self, ask: Callable[[], bool] | None = None) -> Iterator[None]:
        """Within, Ctrl-C cancels the group in `wait` instead of being raised anywhere at all.

        KeyboardInterrupt between any two instructions could leave a lock taken or a thread unseen.
        `ask` is called first, inside the signal handler: where it says True, the group goes on.
        SIGTERM is the same where it raises KeyboardInterrupt too.  Does nothing outside the main
        thread, or where the program has a handler of its own.
        """
        mine = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if threading.current_thread() is threading.main_thread()
            and signal.getsignal(number) is signal.default_int_handler
        ]

        def handle(*_: object) -> None:
            if ask is None or not ask():
                self._events.put(KeyboardInterrupt())

        for number in mine:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, signal.default_int_handler)

    def end_with_program(self) -> None:
        """Cancel when the main thread ends with the group still open.

        For a group in a suspended generator, whose block nobody may ever leave: Python joins all
        threads before it clears what the program's variables hold, and would wait for ever.
        """
        this = weakref.ref(self)

        def end() -> None:
            group = this()
            if group is not None:
                group.cancel(GeneratorExit())

        # Not public, but the one hook that runs before that join; concurrent.futures uses it too.
        register: Callable[[Callable[[], None]], None] | None
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            register(end)

    def __enter__(self) -> StageGroup:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.interrupts_as_events():
            if exc is not None:
                self.cancel(exc)
            self.wait()
            for thread in self._threads:
                thread.join()
            while not self._events.empty():
                self._note(self._events.get())
        error = self._outcome()
        self._failures.clear()
        try:
            if error is not None and error is not exc:
                _raise_as_it_was(error)
        finally:
            # The traceback holds this frame: a cycle would keep the failed stage's frames alive.
            del error, exc, traceback

    def _outcome(self) -> BaseException | None:
        """The one exception that tells what happened."""
        if not self._failures:
            return None
        first, *others = self._failures
        for remark in self._remarks:
            first.add_note(remark)
        independent = [other for other in others if isinstance(other, Exception)]
        if independent and isinstance(first, Exception):
            return ExceptionGroup(f"{1 + len(independent)} stages failed", [first, *independent])
        for other in independent:
            first.add_note(f"while stopping: {other!r}")
        return first


def _raise_as_it_was(error: BaseException) -> None:
    """Raise without the context that raising it here would give it."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context
