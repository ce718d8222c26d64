"""Which workers a job is given to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from vrestore.errors import PlanError
from vrestore.runtime.device import RunConfig, list_devices
from vrestore.runtime.posix import usable_cores

__all__ = ["Crew", "crew_of", "require_ray", "threads_each"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Processes that make segments; on this machine, or on those of a Ray cluster."""

    count: int | None = None
    """Of workers; None: as many as the cluster has room for."""

    devices: Sequence[str] = ("auto",)
    """Of the workers, in turn."""

    cluster: str | None = None
    """Address of a Ray cluster that is there already; None: this machine alone."""

    allow_mixed: bool = False
    """Devices of different kinds may work on one job."""


def crew_of(
    run: RunConfig, *, workers: int | None, cluster: str | None, allow_mixed: bool
) -> Crew | None:
    """What was asked for; None where one process does it all.

    Raises PlanError where it does not fit together.
    """
    several = len(run.devices) > 1
    if workers is None and cluster is None and not several:
        if allow_mixed:
            raise PlanError("--allow-mixed is about workers: give --workers, -g 0,1 or --cluster")
        return None
    if workers is not None and workers < 1:
        raise PlanError(f"--workers must be at least 1, got {workers}")
    if cluster is not None and several:
        raise PlanError("--cluster gives each worker a device itself: -g cuda, or none")
    if workers is not None and workers < len(run.devices):
        raise PlanError(f"--workers {workers} is less than the devices of -g {run.device}")
    if workers is None and cluster is None:
        # The settings of a job to go on with may be anybody's: they start no more than fits here.
        most = max(usable_cores(), len(list_devices()))
        if len(run.devices) > most:
            raise PlanError(
                f"{len(run.devices)} devices are named, and this machine has room for {most} "
                "workers; --workers says that more are wanted"
            )
        workers = len(run.devices)
    return Crew(count=workers, devices=run.devices, cluster=cluster, allow_mixed=allow_mixed)


def require_ray() -> None:
    """Raises PlanError where workers cannot be had because Ray is not installed."""
    if find_spec("ray") is None:
        raise PlanError("workers need Ray, which is not installed: pip install 'vrestore[cluster]'")


def threads_each(crew: Crew) -> int:
    """Threads of a worker where nobody says.

    Raises PlanError for a cluster, whose machines differ: threads are part of what is made.
    """
    if crew.cluster is not None or crew.count is None:
        raise PlanError(
            "--cluster needs --threads N: how many threads each worker uses, which the result "
            "depends on"
        )
    return max(1, usable_cores() // crew.count)
