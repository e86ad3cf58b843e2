"""JSON read in place by kernels: straight from bytes to int64 fixed point, with nothing in between.

Every function takes the address `p` of the next byte and gives the address after what it read, or a negative reason.
There is no length to compare with at every byte: a text ends with a byte below 0x20 (the line feed of its line), which
no token may contain, so every loop stops at it. The caller guarantees that byte; a line is therefore one JSON text.

What a kernel does not settle (an escape in a string that matters, an exponent, a number not in quotes where the venue
sends text) it refuses with a reason, and `wire.json_text` reads the same bytes again, slowly and completely. Nothing
is rounded: digits beyond the scale must be zeros. Nesting is bounded by 62, numbers by int64.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_u8

CUT = -1  # the text ends in the middle
SYNTAX = -2  # not JSON
DEEP = -3  # nested deeper than MAX_DEPTH
ESCAPE = -4  # an escape or a byte beyond ASCII in a string whose value is needed
NUMBER = -5  # not a plain decimal number
FINE = -6  # more decimal places than the scale has
WIDE = -7  # does not fit 64 bits
REPEATED = -8  # a key a second time
SHAPE = -9  # JSON, but not of the expected form

REASONS = {
    CUT: "the text ends in the middle",
    SYNTAX: "not JSON",
    DEEP: "nested too deeply",
    ESCAPE: "an escaped string where plain text was expected",
    NUMBER: "not a plain decimal number",
    FINE: "more decimal places than the instrument's scale",
    WIDE: "a number that does not fit 64 bits",
    REPEATED: "a key a second time",
    SHAPE: "not of the expected form",
}

MAX_DEPTH = 62
_MAX_DIGITS = 18  # any 18 digits fit int64

_QUOTE, _BACKSLASH, _COLON, _COMMA = 34, 92, 58, 44
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_MINUS, _POINT, _ZERO = 45, 46, 48


@kernel
def skip_space(p: int) -> int:
    """Address of the next byte that is not a space, tab or carriage return."""
    c = load_u8(p)
    while c == 32 or c == 9 or c == 13:
        p += 1
        c = load_u8(p)
    return p


@kernel
def string_end(p: int) -> int:
    """Address of the closing quote of a string whose first character is at `p`; any escape is stepped over."""
    while True:
        c = load_u8(p)
        if c == _QUOTE:
            return p
        if c < 32:
            return CUT
        if c == _BACKSLASH:
            p += 1
            if load_u8(p) < 32:
                return CUT
        p += 1


@kernel
def plain_end(p: int) -> int:
    """As `string_end`, for a string that must be plain ASCII without escapes."""
    while True:
        c = load_u8(p)
        if c == _QUOTE:
            return p
        if c < 32:
            return CUT
        if c == _BACKSLASH or c > 126:
            return ESCAPE
        p += 1


@kernel
def number_end(p: int) -> int:
    """Address after a JSON number of any form."""
    if load_u8(p) == _MINUS:
        p += 1
    c = load_u8(p)
    if c < 48 or c > 57:
        return SYNTAX
    p += 1
    if c != _ZERO:
        while 48 <= load_u8(p) <= 57:
            p += 1
    if load_u8(p) == _POINT:
        p += 1
        if load_u8(p) < 48 or load_u8(p) > 57:
            return SYNTAX
        while 48 <= load_u8(p) <= 57:
            p += 1
    c = load_u8(p)
    if c == 101 or c == 69:
        p += 1
        c = load_u8(p)
        if c == _MINUS or c == 43:
            p += 1
        if load_u8(p) < 48 or load_u8(p) > 57:
            return SYNTAX
        while 48 <= load_u8(p) <= 57:
            p += 1
    return p


@kernel
def _literal_end(p: int, c: int) -> int:
    """Address after true, false or null, whose first letter is `c`."""
    if c == 116:
        if load_u8(p + 1) == 114 and load_u8(p + 2) == 117 and load_u8(p + 3) == 101:
            return p + 4
    elif c == 102:
        if load_u8(p + 1) == 97 and load_u8(p + 2) == 108 and load_u8(p + 3) == 115 and load_u8(p + 4) == 101:
            return p + 5
    elif c == 110 and load_u8(p + 1) == 117 and load_u8(p + 2) == 108 and load_u8(p + 3) == 108:
        return p + 4
    return SYNTAX


@kernel
def _member(p: int) -> int:
    """Address of the value of an object's next member, from its key's opening quote."""
    p = skip_space(p)
    if load_u8(p) != _QUOTE:
        return SYNTAX
    p = string_end(p + 1)
    if p < 0:
        return p
    p = skip_space(p + 1)
    if load_u8(p) != _COLON:
        return SYNTAX
    return p + 1


@kernel
def skip_value(p: int) -> int:
    """Address after any JSON value, checked for form on the way; what is in its strings does not matter."""
    depth = 0
    kinds = 0  # one bit per level, the innermost lowest: 1 object, 0 list
    while True:
        p = skip_space(p)
        c = load_u8(p)
        if c == _OPEN_OBJECT or c == _OPEN_LIST:
            if depth == MAX_DEPTH:
                return DEEP
            inside = 1 if c == _OPEN_OBJECT else 0
            p = skip_space(p + 1)
            if load_u8(p) == c + 2:  # both closing brackets are two after their opening ones
                p += 1
            else:
                depth += 1
                kinds = (kinds << 1) | inside
                if inside == 1:
                    p = _member(p)
                    if p < 0:
                        return p
                continue
        elif c == _QUOTE:
            p = string_end(p + 1)
            if p < 0:
                return p
            p += 1
        elif c == _MINUS or 48 <= c <= 57:
            p = number_end(p)
            if p < 0:
                return p
        elif c < 32:
            return CUT
        else:
            p = _literal_end(p, c)
            if p < 0:
                return p
        while True:
            if depth == 0:
                return p
            p = skip_space(p)
            c = load_u8(p)
            if c == _COMMA:
                p += 1
                if kinds & 1:
                    p = _member(p)
                    if p < 0:
                        return p
                break
            if c == (_CLOSE_OBJECT if kinds & 1 else _CLOSE_LIST):
                depth -= 1
                kinds >>= 1
                p += 1
            elif c < 32:
                return CUT
            else:
                return SYNTAX


@kernel
def scan_int(p: int) -> tuple[int, int]:
    """Value and address after a non-negative JSON integer of at most 18 digits."""
    value = load_u8(p) - 48
    if value < 0 or value > 9:
        return 0, NUMBER
    start = p
    p += 1
    c = load_u8(p) - 48
    if value == 0 and 0 <= c <= 9:
        return 0, SYNTAX
    while 0 <= c <= 9:
        value = value * 10 + c
        p += 1
        c = load_u8(p) - 48
        if p - start > _MAX_DIGITS:
            return 0, WIDE
    if c == -2 or c == 53 or c == 21:  # a point or an exponent follows
        return 0, NUMBER
    return value, p


@kernel
def scan_number(p: int, decimals: int) -> tuple[int, int]:
    """Integer at `10**-decimals` of an unsigned JSON number without exponent, and the address after it."""
    start = p
    value = load_u8(p) - 48
    if value < 0 or value > 9:
        return 0, NUMBER
    p += 1
    c = load_u8(p) - 48
    if value == 0 and 0 <= c <= 9:
        return 0, SYNTAX
    while 0 <= c <= 9:
        value = value * 10 + c
        p += 1
        c = load_u8(p) - 48
        if p - start > _MAX_DIGITS:
            return 0, WIDE
    whole = p - start
    if value == 0:
        whole = 0
    if whole + decimals > _MAX_DIGITS:
        return 0, WIDE
    left = decimals
    if c == -2:
        p += 1
        start = p
        c = load_u8(p) - 48
        while left > 0 and 0 <= c <= 9:
            value = value * 10 + c
            left -= 1
            p += 1
            c = load_u8(p) - 48
        while c == 0:
            p += 1
            c = load_u8(p) - 48
        if 1 <= c <= 9:
            return 0, FINE
        if p == start:
            return 0, NUMBER
    if c == 53 or c == 21:  # an exponent follows
        return 0, NUMBER
    while left > 0:
        value *= 10
        left -= 1
    return value, p


@kernel
def scan_decimal(p: int, decimals: int) -> tuple[int, int]:
    """Integer at `10**-decimals` of unsigned decimal text up to the closing quote, and the address of that quote."""
    value = 0
    start = p
    c = load_u8(p) - 48
    while 0 <= c <= 9:
        value = value * 10 + c
        p += 1
        c = load_u8(p) - 48
        if p - start > _MAX_DIGITS:
            return 0, WIDE
    whole = p - start
    if whole == 0:
        return 0, NUMBER
    if value == 0:
        whole = 0
    if whole + decimals > _MAX_DIGITS:
        return 0, WIDE
    left = decimals
    if c == -2:
        p += 1
        start = p
        c = load_u8(p) - 48
        while left > 0 and 0 <= c <= 9:
            value = value * 10 + c
            left -= 1
            p += 1
            c = load_u8(p) - 48
        while c == 0:
            p += 1
            c = load_u8(p) - 48
        if p == start and not 1 <= c <= 9:
            return 0, NUMBER
        if 1 <= c <= 9:
            return 0, FINE
    if c != -14:  # a closing quote is 14 below the digit zero
        return 0, NUMBER
    while left > 0:
        value *= 10
        left -= 1
    return value, p


@kernel
def scan_places(p: int) -> tuple[int, int]:
    """Decimal places that unsigned decimal text needs (28145.10 needs 1), and the address of its closing quote."""
    start = p
    while 48 <= load_u8(p) <= 57:
        p += 1
    if p == start:
        return 0, NUMBER
    places = 0
    if load_u8(p) == _POINT:
        p += 1
        start = p
        c = load_u8(p)
        while 48 <= c <= 57:
            p += 1
            if c != _ZERO:
                places = p - start
            c = load_u8(p)
        if p == start:
            return 0, NUMBER
    if load_u8(p) != _QUOTE:
        return 0, NUMBER
    return places, p
