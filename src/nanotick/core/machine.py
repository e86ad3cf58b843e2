"""The machine's settings that cost or save microseconds: what they are, and the command that would change each.

Everything is read without privileges, from /proc, /sys and by trying; what cannot be read (another system, a container
that hides it) is `unknown`, never an error. `pin`, `set_realtime` and `lock_memory` change the calling process, or say
what forbids it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ON, OFF, REFUSED, UNKNOWN = "on", "off", "refused", "unknown"
_CPU = Path("/sys/devices/system/cpu")
_LOCK_CURRENT, _LOCK_FUTURE, _LOCK_ON_FAULT = 1, 2, 4
_SO_BUSY_POLL = 46
_BUFFER = 8 << 20
_UNSYNCHRONISED = 0x40
REALTIME_PRIORITY = 50
_LIMITS = "/etc/security/limits.d/nanotick.conf"
_CLOCK_BAR_US = 50_000  # FINRA 4590 and CAT: 50 ms


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes
    ----------
    name : str
    state : str
        `on` (as trading wants it), `off`, `refused` (off, and this process may not change it) or `unknown`.
    found : str
    command : str
        What would turn it on; empty when there is nothing to do or nothing that can be done from here.
    """

    name: str
    state: str
    found: str
    command: str = ""


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _status(field: str) -> str:
    for line in _text("/proc/self/status").splitlines():
        if line.startswith(field + ":"):
            return line.partition(":")[2].strip()
    return ""


def has_capability(number: int) -> bool:
    """Whether the process holds a Linux capability (14 CAP_IPC_LOCK, 23 CAP_SYS_NICE)."""
    return bool(int(_status("CapEff") or "0", 16) >> number & 1)


