"""The live screen of `nanotick run`: `nanotick top` as a child on the same terminal, so that the engine never draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

_PATIENCE_S = 3.0
# Leave the alternate screen, show the cursor, report no mouse, paste plainly: what a child that was killed left behind.
_RESET = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[0m"


class RunScreen:
    """A screen that ends with the session, or earlier when its user leaves it.

    Parameters
    ----------
    directory : Path
        State directory of the session, which listens already.
    """

    def __init__(self, directory: Path) -> None:
        self._terminal = _attributes()
        self._process = subprocess.Popen([sys.executable, "-m", "nanotick", "top", str(directory), "--of-run"])

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the terminal is its."""
        return self._process.poll() is None

    def close(self) -> None:
        """Wait until it has seen the session's end, end it if it does not, and leave the terminal as it was."""
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._terminal is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._terminal)
        if self._process.returncode != 0:
            sys.stdout.write(_RESET)
            sys.stdout.flush()


def _attributes() -> list[Any] | None:
    """Of the terminal; None where there is none."""
    try:
        import termios

        return termios.tcgetattr(sys.stdin.fileno())
    except (ImportError, OSError, ValueError, termios.error):
        return None
