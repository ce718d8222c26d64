"""Memory, cores, disks and locks of the machine that runs the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vrestore.runtime.posix import (
    MemoryMeter,
    free_bytes,
    fsync_dir,
    fsync_file,
    lock_file,
    physical_memory_bytes,
    usable_cores,
)

pytestmark = pytest.mark.timeout(60)

TUNED = ("GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")

linux = pytest.mark.skipif(sys.platform != "linux", reason="measures as only Linux can")


def python(root: Path, code: str, **environment: str) -> str:
    # A test that calls the command line in this process has tuned this process's environment.
    inherited = {k: v for k, v in os.environ.items() if k not in TUNED}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, **environment},
    )
    return done.stdout.strip()


MEASURE = """
import resource
from vrestore.runtime.posix import MemoryMeter, tune_process
if {tune}:
    tune_process()
import torch
torch.set_num_threads(1)
def work():
    for mib in (3, 24, 60):
        x = torch.ones(mib << 18)
        y = x + 1
        del x, y
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults, MemoryMeter().peak_bytes, MemoryMeter().current_bytes)
"""


def huge_pages_on_request() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.is_file() and "[madvise]" in setting.read_text()


@linux
@pytest.mark.skipif(not huge_pages_on_request(), reason="huge pages are always or never given here")
def test_tuning_saves_page_faults_and_costs_no_peak_memory(root: Path) -> None:
    plain = [int(word) for word in python(root, MEASURE.format(tune=False)).split()]
    tuned = [int(word) for word in python(root, MEASURE.format(tune=True)).split()]
    assert tuned[0] < plain[0] / 4
    assert tuned[1] < plain[1] * 1.05
    assert tuned[2] < plain[2] * 1.05


@linux
@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_MMAP_THRESHOLD_": "1000000"}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}],
)
def test_tuning_leaves_alone_what_the_user_has_set(root: Path, environment: dict[str, str]) -> None:
    code = (
        "import os; from vrestore.runtime.posix import tune_process as tune;"
        "print(tune(), os.environ['THP_MEM_ALLOC_ENABLE'])"
    )
    assert python(root, code, **environment, THP_MEM_ALLOC_ENABLE="0") == "False 0"


@linux
def test_the_meter_follows_memory_up_and_remembers_the_peak() -> None:
    meter = MemoryMeter()
    before = meter.current_bytes
    assert before is not None
    block = bytearray(64 << 20)
    during = meter.current_bytes
    assert during is not None
    assert during - before > 60 << 20
    del block
    after, peak = meter.current_bytes, meter.peak_bytes
    assert after is not None
    assert peak is not None
    assert during - after > 60 << 20
    assert peak >= during - (1 << 20)


@linux
def test_the_peak_is_not_inherited_from_a_large_parent(root: Path) -> None:
    block = bytearray(300 << 20)
    code = "from vrestore.runtime.posix import MemoryMeter; print(MemoryMeter().peak_bytes)"
    assert int(python(root, code)) < len(block)


def test_the_machine_has_cores_and_memory() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    memory = physical_memory_bytes()
    assert memory is None or memory > 100 << 20


@linux
def test_the_affinity_mask_limits_the_cores(root: Path) -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from vrestore.runtime.posix import usable_cores; print(usable_cores())"
    )
    assert python(root, code) == "1"


def test_free_space_is_told_for_what_is_not_there_yet(tmp_path: Path) -> None:
    there = free_bytes(tmp_path)
    later = free_bytes(tmp_path / "not" / "yet" / "out.mkv")
    assert there > 0
    assert abs(there - later) < 1 << 30


def test_files_and_directories_can_be_synced(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"entry")
    fsync_file(path)
    fsync_dir(tmp_path)
    assert path.read_bytes() == b"entry"


def test_syncing_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fsync_file(tmp_path / "missing")
    if sys.platform != "win32":
        with pytest.raises(FileNotFoundError):
            fsync_dir(tmp_path / "missing")


def test_a_lock_keeps_others_out_until_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "job.lock"
    held = pytest.raises(BlockingIOError, match="locked by another process")
    with lock_file(path), held, lock_file(path):
        raise AssertionError("entered twice")
    with lock_file(path):
        assert path.exists()


def test_a_lock_does_not_touch_the_contents(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"entry")
    with lock_file(path):
        assert path.read_bytes() == b"entry"
    assert path.read_bytes() == b"entry"


def test_a_lock_is_freed_when_its_process_is_killed(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "job.lock"
    code = (
        "import sys; from vrestore.runtime.posix import lock_file\n"
        "with lock_file(sys.argv[1]):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError), lock_file(path):
            raise AssertionError("entered while another process holds it")
        holder.kill()
        holder.wait()
        with lock_file(path):
            assert path.exists()
