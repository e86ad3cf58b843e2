"""The machine's settings are read anywhere without privileges, and what may not be set is said."""

import os
import subprocess
import sys

import pytest

from nanotick.core import machine
from nanotick.core.machine import OFF, ON, REFUSED, UNKNOWN, Setting


def test_every_setting_has_a_state_and_a_reason() -> None:
    found = machine.settings()
    assert len({s.name for s in found}) == len(found) == 12
    for setting in found:
        assert setting.state in (ON, OFF, REFUSED, UNKNOWN) and setting.found
        assert setting.state not in (ON, UNKNOWN) or not setting.command


def test_a_system_that_tells_nothing_is_unknown_and_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "_text", lambda path: "")
    monkeypatch.setattr(machine, "_CPU", tmp_path)

    def forbidden() -> Setting:
        raise PermissionError("seccomp")

    monkeypatch.setattr(machine, "_SETTINGS", (*machine._SETTINGS, ("made up", forbidden)))
    found = {s.name: s for s in machine.settings()}
    assert found["made up"] == Setting("made up", UNKNOWN, "seccomp")
    for name in ("cpu governor", "cpu isolation", "huge pages", "locked memory", "swap", "clock source"):
        assert found[name].state == UNKNOWN, name


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_pinning_holds_for_children_and_a_processor_that_is_not_there_is_refused() -> None:
    before = os.sched_getaffinity(0)
    first = min(before)
    try:
        assert machine.pin({first}).state == ON
        assert os.sched_getaffinity(0) == {first}
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], capture_output=True, text=True
        )
        assert child.stdout.strip() == str({first})
    finally:
        os.sched_setaffinity(0, before)
    refused = machine.pin({4_000})
    assert refused.state == REFUSED and "4000" in refused.found


def test_memory_is_locked_only_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(machine, "has_capability", lambda number: False)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (8 << 20, 8 << 20))
    refused = machine.lock_memory()
    assert refused.state == REFUSED and "8192 KiB" in refused.found and "memlock" in refused.command


def test_lists_of_processors() -> None:
    assert machine.parse_cpus("0-2,5") == {0, 1, 2, 5}
    assert machine.parse_cpus("") == set()
    with pytest.raises(ValueError, match="found '1-x'"):
        machine.parse_cpus("1-x")
