"""The nearest right name, for messages about a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(found: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """`; did you mean 'x'?` when a known name is near, else nothing; `cutoff` from 0 (anything) to 1 (the same)."""
    close = difflib.get_close_matches(str(found), [str(name) for name in known], n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""
