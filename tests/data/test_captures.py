"""Real captures give the counts their provenance states; packets in any order give every message once."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.captures import Gap, Packet, Part, Sequencer
from nanotick.data.format import Reading
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.itch import SIZES, frame
from tests.wire.test_pcap import pcap, udp


def counts(reading: Reading) -> dict[str, int]:
    return {kind: places.count for kind, places in reading.report.anomalies.items()}


def test_the_moldudp64_capture_of_the_open(shared_data: Path) -> None:
    path = shared_data / "us_exchange_feeds/nasdaq_itch/20230822_open_100packets_moldudp64.pcap"
    reading = Reading(open_sources([path]))
    events = reading.events()
    assert dict(reading.report.messages) == {"U": 99, "A": 125, "D": 30, "F": 6, "I": 5, "E": 3, "S": 1}
    assert counts(reading) == {} and reading.format_names == "moldudp64"
    assert (np.diff(events["seq"]) >= 1).all() and (events["ts_recv"] > events["ts_venue"]).all()


def test_the_deep_capture(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "us_exchange_feeds/iex/DEEP10.pcap.xz"]))
    total = sum(len(chunk) for chunk in reading)
    stated = {"H": 93638, "O": 93638, "P": 93636, "T": 83343, "5": 14630, "8": 12950, "B": 73, "E": 59, "S": 44}
    assert dict(reading.report.messages) == stated and total > 200_000
    assert counts(reading) == {"gap": 11, "truncated": 1}
    assert any("121,315 segments of DEEP 1.0" in note for note in reading.report.notes)


def test_the_tops_capture(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "us_exchange_feeds/iex/TOPS16.pcapng.xz"]))
    events = reading.events()
    stated = {"Q": 27217, "T": 6390, "P": 7802, "O": 7801, "H": 7803, "A": 642, "D": 10, "S": 6, "B": 3}
    assert dict(reading.report.messages) == stated and counts(reading) == {}
    assert (events["kind"] == Kind.QUOTE).sum() == 27217


def test_every_one_type_capture_of_the_types_we_read_decodes(shared_data: Path, tmp_path: Path) -> None:
    seen: set[str] = set()
    with tarfile.open(shared_data / "us_exchange_feeds/omi/omi_data_packets_398.tar.xz") as archive:
        for member in archive:
            if not any(part in member.name for part in ("TotalView.Itch", "/Tops.", "/Deep.IexTp.v1.0")):
                continue
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            (tmp_path / "one.pcap").write_bytes(file.read())
            reading = Reading(open_sources([tmp_path / "one.pcap"]))
            reading.events()
            assert set(counts(reading)) <= ({"gap"} if "Multiple" in member.name else set()), member.name
            assert reading.report.messages or "Heartbeat" in member.name
            seen |= {f"{reading.format_names} {kind}" for kind in reading.report.messages}
    itch = {kind.partition(" ")[2] for kind in seen if kind.startswith("mold")}
    assert itch >= set("AFECXDUPQIHYLNJS") and {"iex 8", "iex 5", "iex Q", "iex T"} <= seen


def message(seq: int) -> bytes:
    return frame(
        b"A" + (1).to_bytes(2, "big") + bytes(8) + seq.to_bytes(8, "big") + b"B\0\0\0\1" + b"IBM     " + bytes(4)
    )


def packet(seq: int, count: int, session: bytes = b"SESSION001") -> bytes:
    body = b"".join(message(seq + i) for i in range(count))
    return udp(session + seq.to_bytes(8, "big") + count.to_bytes(2, "big") + body)


def read(path: Path, frames: list[bytes]) -> tuple[Reading, np.ndarray]:
    path.write_bytes(pcap([(10**18 + 1000 * i, f) for i, f in enumerate(frames)]))
    reading = Reading(open_sources([path]))
    return reading, reading.events()


def test_known_answer_packet() -> None:
    known = "53455353494f4e303031000000000000002a00020024"
    add = "4104d200021f1aced9f07b000000003ade68b1420000012c4141504c202020200016ed24"
    executed = "4504d200021f1aced9f07b000000003ade68b10000006400000000000015af"
    from nanotick.data.moldudp64 import head, is_downstream

    data = bytes.fromhex(known + add + "001f" + executed)
    assert len(data) == 91 and head(data) == (b"SESSION001", 42, 2) and is_downstream(data)


@pytest.mark.parametrize("seed", range(20))
def test_lost_repeated_and_reordered_packets_give_every_message_that_came_once_and_in_order(
    tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 4, 60)
    starts = 1 + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sent = [(int(s), int(n)) for s, n in zip(starts, sizes, strict=True)]
    lost = {int(i) for i in random.integers(1, 60, 4)}
    order = sorted((i + random.uniform(0, 6) if i else -1.0, i) for i in range(60) if i not in lost)
    frames = [packet(*sent[i]) for _, i in order]
    for _ in range(5):
        place = int(random.integers(1, len(frames)))
        frames.insert(place, frames[int(random.integers(place))])
    reading, events = read(tmp_path / "x.pcap", frames)
    adds = events[events["kind"] == Kind.ADD]
    wanted = [s + k for i, (s, n) in enumerate(sent) if i not in lost for k in range(n)]
    assert list(adds["id"]) == wanted == list(adds["seq"])
    assert (np.diff(events["ts_recv"]) >= 0).all()
    gaps = events[events["kind"] == Kind.GAP]
    # what was lost at the very end is no gap: nothing later tells of it
    missing = sorted(s + k for i, (s, n) in enumerate(sent) if i in lost and s < wanted[-1] for k in range(n))
    assert sorted(s + k for s, n in zip(gaps["seq"], gaps["word"], strict=True) for k in range(n)) == missing
    assert reading.report.count(Anomaly.GAP) == len(gaps) and (gaps["flags"] & Flag.LAST != 0).all()


def test_redundant_lines_repair_each_other() -> None:
    report = QualityReport(strict=True)
    sequencer = Sequencer(report, "x")
    random = np.random.default_rng(5)
    got: list[int] = []
    for seq in range(1, 500):
        lines = [1, 2] if random.random() < 0.6 else [int(random.integers(1, 3))]
        for line in lines:
            for item in sequencer.offer("s", seq, 1, Packet(seq, line, 0, np.zeros(0, np.uint8)), seq):
                assert isinstance(item, Part)
                got.append(item.seq)
    assert got == list(range(1, 500)) and not sequencer.finish()


def test_a_late_heartbeat_shows_what_was_lost() -> None:
    report = QualityReport()
    sequencer = Sequencer(report, "x")
    empty = np.zeros(0, np.uint8)
    sequencer.offer("s", 1, 3, Packet(0, 1, 0, empty), 1)
    assert sequencer.offer("s", 9, 0, Packet(1, 1, 0, empty), 2) == []
    (gap,) = sequencer.finish()
    assert gap == Gap(1, 4, 5) and report.count(Anomaly.GAP) == 1


def test_a_message_that_is_none_is_skipped_by_its_length(tmp_path: Path) -> None:
    good = message(7)
    body = good + b"\0\x05?abcd" + good
    data = udp(b"SESSION001" + (1).to_bytes(8, "big") + (3).to_bytes(2, "big") + body)
    reading, events = read(tmp_path / "x.pcap", [packet(1, 1), data])
    assert len(events) == 2 and counts(reading) == {"unknown_message": 1}
    assert SIZES[ord("A")] + 2 == len(good)
