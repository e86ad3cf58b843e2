"""One end of a WebSocket over picows: whole messages, pings answered, silence and slow readers found out.

picows gives frames. Here fragments become messages (bounded), what RFC 6455 forbids closes the link with its code, and
a link that has been silent for a while is asked for a pong and cut when none comes. A message's time of receipt is
taken once for everything that came in one read: the time when it was there, not when its turn came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from nanotick.venues.host import LinkUser

MAX_MESSAGE = 16 << 20  # bytes, whole messages and frames
MAX_WAITING = 64 << 20  # bytes not taken by the other end, past which it is cut off
PING_S = 20.0  # silence after which a ping goes out, and after as much again the link is cut
CLOSE_S = 1.0  # for the closing handshake
_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE


class Owner(Protocol):
    """What a link needs of the host it belongs to."""

    loop: asyncio.AbstractEventLoop
    ping_s: float
    max_message: int
    max_waiting: int

    def now(self) -> int:
        """Nanoseconds UTC."""
        ...

    def broken(self, error: BaseException) -> None:
        """A user of the link raised."""
        ...

    def guard(self, transport: Any) -> None:
        """Look after a connection that stands."""
        ...


def _nobody() -> None:
    pass


class SocketLink(WSListener):  # type: ignore[misc]
    """A `Link` and the picows listener behind it."""

    def __init__(self, owner: Owner, user: LinkUser) -> None:
        self._owner, self._user = owner, user
        self._now = owner.now
        self._transport: WSTransport | None = None
        self._parts: bytearray | None = None
        self._heard = True  # anything since the last look
        self._asked = False  # a ping is unanswered
        self._timer: asyncio.TimerHandle | None = None
        self._stamp = 0
        self._reason = ""
        self._closing = self._ended = False
        self.gone: Callable[[], object] = _nobody  # for whoever keeps the open links

    # Link

    def send(self, data: bytes | bytearray | memoryview, binary: bool = False) -> None:
        """Send one message; nothing happens on a link that is closed."""
        if self._transport is not None and not self._closing:
            self._transport.send(_BINARY if binary else _TEXT, data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say good-bye, and cut after a second if the other end does not."""
        if self._transport is None or self._closing:
            return
        self._closing = True
        self._reason = self._reason or reason or f"closed with {code}"
        self._transport.send_close(code, reason.encode()[:123])  # type: ignore[arg-type]
        self._again(CLOSE_S, self.cut)

    @property
    def waiting(self) -> int:
        """Bytes that the system has not taken yet."""
        transport = self._transport
        return transport.underlying_transport.get_write_buffer_size() if transport is not None else 0

    # picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._owner.guard(transport.underlying_transport)
        transport.underlying_transport.set_write_buffer_limits(high=self._owner.max_waiting)
        self._again(self._owner.ping_s, self._look)
        self._call(self._user.opened, self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame."""
        self._heard = True
        stamp = self._stamp or self._now()
        self._stamp = 0 if frame.last_in_buffer else stamp
        kind = frame.msg_type
        if (kind is _TEXT or kind is _BINARY) and frame.fin and self._parts is None:
            if self._closing:
                return
            if frame.rsv1:
                self._fail(1002, "a reserved bit is set: no extension was agreed")
                return
            try:
                self._user.message(self, frame.get_payload_as_bytes(), stamp)
            except Exception as error:
                self._raised(error)
            return
        self._other(transport, frame, kind, stamp)

    def _other(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType, stamp: int) -> None:
        if kind is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is _PONG:
            self._asked = False
        elif kind is _CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            words = payload[2:].decode("utf-8", "replace")
            self._reason = self._reason or f"the other end closed with {code} {words}".rstrip()
            if not transport.is_close_frame_sent:
                transport.send_close(1000)  # type: ignore[arg-type]
            self._closing = True
            transport.disconnect()
            self._again(CLOSE_S, self.cut)
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(1002, "a reserved bit is set: no extension was agreed")
        else:
            self._fragment(frame, kind, stamp)

    def _fragment(self, frame: WSFrame, kind: WSMsgType, stamp: int) -> None:
        if (kind is _CONTINUATION) != (self._parts is not None):
            self._fail(1002, "fragments out of order")
            return
        parts = self._parts = self._parts if self._parts is not None else bytearray()
        if len(parts) + frame.payload_size > self._owner.max_message:
            self._parts = bytearray()
            self._fail(1009, f"a message of more than {self._owner.max_message:,} bytes")
            return
        parts += frame.get_payload_as_memoryview()
        if frame.fin:
            self._parts = None
            if not self._closing:
                self._call(self._user.message, self, bytes(parts), stamp)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._parts = None
        self._closing = True
        handshake = transport.close_handshake
        sent = handshake.sent if handshake is not None else None  # by picows itself, of a frame that is none
        self.lost(self._reason or (sent.reason if sent is not None else "") or "connection lost", self)

    def pause_writing(self) -> None:
        """More waits to be sent than the other end may leave lying."""
        self._reason = self._reason or f"the other end does not read: more than {self._owner.max_waiting:,} bytes wait"
        self._closing = True
        self.cut()

    def resume_writing(self) -> None:
        """Never after `pause_writing`, which cuts."""

    # ends

    def lost(self, reason: str, link: SocketLink | None = None) -> None:
        """Tell the user once that it is over."""
        if not self._ended:
            self._ended = True
            self.gone()
            self._call(self._user.closed, link, reason)

    def cut(self) -> None:
        """End the connection without another word."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    @property
    def opened(self) -> bool:
        """Whether the handshake was done."""
        return self._transport is not None

    def _fail(self, code: int, reason: str) -> None:
        self._reason = self._reason or reason
        self.close(code, reason)

    def _look(self) -> None:
        assert self._transport is not None
        if self._heard:
            self._heard = self._asked = False
        elif self._asked:
            self._reason = self._reason or f"silent, and no answer to a ping within {self._owner.ping_s:g} s"
            self._closing = True
            self.cut()
            return
        else:
            self._asked = True
            self._transport.send_ping()
        self._again(self._owner.ping_s, self._look)

    def _again(self, after_s: float, call: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._owner.loop.call_later(after_s, call)

    def _call(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._raised(error)

    def _raised(self, error: Exception) -> None:
        """An error of the user's own code: tell the host, and end this link alone."""
        self._owner.broken(error)
        if not self._ended:
            self._fail(1011, f"{type(error).__name__} while a message was handled")
