import json
import os
import socket
import threading

import pytest

from nanotick.venues.control import MAX_LINE, ControlClient, ControlError, ControlServer, socket_path
from nanotick.venues.sockets import new_loop


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    loop = new_loop()

    def fail(request):
        raise ValueError("gamma: expected a number")

    server = ControlServer(loop, tmp_path, {"status": lambda r: {"phase": "trading", "echo": r.get("x")}, "set": fail})
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield tmp_path
    loop.call_soon_threadsafe(lambda: (server.close(), loop.call_later(0.05, loop.stop)))
    thread.join()
    loop.close()
    assert not socket_path(tmp_path).exists()


def test_answers_and_refusals(server):
    with ControlClient(server) as client:
        assert client.ask("status", x=[1, "zwei"]) == {"phase": "trading", "echo": [1, "zwei"]}
        with pytest.raises(ControlError, match="gamma: expected a number"):
            client.ask("set")
        with pytest.raises(ControlError, match="expected one of set, status"):
            client.ask("fly")
        assert client.ask("status")["phase"] == "trading"


def test_only_its_owner_may_open_it(server):
    path = socket_path(server)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path.parent).st_mode & 0o777 == 0o700


def test_a_second_session_of_the_directory_is_refused(server):
    loop = new_loop()
    with pytest.raises(ControlError, match="running there already"):
        ControlServer(loop, server, {})
    loop.close()


def test_what_a_dead_session_left_is_no_hindrance(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    path = socket_path(tmp_path)
    path.parent.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ControlError, match="no session is running"):
        ControlClient(tmp_path)
    loop = new_loop()
    server = ControlServer(loop, tmp_path, {})
    server.close()
    loop.run_until_complete(_nothing())
    loop.close()


async def _nothing():
    return None


@pytest.mark.parametrize("garbage", [b"\x00\xff\n", b"[1]\n", b"{}\n", b'{"do":{}}\n', b"nonsense\n"])
def test_garbage_is_answered_and_harmless(server, garbage):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(5)
        raw.connect(str(socket_path(server)))
        raw.sendall(garbage)
        assert json.loads(raw.makefile("rb").readline())["ok"] is False
    with ControlClient(server) as client:
        assert client.ask("status")["phase"] == "trading"


def test_a_line_without_end_is_cut_off(server):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(5)
        raw.connect(str(socket_path(server)))
        try:
            raw.sendall(b"x" * (MAX_LINE + 10))
            assert raw.recv(10) == b""
        except (ConnectionResetError, BrokenPipeError):
            pass


def test_a_folder_that_others_may_enter_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    socket_path(tmp_path).parent.mkdir(mode=0o755, parents=True)
    loop = new_loop()
    with pytest.raises(ControlError, match="0700"):
        ControlServer(loop, tmp_path, {})
    loop.close()
