"""What a machine does with a job: how fast, where the time goes, how much memory.

speed     each stage alone, all of them together, and what bounds them
roofline  the least time that a network can take on this machine
stages    which part of the program each thread is in
memory    the plan's prediction beside the peak of a run in a process of its own
ledger    what all tensors of a piece of work hold at its worst moment
clip      what all of them run on
page      the line above figures on a page: command, machine, versions, day
"""

from vrestore.bench.memory import MemoryResult
from vrestore.bench.memory import run as memory
from vrestore.bench.roofline import Roofline
from vrestore.bench.speed import BenchResult, StageTime
from vrestore.bench.speed import run as speed
from vrestore.bench.stages import PlaceTime, StagesResult
from vrestore.bench.stages import run as stages

__all__ = [
    "BenchResult",
    "MemoryResult",
    "PlaceTime",
    "Roofline",
    "StageTime",
    "StagesResult",
    "memory",
    "speed",
    "stages",
]
