"""`nanotick replay` and `nanotick recover`: what a session's journal proves, and what it brings back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def replay(
    journal: Path,
    *,
    verify: Annotated[bool, Parameter(negative="")] = False,
    to: int | None = None,
    changed_code: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Run a session again from its journal.

    For example:

    nanotick simulate us-equities -s imbalance --symbols AAPL --journal session

    nanotick replay session --verify

    nanotick replay session --to 120000 --json    the state after record 120000

    Exit codes: 0 the same commands, byte for byte; 1 another command, or damage.

    Parameters
    ----------
    journal
        Directory of a session's journal, or the archive that it has become.
    verify
        Check every segment first (records, marks, hashes), and write VERIFIED or what differs.
    to
        Last record to replay.
    changed_code
        Go on with strategies whose code has changed since, to see where they would first have decided otherwise.
    as_json
        Print one object and nothing else.
    quiet
        No progress.
    """
    from nanotick.core.journal_reader import inspect
    from nanotick.engine import session_replay
    from nanotick.engine.session_archive import opened_session

    started = time.perf_counter()
    with opened_session(journal) as opened:
        damage = inspect(opened).damage if verify and opened.is_dir() else []
        if damage:
            return _refuse(journal, damage, as_json)
        with _bar("replaying", quiet or as_json) as progress:
            found = session_replay.replay(opened, to, progress, changed_code, session_replay.last_sequence(opened))
    _show(journal, found, as_json, verify, time.perf_counter() - started)
    return 0 if found.difference is None else 1


def recover(
    journal: Path,
    *,
    to: int | None = None,
    snapshot: Annotated[bool, Parameter(negative="")] = False,
    changed_code: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Bring back the state a session had reached: newest snapshot and the journal's tail.

    Nothing is sent and the journal is left as it is, so this may run beside a live session.

    For example:

    nanotick recover session

    nanotick recover session --snapshot    writes a snapshot there, so that the next recovery is short

    Exit codes: 0 recovered; 1 the journal is damaged, or its commands are not those that the step makes.

    Parameters
    ----------
    journal
        Directory of a session's journal.
    to
        Last record to go to.
    snapshot
        Write the state found as a snapshot, once the journal is durable up to it.
    changed_code
        Go on with strategies whose code has changed since.
    as_json
        Print one object and nothing else.
    quiet
        No progress.
    """
    from nanotick.core.snapshot import SnapshotStore
    from nanotick.engine import session_replay
    from nanotick.engine.session import SNAPSHOTS

    started = time.perf_counter()
    with _bar("recovering", quiet or as_json) as progress:
        found = session_replay.recover(journal, to, progress, changed_code)
    written = ""
    if snapshot and found.difference is None and not len(found.unsent):
        synced = session_replay.synced_sequence(journal, found.sequence)
        written = str(SnapshotStore(journal / SNAPSHOTS).save(found.built.arena, found.sequence, synced))
    _show(journal, found, as_json, False, time.perf_counter() - started, written)
    return 0 if found.difference is None else 1


def _bar(what: str, quiet: bool) -> Any:
    from contextlib import contextmanager

    from nanotick.cli.progress import RunProgress, cold_sentence

    @contextmanager
    def bar() -> Any:
        with RunProgress(what, quiet) as shown:
            shown.waiting(cold_sentence("replay_records"))
            started = time.perf_counter()
            yield lambda done, last: shown.events(done, last, time.perf_counter() - started)

    return bar()


def _refuse(journal: Path, damage: list[str], as_json: bool) -> int:
    from nanotick.cli.progress import print_json

    if as_json:
        print_json({"journal": str(journal), "verified": False, "damage": damage})
        return 1
    import sys

    for line in damage:
        print(f"damaged: {line}", file=sys.stderr)
    print("Restore the segment from a copy; docs/journal.md says how to give up what follows instead.", file=sys.stderr)
    return 1


def _positions(found: Any) -> list[dict[str, Any]]:
    local = found.built.local
    count = max(1, len(local.instruments))
    rows = []
    for place, row in enumerate(local.portfolio.positions.view):
        if row["trades"]:
            item = local.instruments[place % count]
            rows.append(
                {
                    "strategy": local.names[place // count],
                    "instrument": f"{item.symbol}@{item.venue}",
                    "position": str(item.qty_decimal(int(row["qty"]))),
                    "trades": int(row["trades"]),
                }
            )
    return rows


def _show(journal: Path, found: Any, as_json: bool, verify: bool, seconds: float, written: str = "") -> None:
    from dataclasses import asdict

    from nanotick.cli.progress import print_json

    if as_json:
        print_json(
            {
                "journal": str(journal),
                "verified": found.difference is None,
                "difference": None if found.difference is None else asdict(found.difference),
                "first_sequence": found.first_sequence,
                "sequence": found.sequence,
                "inputs": found.inputs,
                "commands": found.commands,
                "unsent": len(found.unsent),
                "ended": found.ended,
                "snapshot": None if found.snapshot is None else str(found.snapshot),
                "written": written or None,
                "rejected": found.rejected,
                "changed": found.built.changed,
                "state": found.state_hash,
                "positions": _positions(found),
                "seconds": round(seconds, 3),
            }
        )
        return
    for line in found.rejected:
        print(f"passed over: {line}")
    for line in found.built.changed:
        print(f"changed since: {line}")
    start = f"from {found.snapshot.name}, " if found.snapshot else ""
    print(
        f"{journal}: {start}records {found.first_sequence:,} to {found.sequence:,}, {found.inputs:,} inputs, "
        f"{found.commands:,} commands, {seconds:.1f} s"
    )
    for row in _positions(found):
        print(f"  {row['strategy']:24} {row['instrument']:20} {row['position']:>14} after {row['trades']:,} trades")
    print(f"state {found.state_hash}")
    if written:
        print(f"wrote {written}")
    if found.difference is not None:
        print(f"DIFFERS: {found.difference}")
        return
    if not found.ended:
        print("The session was not closed: it was killed, is running, or --to stopped before its end.")
    if len(found.unsent):
        print(f"{len(found.unsent)} commands of the last input are not in the journal: no gateway has seen them.")
    if verify:
        print("VERIFIED: the same commands, byte for byte.")
