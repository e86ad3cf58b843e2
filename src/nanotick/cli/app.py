"""`nanotick`: the command line's entry. Commands are imported when they are used, so that help is immediate.

Exit codes: 0 done; 1 the data or the run is bad, or a check failed; 2 wrong usage or configuration; 70 a fault of
nanotick's own; 130 interrupted. A user's mistake is one sentence on standard error; NANOTICK_DEBUG=1 shows where it
was noticed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nanotick import __version__

if TYPE_CHECKING:
    from cyclopts import App

DONE, BAD, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 70, 130

_HELP = """Backtest and run high-frequency strategies written in Python.

Start with `nanotick demo`: it opens a market of agents, trades in it and writes a report.
"""

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("demo", "nanotick.cli.demo:demo", "Open the embedded exchange, trade two minutes in it, write a report."),
    ("run", "nanotick.cli.run:run", "Trade: the embedded exchange, on paper, in the shadow, or for real."),
    ("top", "nanotick.cli.top:top", "Watch a running session on the terminal, and act on it."),
    ("status", "nanotick.cli.control:status", "Show what a running session does."),
    ("set", "nanotick.cli.control:set_value", "Change a parameter of a running strategy."),
    ("reload", "nanotick.cli.control:reload", "Let a running strategy go on with its code as it is now."),
    ("pause", "nanotick.cli.control:pause", "Pause or go on with strategies of a running session."),
    ("flatten", "nanotick.cli.control:flatten", "Close the positions of a running session."),
    ("stop", "nanotick.cli.control:stop", "End a running session in an orderly way."),
    ("simulate", "nanotick.cli.simulate:simulate", "Run strategies in a market of agents that reacts to them."),
    ("replay", "nanotick.cli.replay:replay", "Run a session again from its journal and compare its commands."),
    ("recover", "nanotick.cli.replay:recover", "Bring back the state a session had reached."),
    ("kill", "nanotick.cli.kill:kill", "Stop a live session: cancel everything, let no order pass."),
    ("resume", "nanotick.cli.kill:resume", "Let a killed session trade again."),
    ("backtest", "nanotick.cli.backtest:backtest", "Run strategies over recorded data."),
    ("sweep", "nanotick.cli.sweep:sweep", "Run strategies with every combination of parameters."),
    ("optimize", "nanotick.cli.optimize:optimize", "Search for the best parameters, giving up early on bad ones."),
    ("walk-forward", "nanotick.cli.walk_forward:walk_forward", "Choose on what was known, test on what came after."),
    ("monte-carlo", "nanotick.cli.monte_carlo:monte_carlo", "Try a strategy in many markets and redraw its returns."),
    ("data", "nanotick.cli.data:app", "Convert, inspect and validate recorded market data."),
    ("market", "nanotick.cli.market:app", "List, fit, simulate and measure living markets."),
    ("venue", "nanotick.cli.venue:app", "Serve a venue's own protocols in front of a simulated market."),
    ("strategies", "nanotick.cli.strategies:strategies", "List the built-in strategies and their parameters."),
    ("warmup", "nanotick.cli.warmup:warmup", "Compile every kernel now, instead of at first use."),
    ("doctor", "nanotick.cli.doctor:doctor", "Check what nanotick needs of this machine."),
    ("tune", "nanotick.cli.tune:tune", "Report and set what the machine should do for trading."),
    ("bench", "nanotick.cli.bench:bench", "Run the benchmarks of a checkout."),
    ("version", "nanotick.cli.version:version", "Print the versions of nanotick and what it stands on."),
)


def build_app(command: str = "") -> App:
    """The application, its commands not yet imported.

    Parameters
    ----------
    command : str
        The one that is about to run: its help comes from its own docstring, that of the others from the list here.
    """
    from cyclopts import App

    app = App(name="nanotick", help=_HELP, version=f"nanotick {__version__}", version_flags=["--version"])
    for name, target, about in COMMANDS:
        app.command(target, name=name, help=None if name == command else about)
    return app


def _say(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("error: ", "red"), message), soft_wrap=True)


def run(tokens: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code.

    Parameters
    ----------
    tokens : sequence of str, optional
        Arguments; those of the process when left out.
    """
    debug = os.environ.get("NANOTICK_DEBUG", "") not in ("", "0")
    from cyclopts.exceptions import CycloptsError

    tokens = sys.argv[1:] if tokens is None else list(tokens)
    if os.environ.get("NANOTICK_LOCK_MEMORY") == "1" and tokens[:1] not in (["tune"], ["doctor"]):
        from nanotick.core.machine import lock_memory

        lock_memory()
    try:
        app = build_app(tokens[0] if tokens else "")
        result = app(tokens, exit_on_error=False, print_error=True, result_action="return_value")
        return result if isinstance(result, int) and not isinstance(result, bool) else DONE
    except CycloptsError:
        return USAGE
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return DONE  # whoever read our output has seen enough
    except Exception as error:
        if debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """One sentence for a user's mistake, a request to report it for one of ours."""
    from nanotick.research.run_config import RunConfigError

    if isinstance(error, RunConfigError):
        _say(str(error))
        return USAGE
    if isinstance(error, OSError):
        _say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        return BAD
    if isinstance(error, (ValueError, ImportError, RuntimeError)) or type(error).__module__.startswith("nanotick."):
        _say(str(error))
        return BAD
    _say(
        f"{type(error).__name__}: {error}. This is a fault of nanotick or of the strategy's code; "
        "NANOTICK_DEBUG=1 shows where it happened"
    )
    return FAULT


def main() -> None:
    """Entry of the `nanotick` program."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts, often: not worth an import
        print(f"nanotick {__version__}")
        return
    sys.exit(run())


if __name__ == "__main__":
    main()
