"""Client order ids as text: reversible, ours recognised, the same after a restart.

    n + session (4) + id (13)          18 characters of base 36, fixed width: within Kraken's 18, Binance's 36,
    Alpaca's 48
    ... + r + revision                 where a venue demands a fresh id for a replaced order (Alpaca, Binance)
    xxxxxxxx-xxxx-8xxx-8xxx-xxxxxxxxxxxx  the same id and session as a UUID of version 8,
    where only UUIDs pass (Coinbase Exchange)

A session is a number below 36^4 that the engine keeps in its journal: a restart goes on with the same one, so a report
that arrives afterwards finds its order. An id of another session or of another program is foreign: `decode` gives None.
"""

from __future__ import annotations

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_WIDTH, _SESSION_WIDTH = 13, 4
SESSIONS = 36**_SESSION_WIDTH
WIDTH = 1 + _SESSION_WIDTH + _ID_WIDTH
_UUID_TAG = 0x6E74  # "nt"
_LOW_BITS = 51  # of the id in the last part of a UUID


def _text(value: int, width: int) -> str:
    out = ["0"] * width
    for place in range(width - 1, -1, -1):
        value, digit = divmod(value, 36)
        out[place] = _DIGITS[digit]
    return "".join(out)


_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]


class ClientIds:
    """The text form of one session's ids.

    Parameters
    ----------
    session : int
        0 to 36**4 - 1.

    >>> ids = ClientIds(46655)
    >>> ids.text((1 << 20) | 7)
    'nzzzz000000000mh3b'
    >>> ids.decode(ids.text(12345, 2)), ids.decode(ids.uuid(12345)), ids.decode("web-order-1")
    (12345, 12345, None)
    """

    def __init__(self, session: int) -> None:
        if not 0 <= session < SESSIONS:
            raise ValueError(f"session: expected 0 to {SESSIONS - 1}, found {session}")
        self.session = session
        self._prefix = "n" + _text(session, _SESSION_WIDTH)

    def text(self, client_id: int, revision: int = 0) -> str:
        """Text of an id, 18 characters, and a few more with a revision.

        Raises
        ------
        ValueError
            Negative id or revision.
        """
        if client_id < 0 or revision < 0:
            raise ValueError(f"client order id {client_id} revision {revision}: expected 0 or more")
        out = ""
        value = client_id
        for _ in range(6):
            value, pair = divmod(value, 1296)
            out = _PAIRS[pair] + out
        out = self._prefix + _DIGITS[value] + out
        return f"{out}r{_text(revision, 1 if revision < 36 else 4)}" if revision else out

    def uuid(self, client_id: int) -> str:
        """The id as a UUID of version 8 (RFC 9562)."""
        if client_id < 0:
            raise ValueError(f"client order id {client_id}: expected 0 or more")
        head = f"{_UUID_TAG << 32 | self.session:012x}"
        high, low = client_id >> _LOW_BITS, client_id & ((1 << _LOW_BITS) - 1)
        tail = f"{low:015x}"
        return f"{head[:8]}-{head[8:]}-8{high:03x}-8{tail[:3]}-{tail[3:]}"

    def decode(self, text: str) -> int | None:
        """The id, or None when it is not of this session."""
        if len(text) == 36:
            return self._of_uuid(text)
        body, separator, revision = text.partition("r") if len(text) > WIDTH else (text, "", "")
        if separator:
            body, revision = text[:WIDTH], text[WIDTH + 1 :]
            if text[WIDTH] != "r" or not revision or len(revision) > 4 or not _plain(revision):
                return None
        if len(body) != WIDTH or not body.startswith(self._prefix) or not _plain(body):
            return None
        value = int(body[len(self._prefix) :], 36)
        return value if value < 1 << 63 else None

    def revision(self, text: str) -> str:
        """What follows the id in a text of ours: empty, or `r` and a revision."""
        return text[WIDTH:] if len(text) != 36 else ""

    def _of_uuid(self, text: str) -> int | None:
        digits = text.replace("-", "")
        if len(digits) != 32 or any(c not in "0123456789abcdef" for c in digits):
            return None
        value = int(digits[13:16], 16) << _LOW_BITS | int(digits[17:], 16)
        return value if value < 1 << 63 and self.uuid(value) == text else None


def _plain(text: str) -> bool:
    return all(c in _DIGITS for c in text)