def parse_cpus(text: str) -> set[int]:
    """Processors of a list as Linux writes them.

    >>> sorted(parse_cpus("0-2,5"))
    [0, 1, 2, 5]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first:
            continue
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError(f"processors: expected numbers and ranges such as 2,4-7, found {text!r}")
        found.update(range(int(first), int(last or first) + 1))
    return found


def format_cpus(cpus: Iterable[int]) -> str:
    """Inverse of `parse_cpus`.

    >>> format_cpus({0, 1, 2, 5})
    '0-2,5'
    """
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _governor() -> Setting:
    found = sorted({_text(p) for p in sorted(_CPU.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""})
    if not found:
        return Setting("cpu governor", UNKNOWN, "no frequency control here (a virtual machine decides for itself)")
    if found == ["performance"]:
        return Setting("cpu governor", ON, "performance")
    return Setting("cpu governor", OFF, ", ".join(found), "sudo cpupower frequency-set -g performance")


def _isolation() -> Setting:
    isolated, ticks = _text(_CPU / "isolated"), _text(_CPU / "nohz_full").replace("(null)", "")
    if not (_CPU / "isolated").exists():
        return Setting("cpu isolation", UNKNOWN, "not told by this system")
    if isolated:
        return Setting("cpu isolation", ON, f"isolated {isolated}, without ticks {ticks or 'none'}")
    count = os.cpu_count() or 1
    if count < 4:
        return Setting("cpu isolation", OFF, f"none, and {count} processors are too few to set some apart")
    last = f"{count - 2}-{count - 1}"
    wanted = f"isolcpus={last} nohz_full={last} rcu_nocbs={last}"
    return Setting("cpu isolation", OFF, "none", f"add to the kernel's command line and restart: {wanted}")


def _pinning() -> Setting:
    if not hasattr(os, "sched_getaffinity"):
        return Setting("pinning", UNKNOWN, "this system pins no processes")
    ours, online = os.sched_getaffinity(0), parse_cpus(_text(_CPU / "online"))
    found = f"on processors {format_cpus(ours)} of {format_cpus(online) or 'unknown'}"
    if len(ours) < len(online):
        return Setting("pinning", ON, found)
    isolated = _text(_CPU / "isolated") or format_cpus(sorted(ours)[-1:])
    return Setting("pinning", OFF, found, f"nanotick tune --apply --cpus {isolated} -- COMMAND")


def _realtime() -> Setting:
    if not hasattr(os, "sched_getscheduler"):
        return Setting("real-time class", UNKNOWN, "not on this system")
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        return Setting("real-time class", ON, f"priority {os.sched_getparam(0).sched_priority}")
    if _may_realtime():
        return Setting("real-time class", OFF, "allowed", "nanotick tune --apply --realtime -- COMMAND")
    return Setting(
        "real-time class", REFUSED, "needs CAP_SYS_NICE or an rtprio limit",
        f"echo '{_user()} - rtprio {REALTIME_PRIORITY}' | sudo tee -a {_LIMITS}, then log in again",
    )  # fmt: skip


def _user() -> str:
    return os.environ.get("USER") or "USER"


def _may_realtime() -> bool:
    import resource

    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0] if hasattr(resource, "RLIMIT_RTPRIO") else 0
    return has_capability(23) or limit == resource.RLIM_INFINITY or limit > 0


def _locked() -> Setting:
    found = _status("VmLck")
    if not found:
        return Setting("locked memory", UNKNOWN, "not told by this system")
    refusal = lock_refusal()
    if not found.startswith("0 "):
        return Setting("locked memory", ON, found)
    if refusal:
        command = f"echo '{_user()} - memlock unlimited' | sudo tee -a {_LIMITS}, then log in again"
        return Setting("locked memory", REFUSED, refusal, command)
    return Setting("locked memory", OFF, "allowed", "NANOTICK_LOCK_MEMORY=1, or nanotick tune --apply -- COMMAND")


def lock_refusal() -> str:
    """Why memory must not be locked here; empty when it may.

    A limit that is not unlimited is a refusal: it counts reserved address space, so the next reservation would fail.
    """
    if sys.platform != "linux":
        return "locked on Linux only"
    import resource

    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if has_capability(14) or limit == resource.RLIM_INFINITY:
        return ""
    return f"the limit is {limit >> 10} KiB, and an arena reserves more"


def _huge_pages() -> Setting:
    found = _text("/sys/kernel/mm/transparent_hugepage/enabled")
    if not found:
        return Setting("huge pages", UNKNOWN, "not told by this system")
    chosen = found.partition("[")[2].partition("]")[0]
    if chosen in ("madvise", "always"):
        return Setting("huge pages", ON, chosen)
    return Setting("huge pages", OFF, chosen, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled")


def numa_cores(node: int) -> set[int]:
    """Processors of a NUMA node.

    Raises
    ------
    ValueError
        There is no such node; the message lists those there are.
    """
    nodes = sorted(Path("/sys/devices/system/node").glob("node[0-9]*"))
    path = Path(f"/sys/devices/system/node/node{node}/cpulist")
    if not path.exists():
        known = ", ".join(n.name.removeprefix("node") for n in nodes) or "none that this system tells of"
        raise ValueError(f"numa node {node}: this machine has {known}")
    return set(parse_cpus(_text(path)))


def _numa() -> Setting:
    nodes = sorted(Path("/sys/devices/system/node").glob("node[0-9]*"))
    if not nodes:
        return Setting("numa", UNKNOWN, "not told by this system")
    told = "; ".join(f"{node.name}: processors {_text(node / 'cpulist')}" for node in nodes)
    if len(nodes) == 1:
        return Setting("numa", ON, f"one node, {told}")
    ours = os.sched_getaffinity(0)
    inside = [node for node in nodes if ours <= parse_cpus(_text(node / "cpulist"))]
    if inside:
        return Setting("numa", ON, f"within {inside[0].name}; {told}")
    command = f"nanotick tune --apply --cpus {_text(nodes[0] / 'cpulist')} -- COMMAND"
    return Setting("numa", OFF, f"across {len(nodes)} nodes; {told}", command)


def _swap() -> Setting:
    lines = _text("/proc/swaps").splitlines()
    if not lines:
        return Setting("swap", UNKNOWN, "not told by this system")
    if len(lines) == 1:
        return Setting("swap", ON, "none, nothing can be moved out")
    return Setting("swap", OFF, ", ".join(line.split()[0] for line in lines[1:]), "sudo swapoff -a")


def _socket_buffer() -> Setting:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        given = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    given //= 2 if sys.platform == "linux" else 1  # Linux tells twice what data may fill, for its own bookkeeping
    found = f"asked for {_BUFFER >> 10} KiB, given {given >> 10}"
    if given >= _BUFFER:
        return Setting("receive buffer", ON, found)
    return Setting("receive buffer", OFF, found, f"sudo sysctl -w net.core.rmem_max={_BUFFER}")


def _busy_poll() -> Setting:
    if sys.platform != "linux":
        return Setting("busy polling", UNKNOWN, "on Linux only")
    default = _text("/proc/sys/net/core/busy_read")
    if default not in ("", "0"):
        return Setting("busy polling", ON, f"{default} us for every socket")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, _SO_BUSY_POLL, 50)
        except OSError as error:
            return Setting("busy polling", REFUSED, str(error.strerror), "sudo sysctl -w net.core.busy_read=50")
    return Setting("busy polling", ON, "may be asked for by a socket")


def _clock() -> Setting:
    if sys.platform != "linux":
        return Setting("clock sync", UNKNOWN, "read on Linux only")
    timex = ctypes.create_string_buffer(512)  # struct timex is 208 bytes
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        return Setting("clock sync", UNKNOWN, os.strerror(ctypes.get_errno()))
    most, status = ctypes.c_long.from_buffer(timex, 24).value, ctypes.c_int.from_buffer(timex, 40).value
    command = "sudo systemctl enable --now chrony, or ptp4l and phc2sys where there is a hardware clock"
    if status & _UNSYNCHRONISED or state == 5:
        return Setting("clock sync", OFF, "the kernel's clock is not synchronised (a host may do it unseen)", command)
    if most > _CLOCK_BAR_US:
        return Setting("clock sync", OFF, f"synchronised within {most / 1000:.1f} ms, 50 ms are allowed", command)
    return Setting("clock sync", ON, f"synchronised within {most / 1000:.1f} ms")


def _clock_source() -> Setting:
    place = Path("/sys/devices/system/clocksource/clocksource0")
    found, known = _text(place / "current_clocksource"), _text(place / "available_clocksource").split()
    if not found:
        return Setting("clock source", UNKNOWN, "not told by this system")
    if found in ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"):
        return Setting("clock source", ON, found)
    command = f"echo tsc | sudo tee {place}/current_clocksource" if "tsc" in known else ""
    return Setting("clock source", OFF, f"{found}: every reading is a system call", command)


_SETTINGS: tuple[tuple[str, Callable[[], Setting]], ...] = (
    ("cpu governor", _governor), ("cpu isolation", _isolation), ("pinning", _pinning), ("real-time class", _realtime),
    ("locked memory", _locked), ("huge pages", _huge_pages), ("numa", _numa), ("swap", _swap),
    ("receive buffer", _socket_buffer), ("busy polling", _busy_poll), ("clock source", _clock_source),
    ("clock sync", _clock),
)  # fmt: skip


def isolated_cpus() -> str:
    """The processors that the kernel keeps free of other work, as it writes them; empty when there are none."""
    return _text(_CPU / "isolated")


def settings() -> list[Setting]:
    """Every setting as it is for this process."""
    found = []
    for name, look in _SETTINGS:
        try:
            found.append(look())
        except (OSError, ValueError, ImportError, AttributeError) as error:  # whatever a container forbids
            found.append(Setting(name, UNKNOWN, str(error)))
    return found


# --- changing them ----------------------------------------------------------------------------------------------------


def pin(cpus: Iterable[int], pid: int = 0) -> Setting:
    """Keep a process and what it starts from now on to some processors."""
    wanted = set(cpus)
    try:
        os.sched_setaffinity(pid, wanted)
    except (OSError, AttributeError) as error:
        online = _text(_CPU / "online")
        return Setting("pinning", REFUSED, f"{format_cpus(wanted)}: {error}; there are {online}")
    return Setting("pinning", ON, f"on processors {format_cpus(os.sched_getaffinity(pid))}")


def set_realtime(pid: int = 0, priority: int = REALTIME_PRIORITY) -> Setting:
    """Put a process, and what it starts from now on, into the real-time class SCHED_FIFO."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        return Setting("real-time class", REFUSED, str(error), _realtime().command)
    return Setting("real-time class", ON, f"priority {priority}")


def lock_memory() -> Setting:
    """Keep this process's memory from being moved out, page by page as it is touched. Not inherited by children."""
    refusal = lock_refusal()
    if refusal:
        return Setting("locked memory", REFUSED, refusal, _locked().command)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_LOCK_CURRENT | _LOCK_FUTURE | _LOCK_ON_FAULT) != 0:
        return Setting("locked memory", REFUSED, os.strerror(ctypes.get_errno()))
    return Setting("locked memory", ON, _status("VmLck") or "all of it")
