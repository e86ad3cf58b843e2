"""`nanotick tune`: the machine's settings that cost or save microseconds, and what of them may be set from here."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

LOCK_VARIABLE = "NANOTICK_LOCK_MEMORY"


def tune(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    apply: Annotated[bool, Parameter(negative="")] = False,
    cpus: str = "",
    realtime: Annotated[bool, Parameter(negative="")] = False,
    pid: int | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Report processor, memory, network and clock settings, each with the command that would change it.

    For example:

    nanotick tune

    nanotick tune --apply --cpus 2-3 --realtime -- nanotick simulate us-equities -s imbalance

    nanotick tune --apply --cpus 2 --pid 4711    a process that runs already

    With --apply processors and the real-time class are set for COMMAND, which is then run in place of this one, or for
    --pid, and what either starts inherits them; COMMAND also locks its memory where that is allowed. Nothing needs
    root: what is refused is said, and the command runs all the same.

    Exit codes: 0 (that of COMMAND where one is given); 2 wrong usage.

    Parameters
    ----------
    command
        What to run with the settings, after --.
    apply
        Set what may be set.
    cpus
        Processors, such as 2,4-7; those the kernel keeps isolated when left out, else no pinning.
    realtime
        Also ask for the real-time class: a program that never waits then keeps everything else off its processor.
    pid
        A process to set instead.
    as_json
        Print a list of objects: name, state (on, off, refused, unknown), found, command.
    """
    from nanotick.core import machine

    if not apply:
        if command or cpus or realtime or pid is not None:
            raise _usage("--cpus, --realtime, --pid and a command are for --apply")
        show(machine.settings(), as_json)
        return 0
    if (pid is None) == (not command):
        raise _usage("--apply needs a command after --, or --pid of a process that runs already")
    try:
        chosen = machine.parse_cpus(cpus or machine.isolated_cpus())
    except ValueError as error:
        raise _usage(str(error)) from error
    target = pid or 0
    done = [machine.pin(chosen, target)] if chosen else []
    if realtime:
        done.append(machine.set_realtime(target))
    if not command:
        show(done, as_json)
        return 0
    program = shutil.which(command[0])
    if program is None:
        raise _usage(f"no program {command[0]!r} on the path")
    refusal = machine.lock_refusal()
    state = machine.REFUSED if refusal else machine.ON
    done.append(machine.Setting("locked memory", state, refusal or "by the command, if it is nanotick's"))
    show(done, as_json, to_error=True)
    os.execve(program, list(command), {**os.environ, **({} if refusal else {LOCK_VARIABLE: "1"})})


def _usage(message: str) -> Exception:
    from nanotick.research.run_config import RunConfigError

    return RunConfigError(f"tune: {message}; `nanotick tune --help`")


def show(found: list[Any], as_json: bool, to_error: bool = False) -> None:
    """Print settings as a table or as JSON."""
    if as_json and not to_error:
        from nanotick.cli.progress import print_json

        print_json([asdict(setting) for setting in found])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"on": "green", "off": "yellow", "refused": "red", "unknown": "dim"}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for setting in found:
        advice = f"\n→ {setting.command}" if setting.command else ""
        table.add_row(setting.name, Text(setting.state, style=colours[setting.state]), Text(setting.found + advice))
    Console(stderr=to_error).print(table)
