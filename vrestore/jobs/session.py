"""A connection to Ray, and what its cluster has room for."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vrestore.errors import PlanError
from vrestore.jobs.crew import Crew
from vrestore.planning import Plan

__all__ = ["is_taken", "room", "session"]

_STORE_BYTES = 512 * 2**20
"""Of Ray's shared memory for segments on their way, on this machine; larger ones go by disk."""


@contextlib.contextmanager
def session(crew: Crew, plan: Plan) -> Iterator[Any]:
    """Ray, connected; one of this machine alone ends with the block.

    A connection that the calling program has made itself is used as it is.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Without a GPU of Ray's own counting a worker must see all: it is told which one to use.
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray tells of workers' deaths on standard output, a page each; they are dealt with here.
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.ExitStack() as held,
    ):
        if not ray.is_initialized():
            held.callback(ray.shutdown)
            _connect(ray, crew, plan)
        yield ray


def _connect(ray: Any, crew: Crew, plan: Plan) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if crew.cluster is not None:
            ray.init(address=crew.cluster, **quiet)
        else:
            assert crew.count is not None
            # Ray gives way to all other programs, which one process without it would not.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(
                address="local",
                include_dashboard=False,
                num_cpus=crew.count * plan.threads.torch,
                num_gpus=0,
                object_store_memory=_STORE_BYTES,
                **quiet,
            )
    except SystemExit:  # What Ray makes of SIGTERM.
        raise KeyboardInterrupt from None
    except (OSError, RuntimeError, ValueError) as error:
        where = "here" if crew.cluster is None else f"at {crew.cluster}"
        raise PlanError(f"Ray cannot be reached or started {where}: {error}") from error
    finally:
        with contextlib.suppress(ValueError):  # Not in the main thread.
            signal.signal(signal.SIGTERM, handler)


def room(ray: Any, plan: Plan) -> int:
    """How many workers a cluster has room for when nobody else uses it, at least 1."""
    kind, each = _needed(plan)
    return max(1, int(ray.cluster_resources().get(kind, 0)) // each)


def is_taken(ray: Any, plan: Plan) -> bool:
    """Whether a worker would find room if other programs left."""
    kind, each = _needed(plan)
    sizes = [int(node["Resources"].get(kind, 0)) for node in ray.nodes() if node["Alive"]]
    free = int(ray.available_resources().get(kind, 0))
    # With more than this free, some machine has room, however it is spread over them.
    return max(sizes, default=0) >= each and free <= len(sizes) * (each - 1)


def _needed(plan: Plan) -> tuple[str, int]:
    """What a worker takes: Ray's name of the resource, and how many."""
    return ("CPU", plan.threads.torch) if plan.device.kind == "cpu" else ("GPU", 1)
