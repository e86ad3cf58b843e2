"""`nanotick kill` and `nanotick resume`: stop a live session from outside, and lift that again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def kill(
    directory: Path,
    *,
    reason: str = "",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Stop the live session of a state directory: all its orders are cancelled and none passes.

    The session sees it within a tenth of a second. It stays stopped, also when it is started again, until `nanotick
    resume`. A session that does not run will start stopped.

    For example:

    nanotick kill state/us --reason "wrong prices from the feed"

    Parameters
    ----------
    directory
        State directory of the session.
    reason
        For the record.
    as_json
        Print one object: directory, file, reason.
    """
    from nanotick.cli.progress import print_json
    from nanotick.engine.kill import ask_kill

    if not directory.is_dir():
        raise ValueError(f"{directory}: expected the state directory of a session, found none")
    path = ask_kill(directory, reason)
    if as_json:
        print_json({"directory": str(directory), "file": str(path), "reason": reason})
    else:
        print(f"killed; `nanotick resume {directory} --operator NAME` lifts it")
    return 0


def resume(
    directory: Path,
    *,
    operator: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Let the live session of a state directory trade again after a kill, when the cause is gone.

    A running session goes on at its next look, another one when it is started.

    For example:

    nanotick resume state/us --operator "A. Example"

    Parameters
    ----------
    directory
        State directory of the session.
    operator
        Who decided it.
    as_json
        Print one object: directory, file, operator.
    """
    from nanotick.cli.progress import print_json
    from nanotick.engine.kill import ask_resume

    path = ask_resume(directory, operator)
    if as_json:
        print_json({"directory": str(directory), "file": str(path), "operator": operator})
    else:
        print(f"{operator} lets {directory} trade again")
    return 0
