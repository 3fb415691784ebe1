"""The same units on a Dask cluster: a real scheduler and workers in processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from lossproof.conformance import Request, run
from lossproof.conformance.running.cluster import ClusterError, run_on_cluster
from lossproof.conformance.running.selection import selected_units

pytest.importorskip("distributed", reason="needs Dask: pip install 'lossproof[cluster]'")

CHECKS = ("values.hard_targets", "values.log_z", "values.z_loss", "shapes.mismatch")
ONLY = tuple(f"{name}[token-float32]" for name in CHECKS)
LEVEL = "smoke"


@contextlib.contextmanager
def started(*words):
    """A process of Dask's, killed at the end."""
    command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def cluster(folder, workers=2, options=()):
    """The address of a scheduler with workers, and the processes."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(
            started("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        )
        while not file.is_file() or not file.read_text("utf-8"):
            assert scheduler.poll() is None, "the scheduler ended"
            time.sleep(0.05)
        words = ("--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
        spawned = [stack.enter_context(started("dask_worker", *words, *options)) for _ in range(workers)]
        yield json.loads(file.read_text("utf-8"))["address"], scheduler, spawned


def units():
    return {unit.id: unit.check.clauses for unit in selected_units(ONLY, LEVEL)}


def on_cluster(address, target="lossproof", resources=(), progress=None, wanted=None):
    found = []

    def note(result):
        found.append(result)
        if progress:
            progress(result)

    run_on_cluster(Request(target, LEVEL, only=ONLY), wanted or units(), note, address, resources)
    return found


def await_workers(address, count):
    """Returns when so many workers have come."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.mark.thorough
def test_a_cluster_gives_the_same_results(tmp_path):
    """Fails when where a unit runs changes what comes of it."""
    local = run(Request("lossproof", LEVEL, only=ONLY, workers=1), lambda _: None)
    with cluster(tmp_path) as (address, _, _):
        await_workers(address, 2)
        found = on_cluster(address)
    assert sorted(found, key=lambda r: r.unit) == sorted(local, key=lambda r: r.unit)


@pytest.mark.thorough
def test_a_killed_worker_loses_nothing_and_nothing_is_counted_twice(tmp_path):
    """Fails when the units of a worker that dies are lost, or come twice."""
    with cluster(tmp_path) as (address, _, workers):
        await_workers(address, 2)
        killed = threading.Event()

        def kill(_):
            if not killed.is_set():
                killed.set()
                os.killpg(workers[0].pid, signal.SIGKILL)

        found = on_cluster(address, progress=kill)
    assert killed.is_set()
    assert sorted(result.unit for result in found) == sorted(units())
    assert {result.verdict for result in found} == {"pass"}


@pytest.mark.thorough
def test_a_lost_scheduler_ends_the_run_and_keeps_what_came(tmp_path):
    """Fails when the command waits for ever for a scheduler that has gone."""
    found = []
    with cluster(tmp_path) as (address, scheduler, _):
        await_workers(address, 2)

        def kill(result):
            found.append(result.unit)
            if len(found) == 2:
                os.killpg(scheduler.pid, signal.SIGKILL)

        with pytest.raises(ClusterError, match="lost the scheduler"):
            on_cluster(address, progress=kill)
    assert 2 <= len(found) < len(units()) and len(set(found)) == len(found)


@pytest.mark.thorough
def test_units_go_where_the_resource_is(tmp_path):
    """Fails when a unit that needs a GPU is given to a worker without one, or waits for ever where there is none."""
    with cluster(tmp_path, workers=1, options=("--resources", "GPU=1")) as (address, _, _):
        await_workers(address, 1)
        one = dict(list(units().items())[:1])
        assert [result.verdict for result in on_cluster(address, resources=["GPU"], wanted=one)] == ["pass"]
        with pytest.raises(ClusterError, match="no worker with the resource TPU"):
            on_cluster(address, resources=["TPU"])


def test_no_scheduler_is_said_in_one_line(check, monkeypatch):
    """Fails when a wrong address gives a stack trace, or no end."""
    monkeypatch.setattr("lossproof.conformance.running.cluster._CONNECT", "1 s")
    answer = check("lossproof", "--scheduler", "tcp://127.0.0.1:9", only=["VALUE-8"])
    assert answer.exit_code == 3, answer.output
    assert "no scheduler answers at tcp://127.0.0.1:9" in answer.stderr and "Traceback" not in answer.output


@pytest.mark.thorough
def test_a_target_that_dies_has_an_error(tmp_path, loss_file):
    """Fails when a target that kills its worker ends the run, or is tried for ever."""
    options = ("--nanny", "--death-timeout", "60")
    with cluster(tmp_path, workers=1, options=options) as (address, _, _):
        await_workers(address, 1)
        name = "values.hard_targets[token-float32]"
        (result,) = on_cluster(address, target=loss_file("dies"), wanted={name: ("VALUE-1",)})
    assert (result.verdict, result.broken) == ("error", ("VALUE-1",))
