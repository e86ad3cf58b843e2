"""Executors: every task once, whatever dies; nothing left running."""

import os
import time

import pytest

from nanotick.research.executor import ExecutorError, InProcess, LocalProcesses, cores, make_executor
from nanotick.research.job import Task
from tests.research.studies import Echo, Unopenable, needs_ray


def tasks_of(*settings):
    return [Task(number, tuple(s.items())) for number, s in enumerate(settings)]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def cluster():
    from nanotick.research.ray_executor import RayCluster

    made = RayCluster("auto", 2)
    yield made
    made.close()


EXECUTORS = [lambda request: InProcess(), lambda request: LocalProcesses(2)]


@pytest.mark.parametrize("make", EXECUTORS, ids=["in-process", "processes"])
def test_every_task_is_done_once(make, request):
    tasks = tasks_of(*({"value": i} for i in range(23)))
    found = list(make(request).run(Echo(), tasks))
    assert sorted(o.task.number for o in found) == list(range(23))
    assert all(o.statistics["value"] == dict(o.task.settings)["value"] for o in found)


def test_work_is_shared_between_processes():
    found = list(LocalProcesses(2).run(Echo(), tasks_of(*({"value": i} for i in range(40)))))
    pids = {o.worker for o in found}
    assert len(pids) <= 2 and os.getpid() not in pids
    assert not any(alive(pid) for pid in pids)


def test_a_worker_that_dies_costs_its_own_run_only():
    tasks = tasks_of({"value": 1}, {"die": 7}, {"value": 2}, {"die": 9}, {"value": 3}, {"value": 4})
    found = {o.task.number: o for o in LocalProcesses(2).run(Echo(), tasks)}
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert [found[n].error for n in (0, 2, 4, 5)] == [""] * 4
    assert "exit code 7" in found[1].error and "exit code 9" in found[3].error


def test_closing_stops_the_workers():
    runs = LocalProcesses(2).run(Echo(), tasks_of(*({"value": i} for i in range(50))))
    pid = next(runs).worker
    runs.close()
    for _ in range(50):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid)


def test_a_study_that_cannot_be_opened_is_said_once():
    with pytest.raises(ExecutorError, match="the data is gone"):
        list(LocalProcesses(2).run(Unopenable(), tasks_of({}, {})))


def test_executors_by_number():
    assert isinstance(make_executor(0), InProcess)
    assert make_executor(3).workers == 3
    assert make_executor().workers == cores()
    with pytest.raises(ValueError, match="0 or more"):
        make_executor(-1)


@needs_ray
def test_the_same_on_ray(cluster):
    tasks = tasks_of(*({"value": i} for i in range(9)), {"die": 1})
    found = {o.task.number: o for o in cluster.run(Echo(), tasks)}
    assert sorted(found) == list(range(10))
    assert [found[n].statistics.get("value") for n in range(9)] == [float(n) for n in range(9)]
    assert "worker ended" in found[9].error
    assert os.getpid() not in {found[n].worker for n in range(9)}


@needs_ray
def test_a_study_that_cannot_be_opened_is_said_once_on_ray(cluster):
    with pytest.raises(ExecutorError, match="the data is gone"):
        list(cluster.run(Unopenable(), tasks_of({}, {})))
