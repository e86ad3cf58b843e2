"""Secrets: text that never shows itself, and the redaction of it wherever it turns up all the same.

A `Secret` hides its text from repr, str, format, pickling and copying; `reveal()` is the one way to it. Making one also
registers the text, and the shapes it takes in messages (escaped in JSON and URLs, base64), so that `redact` can cut it
out of a line that somebody else has written: a library's exception, a URL with its query, a dumped header.

    key = Secret(os.environ["ALPACA_SECRET"])
    headers = {"APCA-API-SECRET-KEY": key.reveal()}
    redact(str(error))                                   # every registered secret in it is now [hidden]
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from typing import NoReturn
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
LEAST_LENGTH = 6  # shorter texts are not searched for: cutting "abc" out of every line would hide the log, not the key

_shapes: set[str] = set()
_pattern: re.Pattern[str] | None = None


class Secret:
    """Text that must not be written anywhere.

    >>> Secret("hunter2"), f"{Secret('hunter2')}"
    (Secret(hidden), 'Secret(hidden)')
    >>> redact("password=hunter2")
    'password=[hidden]'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        register_secret(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(hidden)"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied; read it again where it is needed")

    __reduce__ = __reduce_ex__ = __copy__ = __deepcopy__ = __getstate__ = _refuse  # type: ignore[assignment]


def register_secret(text: str) -> None:
    """Have `redact` cut out this text and the shapes it takes in messages."""
    global _pattern
    text = text.strip()
    if len(text) < LEAST_LENGTH:
        return
    raw = text.encode()
    shapes = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    shapes |= {quote(text), quote(text, safe=""), quote_plus(text)}
    shapes |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    shapes |= {raw.hex(), raw.hex().upper()}
    shapes |= {line for line in text.splitlines() if len(line) >= 16}  # a key in PEM may be quoted line by line
    if not shapes <= _shapes:
        _shapes.update(shapes)
        _pattern = re.compile("|".join(re.escape(s) for s in sorted(_shapes, key=lambda s: (-len(s), s))))


def redact(text: str) -> str:
    """The text with every registered secret replaced by `[hidden]`."""
    return text if _pattern is None else _pattern.sub(HIDDEN, text)
