"""The kernel scanner of JSON against the general path and the standard library."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.kernel import kernel
from nanotick.core.memory import store_i64
from nanotick.wire import json_scan
from nanotick.wire.json_text import Digits, WireError, decode, places, rfc3339_ns, rounded, scaled
from tests.guarded import Guarded, mutations


@kernel("i8(i8)")
def skip_one(p: int) -> int:
    return json_scan.skip_value(p)


@kernel("i8(i8,i8,i8)")
def decimal_one(p: int, decimals: int, out: int) -> int:
    value, end = json_scan.scan_decimal(p, decimals)
    store_i64(out, value)
    return end


@kernel("i8(i8,i8)")
def places_one(p: int, out: int) -> int:
    value, end = json_scan.scan_places(p)
    store_i64(out, value)
    return end


@kernel("i8(i8,i8)")
def int_one(p: int, out: int) -> int:
    value, end = json_scan.scan_int(p)
    store_i64(out, value)
    return end


GUARD = Guarded(1 << 20)
OUT = np.zeros(1, dtype=np.int64)
OUT_AT = int(OUT.ctypes.data)


def put(text: bytes) -> int:
    return GUARD.put(np.frombuffer(text + b"\n", dtype=np.uint8))


def skipped(text: bytes) -> int:
    """Bytes taken by `skip_value`, or its reason."""
    at = put(text)
    end = skip_one(at)
    return end - at if end >= 0 else end


def decimal(text: str, decimals: int) -> "int | str":
    at = put(text.encode() + b'"')
    end = decimal_one(at, decimals, OUT_AT)
    return int(OUT[0]) if end >= 0 else json_scan.REASONS[end]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from([None, (",", ":"), (" , ", " : ")]), st.booleans())
def test_any_json_value_is_skipped_to_its_last_byte(value, separators, ascii_only) -> None:
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode()
    assert skipped(text) == len(text)
    assert skipped(text + b" ,") == len(text)


@given(values, st.data())
def test_a_value_cut_short_is_never_taken_for_a_whole_one(value, data) -> None:
    text = json.dumps([value]).encode()
    assert skipped(text[: data.draw(st.integers(0, len(text) - 1))]) < 0


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"Infinity", b"-Infinity", b"01", b"-", b"1.", b".5", b"1e", b"tru", b"nulL", b"[1,]", b'{"a" 1}',
     b"{1:2}", b'{"a":1,}', b"[1 2]", b'"\x01"', b'"open', b"[", b"{", b"", b"]", b"'a'"],
)  # fmt: skip
def test_what_is_not_json_is_refused(text: bytes) -> None:
    taken = skipped(text)
    assert taken < 0 or (text == b"01" and taken == 1)  # the rest of 01 is left for the caller to refuse


def test_nesting_is_bounded() -> None:
    depth = json_scan.MAX_DEPTH
    assert skipped(b"[" * depth + b"]" * depth) == 2 * depth
    assert skipped(b"[" * (depth + 1) + b"]" * (depth + 1)) == json_scan.DEEP
    assert skipped(b'{"a":' * 100_000) == json_scan.DEEP
    with pytest.raises(WireError, match="nested too deeply"):
        decode(b"[" * 100_000)


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=8), st.integers(0, 9))
def test_a_decimal_is_exact_or_refused(number: Decimal, decimals: int) -> None:
    text = f"{number:f}"
    exact = number.scaleb(decimals)
    found = decimal(text, decimals)
    if exact == int(exact):
        assert found == int(exact) == scaled(text, decimals)
        assert places(text) <= decimals
    else:
        assert found == json_scan.REASONS[json_scan.FINE] and places(text) > decimals
        with pytest.raises(WireError, match="decimal places"):
            scaled(text, decimals)
    end = places_one(put(text.encode() + b'"'), OUT_AT)
    assert end > 0 and OUT[0] == places(text)


@given(st.text(alphabet='0123456789.eE+-" ', max_size=24), st.integers(0, 9))
def test_the_kernel_never_reads_a_number_that_the_general_path_reads_otherwise(text: str, decimals: int) -> None:
    text = text.partition('"')[0]
    found = decimal(text, decimals)
    try:
        exact = scaled(text, decimals)
    except WireError:
        exact = None
    assert isinstance(found, str) or found == exact
    plain = text.replace(".", "", 1).isdigit() and not text.startswith(".") and not text.endswith(".")
    if exact is not None and plain and len(text.partition(".")[0].lstrip("0")) + decimals <= 18 and len(text) < 18:
        assert found == exact, "plain decimals never need the general path"


@given(st.integers(0, 10**20))
def test_integers_fit_or_are_refused(value: int) -> None:
    text = str(value).encode()
    end = int_one(put(text + b","), OUT_AT)
    assert (end < 0) == (value >= 10**18)
    assert end < 0 or OUT[0] == value


@pytest.mark.parametrize("text", ["1e5", "1E-3", "12.50e1", "0e9"])
def test_exponents_are_exact_on_the_general_path(text: str) -> None:
    assert decimal(text, 3) == json_scan.REASONS[json_scan.NUMBER]
    assert scaled(text, 3) == Decimal(text).scaleb(3)


@pytest.mark.parametrize(
    "text", ["1e400", "1e-400", "1e999999", "-1", "NaN", "Infinity", "", "1_0", "٣", "0x1", "1" * 200]
)
def test_numbers_out_of_range_are_refused_without_being_computed(text: str) -> None:
    assert isinstance(decimal(text, 2), str)
    with pytest.raises(WireError):
        scaled(text, 2)


def test_rounding_is_half_away_from_zero() -> None:
    assert [rounded(t, 1) for t in ("1.25", "1.24", "-1.25", "7", "0.04")] == [13, 12, -13, 70, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":NaN}', "NaN"), (b'{"a":1,"a":2}', "second time"), (b"{", "not JSON"), (b"\xff\xfe", "not UTF-8"),
        (b"[1", "not JSON"),
    ],
)  # fmt: skip
def test_the_general_path_names_what_it_refuses(text: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        decode(text)


def test_numbers_stay_text_on_the_general_path() -> None:
    assert decode(b'{"a":0.10,"b":12,"c":"1"}') == {"a": "0.10", "b": "12", "c": "1"}
    assert isinstance(decode(b"0.10"), Digits)


def test_times_are_read_to_the_nanosecond() -> None:
    assert rfc3339_ns("2026-04-07T14:30:01.456789Z") == 1775572201456789000
    assert rfc3339_ns("2026-08-09T21:05:48.228568804Z") % 10**9 == 228568804
    with pytest.raises(WireError):
        rfc3339_ns("2026-13-07T14:30:01Z")


def test_random_bytes_never_lead_past_the_text() -> None:
    seeds = [b'{"a":[1,2.5e3,"x\\"y",{"b":null}],"c":true}', b'[["1.5","0.001"],["2","3"]]', b"123456.789", b'"abc"']
    for item in mutations(seeds, 20_000, 5):
        text = bytes(item).replace(b"\n", b" ")
        at = put(text)
        for end in (skip_one(at), decimal_one(at, 3, OUT_AT), places_one(at, OUT_AT), int_one(at, OUT_AT)):
            assert end < 0 or at <= end <= at + len(text)
