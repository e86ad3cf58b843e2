"""What the live codecs make of recorded venue messages: the table of `docs/wire.md`.

    python -m tools.wire_counts DIRECTORY      one row a venue: messages, what they became, what was refused and why

Every message is offered to the venue's codecs in turn (market data, private stream, REST answer, requests) until one
takes it. Messages of products that are not spoken (futures, retail wallets, account pages) are refused with a reason.
"""

import json
import lzma
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nanotick.wire import (
    alpaca,
    alpaca_trading,
    binance,
    coinbase,
    coinbase_trading,
    finnhub,
    kraken,
    kraken_server,
    kraken_trading,
    polygon,
)
from nanotick.wire.binance_reports import UserEvents, decode_reply
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Notice, Other
from nanotick.wire.reports import Reply

Codec = Callable[[bytes], Any]


def codecs() -> dict[str, tuple[Codec, ...]]:
    """The codecs of each folder of samples, in the order in which they are tried."""
    return {
        "alpaca": (
            alpaca.decode_frame,
            alpaca_trading.decode_stream,
            lambda data: alpaca_trading.decode_reply(200, data),
        ),
        "binance": (UserEvents().decode_frame, binance.decode_frame, lambda data: decode_reply(200, data)),
        "coinbase": (
            coinbase_trading.UserOrders().decode_frame,
            coinbase.decode_frame,
            lambda data: coinbase_trading.decode_reply(200, data),
        ),
        "coinbasepro": (coinbase.decode_frame,),
        "finnhub": (finnhub.decode_frame,),
        "kraken": (
            kraken_trading.Executions().decode_frame,
            kraken.decode_frame,
            lambda data: kraken_trading.decode_reply(200, data),
            kraken_server.decode_stream_request,
        ),
        "polygon": (polygon.decode_frame,),
    }


def messages(path: Path) -> Iterator[bytes]:
    """The messages of a sample file: one document, one a line, or the wrapped form of the collections."""
    raw = lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes()
    try:
        json.loads(raw)
    except ValueError:
        lines = [line for line in raw.splitlines() if line.strip()]
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:
                yield raw if len(lines) > 1 else line  # comments inside: one malformed text
                return
            yield json.dumps(item["msg"]).encode() if isinstance(item, dict) and "msg" in item else line
        return
    yield raw


def offer(data: bytes, tried: tuple[Codec, ...]) -> tuple[list[Any], str]:
    """What the codecs make of a message: what the first gave that found a meaning in it, or the last reason."""
    best: list[Any] | None = None
    reason = ""
    for codec in tried:
        try:
            found = codec(data)
        except WireError as error:
            reason = reason or str(error)
            continue
        found = list(found) if isinstance(found, list) else [found]
        if any(not isinstance(item, Other | Reply) for item in found):
            return found, ""
        best = best or found
    return (best, "") if best is not None else ([], reason or "nothing in it")


def _kind(reason: str) -> str:
    """A reason without its particulars, so that like ones are counted together."""
    return re.sub(r"[\[(].*[\])]|'[^']*'|[0-9]+", "..", reason)[:60]


def rows(root: Path) -> Iterator[str]:
    """The rows of the table."""
    for venue, tried in codecs().items():
        found, refused, meant = Counter[str](), Counter[str](), 0
        total = read = 0
        for path in sorted((root / venue).rglob("*")):
            if not path.is_file():
                continue
            for data in messages(path):
                total += 1
                values, reason = offer(data, tried)
                if reason:
                    refused[_kind(reason)] += 1
                    continue
                read += 1
                kinds = {type(value).__name__ for value in values if not isinstance(value, Other | Reply | Notice)}
                meant += bool(kinds)
                found.update(kinds)
        became = " ".join(f"{name} {count:,}" for name, count in sorted(found.items()))
        yield f"| {venue} | {total:,} | {meant:,} | {read - meant:,} | {total - read:,} | {became} |"
        if "-v" in sys.argv:
            for reason, count in refused.most_common(12):
                print(f"    {count:5} {reason}", file=sys.stderr)


def main() -> int:
    """Print the table."""
    arguments = [a for a in sys.argv[1:] if a != "-v"]
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    print("| folder | messages | with a meaning | counted only | refused | became (messages that hold one) |")
    print("|---|---|---|---|---|---|")
    for row in rows(Path(arguments[0])):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
