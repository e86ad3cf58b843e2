"""The log says what happened, one JSON object a line, delays nobody, and never shows a secret."""

import base64
import copy
import gzip
import io
import json
import pickle
import threading
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pytest

from nanotick.core.clock import VirtualClock
from nanotick.core.log import Log, line_of
from nanotick.core.secret import Secret, redact

CANARY = 'k3y/with+"quote" and=ünicode'


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_holds_time_level_message_and_fields() -> None:
    out = io.StringIO()
    with Log(out, clock=VirtualClock(1_700_000_000_000_000_001)) as log:
        log.bind(venue="alpaca").bind(order=17).info("order sent", price=Decimal("1.10"), qty=np.int64(5), message="m")
        log.debug("left out")
        log.error("failed", cause=ValueError("bad frame"))
    first, second = lines_of(out.getvalue())
    assert first["ts"] == "2023-11-14T22:13:20.000000001Z"
    assert (first["level"], first["message"], first["message_"]) == ("info", "order sent", "m")
    assert (first["venue"], first["order"], first["price"], first["qty"]) == ("alpaca", 17, "1.10", 5)
    assert "ValueError: bad frame" in second["cause"]


def test_a_secret_shows_in_no_shape_anywhere() -> None:
    secret = Secret(CANARY)
    out = io.StringIO()
    try:
        raise RuntimeError(f"GET /v2?{urlencode({'key': CANARY})} refused")
    except RuntimeError as caught:
        error = caught
    with Log(out) as log:
        log.info(
            f"connecting with {CANARY}", secret=secret, nested={"deep": [CANARY, {CANARY: 1}]}, raw=CANARY.encode()
        )
        log.info("auth", header="Basic " + base64.b64encode(CANARY.encode()).decode(), path=quote(CANARY), error=error)
        log.bind(order=1).warning("looped", odd={(1, 2): CANARY})
    text = out.getvalue()
    assert len(lines_of(text)) == 3
    for shape in (CANARY, json.dumps(CANARY)[1:-1], quote(CANARY), base64.b64encode(CANARY.encode()).decode()):
        assert shape not in text
    assert "k3y" not in text and "with+" not in text
    assert text.count("[hidden]") >= 7


def test_a_secret_hides_from_repr_format_pickle_and_copy() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY and secret == Secret(CANARY) and secret != Secret("another one") and secret
    for text in (repr(secret), str(secret), f"{secret:>40}", f"{[secret]}", "".join(map(str, [secret]))):
        assert "k3y" not in text
    for dump in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            dump(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_short_words_are_not_searched_for() -> None:
    Secret("usd")
    assert redact("cash usd") == "cash usd"


class Stalled(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def write(self, text: str) -> int:
        self.gate.wait(10)
        return super().write(text)


def test_a_stalled_writer_delays_nobody_and_lost_lines_are_counted() -> None:
    stalled = Stalled()
    log = Log(stalled, queue_lines=100)
    log.info("first")
    time.sleep(0.2)  # the thread is inside its write now
    for n in range(500):
        log.info("line", n=n)
    assert log.dropped >= 400 - 1
    stalled.gate.set()
    log.close()
    found = lines_of(stalled.getvalue())
    assert [line["n"] for line in found if line["message"] == "line"] == list(range(500 - log.dropped))
    assert sum(line["count"] for line in found if line["message"] == "log lines dropped") == log.dropped


def test_a_full_file_is_rotated_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    with Log(path, rotate_bytes=1_000) as log:
        for n in range(60):
            log.info("line", n=n)
            if n % 20 == 19:
                log.flush()
    packed = sorted(tmp_path.glob("run.log.*.gz"))
    assert len(packed) >= 3 and path.stat().st_mode & 0o777 == packed[0].stat().st_mode & 0o777 == 0o600
    texts = [gzip.decompress(p.read_bytes()).decode() for p in packed] + [path.read_text()]
    assert [line["n"] for text in texts for line in lines_of(text)] == list(range(60))


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="debug, info, warning"):
        Log(io.StringIO(), level="loud")


def test_what_json_cannot_hold_is_still_a_line() -> None:
    loop: list = []
    loop.append(loop)
    assert json.loads(line_of(0, "info", "m", {"loop": loop}))["message"] == "m"
