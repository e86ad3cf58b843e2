"""Executors: who runs the tasks of a study. This process, processes of this machine, or a Ray cluster.

An executor is given a job and its tasks and yields outcomes in the order in which they are done. A run that fails, or
takes its process with it, is one outcome with an error; the others go on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from nanotick.research.job import Job, Outcome, Task
from nanotick.research.worker import BROKEN, READY

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nanotick.research.worker import serve; "
    "serve(int(sys.argv[2]))"
)
_STOP_SECONDS = 2.0


class ExecutorError(RuntimeError):
    """A worker cannot begin: nothing can be run at all."""


class Executor(Protocol):
    """Runs the tasks of a job.

    Attributes
    ----------
    workers : int
        Tasks run at once.
    """

    workers: int

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of every task as it is done; closing the iterator stops what still runs.

        Raises
        ------
        ExecutorError
            No worker can open the job.
        """
        ...


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_executor(workers: int | None = None, ray: str | None = None) -> Executor:
    """The executor for a number of workers, or a Ray cluster.

    Parameters
    ----------
    workers : int, optional
        All processors by default (with Ray: all of the cluster's); 0: in this process, one after the other.
    ray : str, optional
        Address of a cluster, or `auto`: the running one, else one started on this machine.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers: expected 0 or more, found {workers}")
    if ray:
        from nanotick.research.ray_executor import RayCluster

        return RayCluster(ray, workers)
    if workers == 0:
        return InProcess()
    return LocalProcesses(workers or cores())


@dataclass
class InProcess:
    """One task after the other in this process: for debuggers, and for studies of a few runs."""

    workers: int = 1

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Run the tasks in order."""
        run = job.open()
        for task in tasks:
            yield run(task)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    ready: bool = False
    tasks: deque[Task] = field(default_factory=deque)


@dataclass
class LocalProcesses:
    """Processes of this machine.

    They are started afresh instead of forked: no lock or thread of this process is inherited, and the program that
    calls need not guard its main module. A worker has its next task before it is done with the last one.
    """

    workers: int

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Run the tasks, as many at once as there are workers."""
        waiting = deque(tasks)
        pool: dict[Connection[Any, Any], _Worker] = {}
        try:
            for _ in range(min(self.workers, len(waiting))):
                self._start(job, pool)
            while waiting or any(w.tasks for w in pool.values()):
                self._hand_out(waiting, pool)
                for connection in wait(list(pool)):
                    worker = pool[connection]  # type: ignore[index]
                    try:
                        kind, value, detail = worker.connection.recv()
                    except (EOFError, OSError):
                        yield from self._died(worker, pool, waiting)
                        if waiting:
                            self._start(job, pool)
                        continue
                    if kind == BROKEN:
                        raise ExecutorError(f"a worker cannot open the study: {value}") from RuntimeError(detail)
                    if kind == READY:
                        worker.ready = True
                        continue
                    worker.tasks.popleft()
                    self._hand_out(waiting, pool)
                    yield value
        finally:
            _stop(list(pool.values()))

    def _start(self, job: Job, pool: dict[Connection[Any, Any], _Worker]) -> None:
        ours, theirs = Pipe()
        path = json.dumps([p for p in sys.path if isinstance(p, str)])
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, path, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what a strategy's module prints must not get into our JSON
        )
        theirs.close()
        ours.send(job)
        pool[ours] = _Worker(process, ours)

    def _hand_out(self, waiting: deque[Task], pool: dict[Connection[Any, Any], _Worker]) -> None:
        """A task for every idle worker, then one in advance while there is more than enough for all."""
        for depth in (1, 2):
            for worker in pool.values():
                if not waiting or (depth == 2 and len(waiting) < len(pool)):
                    return
                if worker.ready and len(worker.tasks) < depth:
                    worker.tasks.append(waiting.popleft())
                    worker.connection.send(worker.tasks[-1])

    def _died(
        self, worker: _Worker, pool: dict[Connection[Any, Any], _Worker], waiting: deque[Task]
    ) -> Iterator[Outcome]:
        """Blame the task it was at; give the one it had in advance to somebody else."""
        del pool[worker.connection]
        code = worker.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if not worker.ready:
            raise ExecutorError(f"a worker ended before it could begin ({how})")
        if worker.tasks:
            task = worker.tasks.popleft()
            waiting.extendleft(reversed(worker.tasks))
            yield Outcome(task, error=f"the worker's process ended ({how})", worker=worker.process.pid)


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    for worker in workers:
        try:
            worker.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
