"""Talking to a running session: one JSON object a line over a Unix socket that only its owner may open.

    {"do": "status"}                              {"ok": true, ...}
    {"do": "set", "strategy": "glft", "name": "gamma", "value": 0.1}
    {"do": "kill", "reason": "..."}               {"ok": false, "error": "..."}

The server lives in the session's event loop: a request is worked between two events, never during one. A reader that
does not read is cut off; nobody can make the session wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MAX_LINE = 1 << 16
MAX_WAITING = 8 << 20  # bytes of answers that a client may leave unread
_PATIENCE_S = 5.0
_LONGEST = 100  # bytes of a path

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ControlError(RuntimeError):
    """A session could not be reached, or refused; the message says why."""


def socket_path(directory: Path) -> Path:
    """Where the session of a state directory listens: a short path, for a socket's may have 107 bytes at most."""
    name = hashlib.blake2b(str(directory.resolve()).encode(), digest_size=8).hexdigest()
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    path = Path(base) / f"nanotick-{os.getuid()}" / f"{name}.sock"
    if len(os.fsencode(path)) > _LONGEST:
        other = hashlib.blake2b(os.fsencode(base), digest_size=6).hexdigest()
        path = Path("/tmp") / f"nanotick-{os.getuid()}-{other}" / f"{name}.sock"
    return path


def _own_folder(path: Path) -> Path:
    """The folder, made for its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ControlError(
            f"{path}: expected a folder of your own with mode 0700; remove it, it may be somebody's trap"
        )
    return path


class ControlServer:
    """Answers requests about a session.

    Parameters
    ----------
    loop : AbstractEventLoop
        That of the session.
    directory : Path
        Its state directory.
    handlers : mapping of str to callable
        What there is to do: gives the answer's fields, raises ValueError with what is wrong.

    Raises
    ------
    ControlError
        Another session of this directory is running.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = socket_path(directory)
        self.handlers = dict(handlers)
        self._loop = loop
        _own_folder(self.path.parent)
        if self.path.exists():
            if _answers(self.path):
                raise ControlError(f"{directory}: a session is running there already; `nanotick status {directory}`")
            self.path.unlink()
        mask = os.umask(0o177)
        try:
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(self.path))
        finally:
            os.umask(mask)
        listening.setblocking(False)
        self._server = loop.run_until_complete(loop.create_unix_server(lambda: _Client(self), sock=listening))
        self.clients: set[_Client] = set()

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one request."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("expected an object")
            what = request.get("do")
            if what not in self.handlers:
                raise ValueError(f"do: expected one of {', '.join(sorted(self.handlers))}, found {what!r}")
            return {"ok": True, **self.handlers[what](request)}
        except Exception as error:  # whatever a request meets, the session goes on
            return {"ok": False, "error": str(error) or type(error).__name__}

    def close(self) -> None:
        """Listen no more."""
        self._server.close()
        for client in tuple(self.clients):
            client.end()
        self.path.unlink(missing_ok=True)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: ControlServer) -> None:
        self._owner = owner
        self._transport: Any = None
        self._waiting = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=MAX_WAITING)
        self._owner.clients.add(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        if len(self._waiting) > MAX_LINE or self._transport.get_write_buffer_size() > MAX_WAITING:
            self._transport.abort()
            return
        for line in lines:
            answer = self._owner.answer(line)
            self._transport.write(json.dumps(answer, default=str, separators=(",", ":")).encode() + b"\n")

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.clients.discard(self)

    def end(self) -> None:
        """Close after what has been written."""
        self._transport.close()


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class ControlClient:
    """The other end, for commands and screens.

    Parameters
    ----------
    directory : Path
        State directory of the session.

    Raises
    ------
    ControlError
        No session runs there.
    """

    def __init__(self, directory: Path, patience_s: float = _PATIENCE_S) -> None:
        path = socket_path(directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"{directory}: no session is running there ({error.strerror}); `nanotick run` starts one"
            ) from error
        self._lines = self._socket.makefile("rb")

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Ask for one thing.

        Raises
        ------
        ControlError
            The session refused, or is gone.
        """
        try:
            self._socket.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise ControlError(f"the session does not answer: {error}") from error
        if not line:
            raise ControlError("the session has ended")
        answer = json.loads(line)
        if not answer.pop("ok", False):
            raise ControlError(str(answer.get("error", "refused")))
        return dict(answer)

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
