"""The same units on a Dask cluster: `lossproof check --scheduler ADDRESS`.

Workers need this version of lossproof, and the target under the same name, importable there.
"""

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lossproof.conformance.judging.result import ERROR, Result
from lossproof.conformance.running._recorder import DIED, Progress
from lossproof.conformance.running.guard import Guard
from lossproof.conformance.running.request import Request
from lossproof.conformance.suite.units import all_units, run_unit

_CONNECT = "15 s"


class ClusterError(Exception):
    """The scheduler cannot be reached, or was lost; the message says what to do."""


def run_on_cluster(
    request: Request,
    units: Mapping[str, tuple[str, ...]],
    progress: Progress,
    address: str,
    resources: Iterable[str],
    stop: Callable[[Result], bool] = lambda _: False,
) -> None:
    """Runs units on the workers of a scheduler.

    A unit whose worker is lost is run again elsewhere; one that loses several workers has an error.

    Args:
      request: what to run; `workers` and `memory` are the cluster's own affair. A unit that takes longer than its time
        costs its worker, and after Dask's `allowed-failures` has an error.
      units: the ids, with their clauses.
      progress: called with each result as it comes.
      address: of the scheduler.
      resources: names of Dask resources of which each unit takes one, such as GPU.
      stop: whether a result ends the run; the units that are left are given up.

    Raises:
      ClusterError: no scheduler there, no fitting worker, or the scheduler was lost; what came before was reported.
    """
    try:
        import distributed
        from distributed.comm.core import CommClosedError
    except ModuleNotFoundError as error:
        raise ClusterError("--scheduler needs Dask: pip install 'lossproof[cluster]'") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it prints stack traces of what is reported here
    try:
        client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler answers at {address}: start one with `dask scheduler`") from error
    needed = dict.fromkeys(resources, 1.0)
    try:
        _refuse_unfit(client, needed, address)
        name = uuid.uuid4().hex  # so that no other run's results are taken for this one's
        asked = {"pure": False, "resources": needed or None}
        futures = {client.submit(_work, request, unit, key=f"lossproof-{name}-{unit}", **asked): unit for unit in units}
        left = set(units)
        for future in distributed.as_completed(futures, loop=client.loop):
            unit = futures[future]
            if future.status == "finished":
                result = Result.from_json(future.result())
            elif isinstance(future.exception(), distributed.KilledWorker):
                result = Result(unit, units[unit], ERROR, DIED, units[unit])
            else:
                break  # cancelled: the scheduler has gone
            progress(result)
            left.discard(unit)
            if stop(result):
                client.cancel(list(futures))
                return
        if left:
            raise ClusterError(f"lost the scheduler at {address} with {len(left)} units to go")
    except (OSError, CommClosedError) as error:
        raise ClusterError(f"lost the scheduler at {address}: {error}") from error
    finally:
        client.close(timeout=1)


def _refuse_unfit(client: Any, needed: Mapping[str, float], address: str) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not any(set(needed) <= set(worker["resources"]) for worker in workers):
        kind = f" with the resource {', '.join(needed)}" if needed else ""
        raise ClusterError(f"the scheduler at {address} has no worker{kind}: start one with `dask worker {address}`")
    here = version("lossproof")
    others = {there for there in client.run(version, "lossproof").values() if there != here}
    if others:
        raise ClusterError(f"workers have lossproof {', '.join(sorted(others))}, but this is {here}: install the same")


_one_at_a_time = threading.Lock()  # a worker may have several threads, but a target is asked by one
_targets: dict[tuple[str, str], Any] = {}
_guards: dict[float, Guard] = {}


def _work(request: Request, name: str) -> dict[str, Any]:
    """A unit, on a worker."""
    from lossproof.conformance.targets import load_target, parse_convention
    from lossproof.reference.bounds import profile

    with _one_at_a_time:
        key = request.target, request.convention
        if key not in _targets:
            _targets[key] = load_target(request.target, parse_convention(request.convention))
        if request.seconds not in _guards:
            _guards[request.seconds] = Guard(request.seconds, float("inf"), Path(os.devnull))
        (unit,) = (unit for unit in all_units() if unit.id == name)
        with _guards[request.seconds].watching(name):
            return run_unit(unit, _targets[key], request.level, request.seed, profile(request.profile)).to_json()
