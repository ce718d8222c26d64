"""Segments made by workers on two simulated machines: the file of a plain run, byte for byte."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vrestore
from tests.jobs.conftest import SEGMENTS, SETTINGS, Run
from vrestore.errors import DeviceError, PlanError, StoppedError
from vrestore.jobs.folder import JobFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = {"run.segment_seconds": 0.12}
"""19 segments: every worker gets several, 16 of them begin at renewal points."""


class Nodes:
    of: Any
    """The cluster, for tests that change it."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two nodes with three processors; this process is connected to it."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the extra [cluster]")
    # Read when it is imported.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ |= token | {"RAY_USAGE_STATS_ENABLED": "0"}
    import ray
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2} | store)
    try:
        nodes.add_node(num_cpus=1, object_store_memory=store["object_store_memory"])
        ray.init(address=nodes.address, log_to_driver=False, configure_logging=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Nodes, "of", nodes, raising=False)
            yield nodes.address
    finally:
        ray.shutdown()
        nodes.shutdown()
        for name in token:
            del os.environ[name]


@pytest.fixture(scope="module")
def plain(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain") / "out.mkv"
    vrestore.restore(str(clip), str(output), preset="plain", overrides=SETTINGS | SHORT)
    return output


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_makes_the_same_file(
    run: Run, cluster: str, plain: Path, tmp_path: Path, workers: int
) -> None:
    output = tmp_path / "out.mkv"
    told: list[vrestore.Progress] = []
    report = run(output, SHORT, workers=workers, cluster=cluster, observer=told.append)
    assert output.read_bytes() == plain.read_bytes()
    assert (report.frames, report.shots, report.facts["accounted"]) == (50, 3, True)
    names = [[s.name for s in progress.stages if "worker" in s.name] for progress in told]
    assert max(map(len, names)) == workers
    assert told[-1].frames_done <= 50 == told[-1].frames_total
    assert list(tmp_path.iterdir()) == [output]


def test_a_worker_that_is_killed_costs_nothing_but_its_segment(
    run: Run, cluster: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrestore.jobs import cluster as jobs

    pids: list[int] = []
    killed: list[int] = []
    welcome, keep = jobs._Foreman._welcome, jobs._Foreman._keep

    def welcomed(self, hand, said):
        pids.append(said.pid)
        welcome(self, hand, said)

    def kept(self, said):
        keep(self, said)
        if not killed:
            killed.append(pids[-1])
            os.kill(pids[-1], signal.SIGKILL)

    monkeypatch.setattr(jobs._Foreman, "_welcome", welcomed)
    monkeypatch.setattr(jobs._Foreman, "_keep", kept)
    output = tmp_path / "out.mkv"
    run(output, SHORT, workers=1, cluster=cluster)
    assert len(killed) == 1 and len(set(pids)) == 2, "another took its place"
    assert output.read_bytes() == plain.read_bytes()


def test_a_device_that_is_lost_costs_a_worker_and_not_the_run(
    run: Run, cluster: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU to lose is here: a worker's first segment is taken for its word that it lost one."""
    from vrestore.jobs import cluster as jobs

    lost: list[object] = []
    take = jobs._Foreman._take

    def taken(self, hand, said):
        if isinstance(said, jobs.Delivered) and not lost:
            lost.append(said)
            said = jobs.Failed(error=DeviceError("cuda:0 failed or was lost"))
        take(self, hand, said)

    monkeypatch.setattr(jobs._Foreman, "_take", taken)
    output = tmp_path / "out.mkv"
    run(output, SHORT, workers=1, cluster=cluster)
    assert lost and output.read_bytes() == plain.read_bytes()
    lost.clear()
    monkeypatch.setattr(jobs, "_MOST_DEATHS", 1)
    with pytest.raises(DeviceError, match="cuda:0 failed or was lost"):
        run(tmp_path / "other.mkv", SHORT, workers=1, cluster=cluster)


def test_a_run_goes_on_with_and_without_workers(
    run: Run, interrupted, cluster: str, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    interrupted(output, 12, settings=SHORT)
    before = len(JobFolder.look(tmp_path / "out.mkv.job")[0].made)
    assert before
    report = run(output, SHORT, workers=2, cluster=cluster)
    assert report.frames == 50
    assert output.read_bytes() == plain.read_bytes()


def test_a_link_in_the_folder_leads_nowhere(
    run: Run, interrupted, cluster: str, plain: Path, tmp_path: Path
) -> None:
    output, treasure = tmp_path / "out.mkv", tmp_path / "treasure"
    interrupted(output, 12, settings=SHORT)
    part = tmp_path / "out.mkv.job" / "segment.part"
    part.unlink(missing_ok=True)
    treasure.write_bytes(b"mine")
    part.symlink_to(treasure)
    run(output, SHORT, workers=1, cluster=cluster)
    assert treasure.read_bytes() == b"mine"
    assert output.read_bytes() == plain.read_bytes()


SLOWLY = """
import sys, time
from vrestore.jobs import cluster
from vrestore.cli import main

keep = cluster._Foreman._keep

def slowly(self, said):
    keep(self, said)
    time.sleep(0.2)

cluster._Foreman._keep = slowly
sys.exit(main(sys.argv[1:]))
"""


def start(
    clip: Path, output: Path, cluster: str, root: Path, *, workers: int = 1
) -> subprocess.Popen[str]:
    words = [
        "run", str(clip), "-o", str(output), "-Z", "plain", "--cluster", cluster,
        "--workers", str(workers), "--keep-job", "--progress", "none",
    ]  # fmt: skip
    for key, value in (SETTINGS | SHORT).items():
        words += ["--set", f"{key}={value}"]
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words],
        cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_killed_or_stopped_is_gone_on_with(
    run: Run, clip: Path, cluster: str, plain: Path, tmp_path: Path, root: Path,
    number: signal.Signals,
) -> None:  # fmt: skip
    output, job = tmp_path / "out.mkv", tmp_path / "out.mkv.job"
    process = start(clip, output, cluster, root)
    deadline = time.monotonic() + 120
    # The second, so that the first is in the journal too.
    while not (job / "000001.packets").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    made = len(JobFolder.look(job)[0].made)
    if number is signal.SIGTERM:
        assert process.returncode == 5, err
        assert f"{made} of " in err and out == ""
    assert made >= 1 and not output.exists()
    run(output, SHORT)
    # What a file says of its making holds its settings: those of both runs are the same.
    assert output.read_bytes() == plain.read_bytes()


# --------------------------------------------------------------------------- sources that are sent


@pytest.fixture
def unseen(clip: Path, tmp_path: Path) -> Iterator[Path]:
    """The clip by a name that leads to it in this process alone."""
    number = os.open(clip, os.O_RDONLY)
    os.dup2(number, 500, inheritable=False)
    os.close(number)
    link = tmp_path / "only-here.mkv"
    link.symlink_to("/proc/self/fd/500")
    try:
        yield link
    finally:
        os.close(500)


def plain_of(source: Path) -> Path:
    """The source restored by one process; a file tells its source's name."""
    output = source.with_name("plain.mkv")
    vrestore.restore(str(source), str(output), preset="plain", overrides=SETTINGS | SHORT)
    return output


def sent() -> set[Path]:
    """Sources that lie in this machine's folder for temporary files."""
    return set(Path(tempfile.gettempdir()).glob("vrestore-source-*"))


def test_workers_that_do_not_see_the_source_get_it_and_make_the_same_file(
    run: Run, cluster: str, unseen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from vrestore.jobs import cluster as jobs
    from vrestore.jobs import sending

    lacking: list[str] = []
    kept: list[set[Path]] = []
    send_to, keep = jobs._Foreman._send_to, jobs._Foreman._keep

    def told(self, hand, machine):
        lacking.append(machine)
        send_to(self, hand, machine)

    def looked(self, said):
        kept.append(sent())
        keep(self, said)

    monkeypatch.setattr(sending, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(jobs._Foreman, "_send_to", told)
    monkeypatch.setattr(jobs._Foreman, "_keep", looked)
    before, output = sent(), tmp_path / "out.mkv"
    run(output, SHORT, source=unseen, workers=3, cluster=cluster)
    assert output.read_bytes() == plain_of(unseen).read_bytes()
    assert (len(lacking), len(set(lacking))) == (3, 2), "three workers, two machines"
    assert len(set().union(*kept) - before) == 2, "once to each machine"
    assert sent() == before, "nothing stays"


def test_a_source_lost_on_its_way_is_sent_again(
    run: Run, cluster: str, unseen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import ray

    from vrestore.jobs import sending

    lost: list[object] = []
    go_on = sending.Shipment.go_on

    def losing(self, arrived, said):
        go_on(self, arrived, said)
        if not lost:
            lost.append(said)
            ray.kill(self._keeper)

    monkeypatch.setattr(sending, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(sending.Shipment, "go_on", losing)
    before, output = sent(), tmp_path / "out.mkv"
    run(output, SHORT, source=unseen, workers=1, cluster=cluster)
    assert lost and output.read_bytes() == plain_of(unseen).read_bytes()
    assert sent() == before, "what the first keeper left is gone too"


def test_another_source_by_the_same_name_is_refused(
    run: Run, cluster: str, unseen: Path, clip: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from vrestore.jobs import sending

    def altered(files):
        for name, at, piece in pieces(files):
            yield name, at, piece[:-1] + bytes([piece[-1] ^ 1])

    pieces = sending._pieces
    monkeypatch.setattr(sending, "_pieces", altered)
    with pytest.raises(DeviceError, match="a worker does not fit to this job: source was "):
        run(tmp_path / "out.mkv", SHORT, source=unseen, workers=1, cluster=cluster)
    assert not list(tmp_path.glob("out*"))


# ------------------------------------------------------------------------------- several films


def test_films_share_a_cluster(
    clip: Path, cluster: str, plain: Path, tmp_path: Path, root: Path
) -> None:
    outputs = [tmp_path / f"{number}" / "out.mkv" for number in range(2)]
    runs = []
    for output in outputs:
        output.parent.mkdir()
        # Each would take the whole cluster.
        runs.append(start(clip, output, cluster, root, workers=3))
    for process, output in zip(runs, outputs, strict=True):
        _, err = process.communicate(timeout=250)
        assert process.returncode == 0, err
        assert output.read_bytes() == plain.read_bytes()


def occupied(folder: Path, seconds: float) -> list[Any]:
    """Other programs that have the whole cluster for a while."""
    import ray

    def idle(number: int) -> None:
        (folder / f"other{number}").touch()
        time.sleep(seconds)

    others = [ray.remote(num_cpus=1)(idle).remote(number) for number in range(3)]
    while len(list(folder.glob("other*"))) < 3:
        time.sleep(0.1)
    return others


def test_a_film_waits_for_a_cluster_that_others_have_taken(
    run: Run, cluster: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrestore.jobs import cluster as jobs

    taken: list[bool] = []
    is_taken = jobs.is_taken

    def looked(ray, plan):
        taken.append(is_taken(ray, plan))
        return True  # A worker's start, once there is room, takes longer than the patience here.

    monkeypatch.setattr(jobs, "_PATIENCE_FOR_WORKERS", 0.5)
    occupied(tmp_path, seconds=6)
    output = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "is_taken", looked)
        run(output, SHORT, workers=1, cluster=cluster)
    assert any(taken) and output.read_bytes() == plain.read_bytes()
    with pytest.raises(DeviceError, match="the cluster has no room for one"):
        run(tmp_path / "large.mkv", SHORT | {"run.threads": 3}, workers=1, cluster=cluster)


# ------------------------------------------------------------------------------- other devices


def test_devices_of_different_kinds_are_alike_to_50_db_and_the_report_says_how_much(
    run: Run, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor held to its oldest instructions is another kind of device."""
    import ray

    from vrestore.jobs import trial

    network = SHORT | {"restore.model": "lite", "encode.encoder": "ffv1"}
    run(tmp_path / "plain.mkv", network)
    others = occupied(tmp_path, seconds=120)
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    node = Nodes.of.add_node(num_cpus=1, object_store_memory=80 * 2**20, env_vars=old)
    try:
        output = tmp_path / "out.mkv"
        with pytest.raises(DeviceError, match=r"device was cpu \(AVX.*and is cpu \(DEFAULT\)"):
            run(output, network, workers=1, cluster=cluster)
        report = run(output, network, workers=1, cluster=cluster, allow_mixed=True)
        with monkeypatch.context() as patch, pytest.raises(DeviceError, match="200 are wanted"):
            patch.setattr("vrestore.jobs.cluster.LEAST_DB", 200.0)
            run(tmp_path / "x.mkv", network, workers=1, cluster=cluster, allow_mixed=True)
    finally:
        for other in others:
            ray.cancel(other, force=True)
        Nodes.of.remove_node(node)
    assert re.search(r"cpu \(DEFAULT\), (\d\d\d?\.\d dB alike|equal)", report.plan.notes[-1])
    made, wanted = (pictures(tmp_path / name) for name in ("out.mkv", "plain.mkv"))
    assert trial.alike(made, wanted, depth=8) >= 50


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


# ------------------------------------------------------------------------------- what is refused


def test_workers_of_another_kind_are_refused_by_name(
    run: Run, interrupted, cluster: str, plain: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from vrestore.jobs import run as running

    working = running.conditions
    monkeypatch.setattr(running, "conditions", lambda plan: working(plan) | {"device": "cpu (Z80)"})
    output = tmp_path / "out.mkv"
    interrupted(output, 12, settings=SHORT)
    told = r"device was cpu \(Z80\) and is cpu .*--allow-mixed.* segments are kept"
    with pytest.raises(DeviceError, match=told):
        run(output, SHORT, workers=1, cluster=cluster)
    report = run(output, SHORT, workers=1, cluster=cluster, allow_mixed=True)
    assert report.plan.notes[-1].startswith("segments were made on devices of different kinds: cpu")
    assert output.read_bytes() == plain.read_bytes()


def test_workers_that_keep_dying_end_the_run(
    run: Run, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrestore.jobs import cluster as jobs

    welcome = jobs._Foreman._welcome

    def welcomed(self, hand, said):
        welcome(self, hand, said)
        os.kill(said.pid, signal.SIGKILL)

    monkeypatch.setattr(jobs._Foreman, "_welcome", welcomed)
    monkeypatch.setattr(jobs, "_MOST_DEATHS", 2)
    with pytest.raises(DeviceError, match="2 workers ended in segment 0"):
        run(tmp_path / "out.mkv", SHORT, workers=1, cluster=cluster)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_stops_resumably(
    run: Run, cluster: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrestore.jobs import cluster as jobs

    sizes = iter([2**40] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "free_bytes", lambda _: next(sizes, 2**20))
        with pytest.raises(StoppedError, match=r"full.*3 of \d+ segments are kept"):
            run(tmp_path / "out.mkv", SHORT, workers=1, cluster=cluster)
    run(tmp_path / "out.mkv", SHORT)
    assert (tmp_path / "out.mkv").read_bytes() == plain.read_bytes()


def test_what_does_not_fit_together_is_one_sentence(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(PlanError, match="--cluster needs --threads"):
        run(output, {"run.threads": None}, cluster="127.0.0.1:1")
    with pytest.raises(PlanError, match="--allow-mixed is about workers"):
        run(output, allow_mixed=True)
    with pytest.raises(PlanError, match="at least 1"):
        run(output, workers=0)


def test_without_ray_workers_are_refused_with_the_way_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PlanError, match=r"pip install 'vrestore\[cluster\]'"):
        run(tmp_path / "out.mkv", workers=2)
    assert not list(tmp_path.iterdir())
    assert SEGMENTS > 1
