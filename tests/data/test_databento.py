"""Databento's own test files, every schema and version, and a real order-by-order day."""

import tarfile
from pathlib import Path

import pytest

from nanotick.core.records import Kind
from nanotick.data.archive import open_sources
from nanotick.data.format import Reading

pytest.importorskip("databento_dbn", reason="pip install 'nanotick[databento]'")


def test_every_schema_and_version_decodes(shared_data: Path, tmp_path: Path) -> None:
    kinds: dict[str, set[str]] = {}
    with tarfile.open(shared_data / "us_exchange_feeds/dbn/dbn_test_data.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or member.name.endswith(".dbz"):  # the format before DBN, which Databento dropped
                continue
            path = tmp_path / Path(member.name).name
            path.write_bytes(file.read())
            reading = Reading(open_sources([path]), "databento")
            events = reading.events()
            found = {k: v.first[0] for k, v in reading.report.anomalies.items() if k != "unsupported"}
            assert not found, f"{path.name}: {found}"
            assert reading.report.messages or ".ohlcv-1d." in path.name, f"{path.name} holds no record"
            schema = path.name.split(".")[1]
            kinds.setdefault(schema, set()).update(Kind(int(k)).name for k in set(events["kind"].tolist()))
    assert kinds["mbo"] & {"ADD", "REDUCE"} and "TRADE" in kinds["trades"] and "BAR" in kinds["ohlcv-1m"]
    assert {"QUOTE"} <= kinds["mbp-1"] and "LEVEL" in kinds["mbp-10"] and "STATUS" in kinds["status"]
    assert "IMBALANCE" in kinds["imbalance"] and "INSTRUMENT" in kinds["definition"]


def test_a_real_order_by_order_day(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "nautilus/cme_databento/esh4-glbx-mdp3-20231225.mbo.dbn.zst"]))
    events = reading.events()
    assert not reading.report.anomalies
    # all records but the trades are the 65,819 the file's provenance counts
    assert reading.report.messages["mbo"] - reading.report.events["TRADE"] == 65_819
    assert [i.symbol for i in reading.listing] == ["ESH4"] and len(events) > 60_000
    adds = events[events["kind"] == Kind.ADD]
    assert ((adds["price"] > 1000 * 10**9) & (adds["price"] < 12_000 * 10**9)).mean() > 0.99
