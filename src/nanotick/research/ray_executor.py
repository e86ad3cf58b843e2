"""The same tasks on a Ray cluster: an actor a worker, each opening the job once.

Paths of data and strategies must be the same on every machine of the cluster; nanotick must be installed there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from nanotick.research.executor import ExecutorError, cores
from nanotick.research.job import Job, Outcome, Task
from nanotick.research.tables import need

_PASSED_ON = ("NANOTICK_CACHE_DIR", "NANOTICK_INTERPRET", "NANOTICK_SHARED_DATA")


_TRIES = 3  # of a task whose worker ended: it may have been another task's doing


class _Actor:
    """A worker: an opened job."""

    def __init__(self, job: Job) -> None:
        self._run = job.open()

    def ready(self) -> int:
        """Answer once the job is open."""
        return os.getpid()

    def run(self, task: Task) -> Outcome:
        """Run one task."""
        return self._run(task)


class RayCluster:
    """Workers on a Ray cluster.

    Parameters
    ----------
    address : str
        As `ray.init` takes it (`host:port`, `ray://host:port`); `auto`: the running cluster, else one on this machine.
    workers : int, optional
        As many as the cluster has processors when left out.

    Raises
    ------
    ImportError
        Ray is not installed; the message says how to install it.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        self._ray = need("ray", "ray", "--ray")
        self._mine = not self._ray.is_initialized()
        if self._mine:
            self._connect(address, workers)
        found = int(self._ray.cluster_resources().get("CPU", 1))
        self.workers = workers or max(1, found)

    def _connect(self, address: str, workers: int | None) -> None:
        import sys

        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # where this process finds modules: the same places on a worker of this machine, none of any harm on another
        passed["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        options: dict[str, Any] = {
            "runtime_env": {"env_vars": passed}, "logging_level": "ERROR", "log_to_driver": False,
        }  # fmt: skip
        try:
            self._ray.init(address=address, **options)
        except ConnectionError:
            if address != "auto":
                raise ExecutorError(f"no Ray cluster answers at {address}; `ray start --head` begins one") from None
            self._start_here(workers or cores(), options)

    def _start_here(self, processors: int, options: dict[str, Any]) -> None:
        """Start a cluster on this machine; a busy one may miss Ray's half minute once."""
        for last in (False, True):
            try:
                self._ray.init(address="local", num_cpus=processors, include_dashboard=False, **options)
                return
            except Exception as error:  # Ray raises plain ones here
                self._ray.shutdown()
                if last:
                    raise ExecutorError(f"Ray does not start on this machine: {error}") from error

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Run the tasks, as many at once as there are workers."""
        ray = self._ray
        actor_class = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        shared = ray.put(job)
        waiting = deque(tasks)
        actors: list[Any] = []
        flying: dict[Any, tuple[Any, Task]] = {}
        tried: dict[int, int] = {}
        try:
            for _ in range(min(self.workers, len(waiting))):
                actors.append(actor_class.remote(shared))
            try:
                ray.get([actor.ready.remote() for actor in actors])
            except ray.exceptions.RayError as error:
                raise ExecutorError(f"a worker cannot open the study: {error}") from error
            for depth in (1, 2):  # the second one in advance, while there is more than enough for all
                for actor in actors:
                    if waiting and (depth == 1 or len(waiting) >= len(actors)):
                        task = waiting.popleft()
                        flying[actor.run.remote(task)] = (actor, task)
            while flying:
                [done], _ = ray.wait(list(flying), num_returns=1)
                actor, task = flying.pop(done)
                try:
                    outcome = ray.get(done)
                except ray.exceptions.RayError as error:
                    # whatever was in the actor's hands failed with it, the task that ended it and those behind
                    if actor in actors:
                        actors.remove(actor)
                        actors.append(actor_class.remote(shared))
                    tried[task.number] = tried.get(task.number, 0) + 1
                    actor = actors[-1]
                    if tried[task.number] < _TRIES:
                        flying[actor.run.remote(task)] = (actor, task)
                        continue
                    outcome = Outcome(task, error=f"the worker ended: {type(error).__name__}")
                if waiting:
                    following = waiting.popleft()
                    flying[actor.run.remote(following)] = (actor, following)
                yield outcome
        finally:
            for actor in actors:
                ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster, if this object joined it."""
        if self._mine:
            self._ray.shutdown()
