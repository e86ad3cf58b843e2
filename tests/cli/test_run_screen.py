"""`nanotick run` on a terminal: the screen is another process, and whatever becomes of it the engine decides on."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from nanotick.engine.session_replay import replay
from nanotick.venues.control import ControlClient, ControlError
from tests.patience import PATIENCE_S, wait_until


class Terminal:
    """A command on a pseudoterminal of 80 by 24 whose output is kept."""

    def __init__(self, command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.text, self.over = b"", False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.text += os.read(self.master, 1 << 16)
            except OSError:
                return

    def press(self, keys):
        os.write(self.master, keys)

    def children(self):
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def screen_pid(self):
        for pid in self.children():
            if b"--of-run" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def end(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.over = True
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError(f"it did not end: {self.text[-2000:]!r}")

    def kill(self):
        if not self.over:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def status(state):
    try:
        with ControlClient(state) as client:
            return client.ask("status")
    except ControlError:
        return None


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    terminal = Terminal([sys.executable, "-m", "nanotick", "run", "--duration", "0", "--symbols", "SPY,QQQ",
                         "--skip-backtest", "--state", str(tmp_path / "state")])  # fmt: skip
    yield terminal
    terminal.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stalled_screen_delays_no_decision_and_leaving_it_leaves_the_session(terminal, tmp_path):
    state = tmp_path / "state"
    wait_until(lambda: (seen := status(state)) and seen["phase"] == "trading" and seen["total"]["orders"])
    wait_until(lambda: b"strategies" in terminal.text)
    screen = terminal.screen_pid()
    before = status(state)
    os.kill(screen, signal.SIGSTOP)
    time.sleep(1.0)
    after = status(state)
    assert Path(f"/proc/{screen}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    assert after["events"] > before["events"] + 20
    os.kill(screen, signal.SIGCONT)
    terminal.press(b"q")
    wait_until(lambda: terminal.screen_pid() is None)
    wait_until(lambda: b"goes on" in terminal.text)
    assert status(state)["phase"] == "trading"
    terminal.press(b"\x03")
    assert terminal.end() == 130
    found = replay(state / "sessions" / "0001")
    assert found.difference is None and found.ended


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_on_the_screen_reaches_the_engine(terminal, tmp_path):
    state = tmp_path / "state"
    wait_until(lambda: (seen := status(state)) and seen["phase"] == "trading")
    wait_until(lambda: b"strategies" in terminal.text)
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert b"\x1b[?1049l" in terminal.text  # the screen put the terminal back
