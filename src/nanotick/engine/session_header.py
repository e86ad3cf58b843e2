"""What a session is, as the first records of its journal: enough to build its local side again, and to see that it is
the same one.

The header is JSON, compressed and cut into SESSION records of 40 bytes each, so the journal's checks and hashes cover
it. It names the configuration, instruments, strategies with their parameters and the digest of their code, limits,
capacities, seed, layouts, and the digest of every region of the state before the first event.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import inspect
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick import __version__
from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.journal import DEFAULT_SEGMENT_BYTES, DEFAULT_SYNC_INTERVAL_S, Journal
from nanotick.core.memory import dtype_digest
from nanotick.core.records import COMMAND, EVENT, Kind
from nanotick.core.snapshot import STATE_SCHEMA
from nanotick.core.source import source_digest
from nanotick.engine.changes import kept_code
from nanotick.engine.journaling import STEP_RECORDS, SessionMark
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.risk.dynamic import DynamicLimits
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy

HEADER_SCHEMA = 1
_PIECE = 40
_PLACES = (("ts_venue", 0), ("ts_recv", 8), ("price", 16), ("qty", 24), ("id", 32))
_LARGEST = 64 << 20


class SessionError(Exception):
    """A journal holds no session that can be built again; the message says what is missing and what would help."""


@dataclass(frozen=True)
class Built:
    """A local side built from a header.

    Attributes
    ----------
    local : LocalSide
    arena : Arena
        Of its regions alone.
    changed : list of str
        Code that is not what it was when the session ran.
    """

    local: LocalSide
    arena: Arena
    changed: list[str]


def describe(local: LocalSide, config: Mapping[str, Any], code_hash: str, sample_interval_ns: int) -> dict[str, Any]:
    """The header of a session that is about to begin."""
    return {
        "schema": HEADER_SCHEMA,
        "state_schema": STATE_SCHEMA,
        "version": __version__,
        "source": source_digest(),
        "event": dtype_digest(EVENT),
        "command": dtype_digest(COMMAND),
        "code_hash": code_hash,
        "seed": local.seed,
        "currency": local.portfolio.currency,
        "rates": {name: str(rate) for name, rate in local.rates.items()},
        "time_zone": local.time_zone,
        "sample_interval_ns": sample_interval_ns,
        "capacity": asdict(local.capacity),
        "limits": _limits(local.limits),
        "instruments": [item.as_dict() for item in local.instruments],
        "strategies": [_strategy(local, number) for number in range(len(local.setups))],
        "config": json.loads(json.dumps(dict(config), default=str)),
        "state": local.arena.part(local.region_names).region_digests(),
    }


def _limits(limits: RiskLimits | None) -> dict[str, Any] | None:
    if limits is None:
        return None
    values = _plain(limits)
    if isinstance(limits.dynamic, DynamicLimits):
        values["dynamic"] = _plain(limits.dynamic)
    return values


def _plain(limits: RiskLimits | DynamicLimits) -> dict[str, Any]:
    values = {f.name: getattr(limits, f.name) for f in fields(limits)}
    return {name: v if v is None or isinstance(v, int) else str(v) for name, v in values.items()}


def _strategy(local: LocalSide, number: int) -> dict[str, Any]:
    setup, name = local.setups[number], local.names[number]
    cls = type(setup.strategy)
    try:
        file = inspect.getsourcefile(cls) or ""
    except TypeError:
        file = ""
    return {
        "name": name,
        "module": cls.__module__,
        "class": cls.__qualname__,
        "file": "" if cls.__module__.startswith("nanotick.") else str(Path(file).resolve()) if file else "",
        "code": cls.source_key(),
        "parameters": setup.strategy.parameters,
        "record": base64.b64encode(zlib.compress(local.selves[number].tobytes(), 6)).decode(),
        "instruments": list(setup.instruments),
        "cash": setup.cash,
        "limits": _limits(setup.limits),
    }


def header_records(header: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The header as SESSION records."""
    data = zlib.compress(json.dumps(header, separators=(",", ":")).encode(), 6)
    records = np.zeros(-(-len(data) // _PIECE), EVENT)
    padded = np.frombuffer(data.ljust(len(records) * _PIECE, b"\0"), "<i8").reshape(-1, _PIECE // 8)
    for name, offset in _PLACES:
        records[name] = padded[:, offset // 8]
    records["seq"] = np.arange(len(records))
    records["instrument"] = len(data)
    records["kind"], records["word"] = int(Kind.SESSION), int(SessionMark.HEADER)
    return records


def header_length(record: Any) -> int:
    """How many records the header has whose first record this is; 0 when it is none."""
    header = record["kind"] == int(Kind.SESSION) and record["word"] == int(SessionMark.HEADER)
    size = int(record["instrument"])
    return -(-size // _PIECE) if header and record["seq"] == 0 and size <= _LARGEST else 0


def read_header(records: npt.NDArray[Any], where: Path) -> dict[str, Any]:
    """Inverse of `header_records`.

    Raises
    ------
    SessionError
        The records are no header, or one of another schema.
    """
    wanted = header_length(records[0]) if len(records) else 0
    if wanted == 0:
        found = f"kind {int(records[0]['kind'])}" if len(records) else "no record"
        raise SessionError(f"{where}: expected a session's header as record 1, found {found}; this is another journal")
    if len(records) < wanted:
        raise SessionError(
            f"{where}: the header has {wanted} records, found {len(records)}: the session died before its first event, "
            "so there is nothing to replay"
        )
    pieces = np.stack([records[name][:wanted] for name, _ in _PLACES], axis=1)
    data = np.ascontiguousarray(pieces).tobytes()[: int(records[0]["instrument"])]
    try:
        header: dict[str, Any] = json.loads(zlib.decompress(data))
    except (zlib.error, ValueError) as error:
        raise SessionError(f"{where}: records 1 to {wanted} are no header: {error}") from error
    if header["schema"] != HEADER_SCHEMA:
        raise SessionError(f"{where}: header schema {header['schema']}; this nanotick reads {HEADER_SCHEMA}")
    for name, dtype in (("event", EVENT), ("command", COMMAND)):
        if header[name] != dtype_digest(dtype):
            raise SessionError(
                f"{where}: {name} records of layout {header[name]}, expected {dtype_digest(dtype)}; "
                f"replay it with nanotick {header['version']}"
            )
    return header


def build(header: Mapping[str, Any], where: Path, changed_code: bool = False) -> Built:
    """The local side as it was before the session's first event.

    Parameters
    ----------
    header : mapping
    where : Path
        The journal, for messages.
    changed_code : bool
        Go on with strategies whose code has changed since.

    Raises
    ------
    SessionError
        A strategy is not there any more or is another one, or the state built is not the one the session began with.
    """
    changed: list[str] = []
    setups = []
    for entry in header["strategies"]:
        try:
            cls = _strategy_class(entry, where)
        except SessionError:
            found_code = kept_code(where, entry["code"], entry["module"])
            if found_code is None:
                raise
            cls = found_code
        if cls.source_key() != entry["code"]:
            cls = kept_code(where, entry["code"], entry["module"]) or cls  # the file has been edited since
        if cls.source_key() != entry["code"]:
            changed.append(f"strategy {entry['name']}: code {cls.source_key()}, was {entry['code']}")
        limits = None if entry["limits"] is None else RiskLimits(**entry["limits"])
        setups.append(
            StrategySetup(
                cls(**entry["parameters"]), tuple(entry["instruments"]), entry["cash"], limits, name=entry["name"]
            )
        )
    if changed and not changed_code:
        raise SessionError(
            f"{where}: {'; '.join(changed)}. Check out the code that ran, or replay with --changed-code to see what "
            "the present one would do"
        )
    if header["source"] != source_digest():
        changed.append(f"nanotick itself: source {source_digest()}, was {header['source']}")
    capacity = Capacity(**header["capacity"])
    table = InstrumentTable(Instrument.from_dict(item) for item in header["instruments"])
    arena = Arena(capacity.arena_bytes)
    local = LocalSide(
        arena, table, setups, RiskLimits(**header["limits"]), capacity, header["seed"], header["currency"],
        header["rates"], header["time_zone"],
    )  # fmt: skip
    for entry, record in zip(header["strategies"], local.selves, strict=True):
        raw = zlib.decompress(base64.b64decode(entry["record"]))  # arrays and indicators too, which are no parameters
        if len(raw) == record.nbytes:
            record.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    part = arena.part(local.region_names)
    found, expected = part.region_digests(), header["state"]
    different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if different and not changed:
        raise SessionError(
            f"{where}: the state built from the header differs from the session's first in {', '.join(different)}; "
            "the session began with something its header does not say"
        )
    return Built(local, part, changed)


def open_journal(
    directory: Path,
    header: Mapping[str, Any],
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
    sync_interval_s: float | None = DEFAULT_SYNC_INTERVAL_S,
) -> Journal:
    """A new session's journal, begun with its header.

    Raises
    ------
    SessionError
        The directory holds a session already.
    """
    journal = Journal(directory, segment_bytes, sync_interval_s)
    try:
        if journal.next_sequence > 1:
            raise SessionError(
                f"{directory}: holds a session of {journal.next_sequence - 1:,} records already; name another "
                f"directory, or look at it with `nanotick replay {directory} --verify`"
            )
        if journal.capacity < STEP_RECORDS:
            raise ValueError(f"segment_bytes: a segment must hold {STEP_RECORDS} records, found {journal.capacity}")
        journal.append_array(header_records(header))
    except BaseException:
        journal.close()
        raise
    return journal


def _strategy_class(entry: Mapping[str, Any], where: Path) -> type[Strategy]:
    try:
        module = _module(entry["module"], entry["file"])
        found: Any = module
        for name in entry["class"].split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, OSError) as error:
        raise SessionError(
            f"{where}: strategy {entry['name']} was {entry['module']}.{entry['class']}"
            f"{' in ' + entry['file'] if entry['file'] else ''}, which is not there now: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise SessionError(f"{where}: {entry['module']}.{entry['class']} is no nanotick.Strategy any more")
    return found


def _module(name: str, file: str) -> Any:
    if name in sys.modules and name != "__main__":
        return sys.modules[name]
    if not file or not (name == "__main__" or name.startswith("nanotick_user_")):
        try:
            return importlib.import_module(name)
        except ImportError:
            if not file:
                raise
    alias = f"nanotick_session_{Path(file).stem}" if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(alias, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(alias, None)
        raise
    return module
