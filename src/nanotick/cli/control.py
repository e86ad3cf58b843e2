"""Commands that talk to a running session: `nanotick status`, `set`, `pause`, `flatten`, `stop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="")]


def _ask(state: Path | None, do: str, **fields: Any) -> dict[str, Any]:
    """One question to the session of a state directory, the last one used by default."""
    from nanotick.cli.run_session import last_state
    from nanotick.venues.control import ControlClient

    with ControlClient(state or last_state()) as client:
        return client.ask(do, **fields)


def status(
    state: Path | None = None,
    *,
    symbol: str = "",
    as_json: Json = False,
) -> int:
    """Show what a running session does: accounts, feeds, orders, positions, latencies, risk.

    For example:

    nanotick status

    nanotick status state/us --symbol SPY --json

    Parameters
    ----------
    state
        State directory; that of the last run by default.
    symbol
        Whose depth to show.
    as_json
        Print everything as one object.
    """
    from rich.console import Console

    from nanotick.cli.progress import print_json
    from nanotick.terminal.screen import status_screen

    seen = _ask(state, "status", **({"symbol": symbol} if symbol else {}))
    if as_json:
        print_json(seen)
    else:
        Console().print(status_screen(seen))
    return 0


def set_value(
    strategy: str,
    name: str,
    value: str,
    *,
    state: Path | None = None,
    as_json: Json = False,
) -> int:
    """Change a parameter of a running strategy, or a limit; it holds from the next event on and is in the journal.

    For example:

    nanotick set market_making gamma 0.05

    nanotick set limits max_order_qty 50

    nanotick set market_making.limits max_position_share 0.1

    Parameters
    ----------
    strategy
        As `nanotick status` names it; `limits` for those of the account, NAME.limits for those of a strategy.
    name
        Of the parameter or limit.
    value
        A number, true or false; a limit may also be `unlimited`, `refuse` or `allow`.
    state
        State directory; that of the last run by default.
    as_json
        Print the strategy's parameters as they are now.
    """
    import yaml

    from nanotick.cli.progress import print_json

    scope, _, last = strategy.rpartition(".")
    if last == "limits":
        found = _ask(state, "limit", strategy=scope, name=name, value=value)
        if as_json:
            print_json(found)
        else:
            print(f"limits of {found['scope']}: {name} = {value}")
        return 0
    found = _ask(state, "set", strategy=strategy, name=name, value=yaml.safe_load(value))
    if as_json:
        print_json(found)
    else:
        print(f"{found['strategy']}.{name} = {found['parameters'][name]}")
    return 0


def pause(
    strategy: str = "all",
    *,
    go_on: Annotated[bool, Parameter(name="--go-on", negative="")] = False,
    state: Path | None = None,
    as_json: Json = False,
) -> int:
    """Pause a strategy, or all: it is not called and nothing it sent passes; its open orders stay.

    For example:

    nanotick pause market_making

    nanotick pause market_making --go-on

    Parameters
    ----------
    strategy
        As `nanotick status` names it.
    go_on
        Take the pause back.
    state
        State directory; that of the last run by default.
    as_json
        Print the paused ones.
    """
    from nanotick.cli.progress import print_json

    found = _ask(state, "unpause" if go_on else "pause", strategy=strategy)
    if as_json:
        print_json(found)
    else:
        print(f"paused: {', '.join(found['strategies']) or 'none'}")
    return 0


def reload(
    strategy: str,
    *,
    file: Path | None = None,
    state: Path | None = None,
    as_json: Json = False,
) -> int:
    """Let a running strategy go on with its code as it is on disk now: same state, same orders, new decisions.

    The new code must have the fields of the old. It is kept beside the journal, which repeats the session with the
    version that ran at each moment.

    For example:

    nanotick reload Fast

    Parameters
    ----------
    strategy
        As `nanotick status` names it.
    file
        Where the new code is; the file it came from by default.
    state
        State directory; that of the last run by default.
    as_json
        Print the digests of the code before and now.
    """
    from nanotick.cli.progress import print_json

    found = _ask(state, "reload", strategy=strategy, file=str(file.resolve()) if file else "")
    if as_json:
        print_json(found)
    elif found["before"] == found["code"]:
        print(f"{found['strategy']}: nothing has changed")
    else:
        print(f"{found['strategy']}: code {found['before']} -> {found['code']}")
    return 0


def flatten(
    strategy: str = "all",
    *,
    state: Path | None = None,
    as_json: Json = False,
) -> int:
    """Cancel a strategy's orders (or all) and close its positions.

    For example:

    nanotick flatten

    Parameters
    ----------
    strategy
        As `nanotick status` names it.
    state
        State directory; that of the last run by default.
    as_json
        Print how many commands it led to at once.
    """
    from nanotick.cli.progress import print_json

    found = _ask(state, "flatten", strategy=strategy)
    if as_json:
        print_json(found)
    else:
        print(f"{found['commands']} commands sent; closing orders follow as cancels are confirmed")
    return 0


def stop(
    state: Path | None = None,
    *,
    close: Annotated[bool, Parameter(name="--flatten", negative="")] = False,
    reason: str = "",
    as_json: Json = False,
) -> int:
    """End a running session: its orders are cancelled, its connections closed, its report written.

    For example:

    nanotick stop --flatten

    Parameters
    ----------
    state
        State directory; that of the last run by default.
    close
        Close the positions first.
    reason
        For the record.
    as_json
        Print the session's phase.
    """
    from nanotick.cli.progress import print_json

    found = _ask(state, "stop", flatten=close, reason=reason)
    if as_json:
        print_json(found)
    else:
        print(found["phase"])
    return 0
