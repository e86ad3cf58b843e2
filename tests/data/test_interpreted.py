"""The kernels of this package say the same compiled and interpreted, and hold no reference counts."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanotick.core.mode import INTERPRET

SCRIPT = """
import hashlib, sys
from nanotick.data.archive import open_sources
from nanotick.data.format import Reading
total = hashlib.sha256()
for path in sys.argv[1:]:
    for chunk in Reading(open_sources([path])):
        total.update(chunk.tobytes())
print(total.hexdigest())
"""


def small_files(shared_data: Path, tmp_path: Path) -> list[Path]:
    feeds = shared_data / "us_exchange_feeds/nasdaq_itch"
    from nanotick.data.archive import open_sources

    pair = open_sources([shared_data / "lobster/GOOG_2012-06-21_5.zip"])
    for source in pair:
        (tmp_path / source.name).write_bytes(b"\n".join(source.open().read(1 << 20).split(b"\n")[:1500]) + b"\n")
    (tmp_path / "t.csv").write_text("time,price,size\n" + "".join(f"16000000{i:02},{i}.5,{i}\n" for i in range(10, 90)))
    import zipfile

    with zipfile.ZipFile(tmp_path / "pair.zip", "w") as archive:
        for source in pair:
            archive.write(tmp_path / source.name, source.name)
    captures = [feeds / "20230822_open_100packets_moldudp64.pcap"]
    return [feeds / "2019_first4096bytes_truncated.itch50", *captures, tmp_path / "pair.zip", tmp_path / "t.csv"]


@pytest.mark.skipif(INTERPRET, reason="there is nothing to compare with")
def test_interpreted_readers_give_the_same_events(shared_data: Path, tmp_path: Path) -> None:
    files = [str(path) for path in small_files(shared_data, tmp_path)]
    answers = []
    for interpret in ("", "1"):
        environment = {**os.environ, "NANOTICK_INTERPRET": interpret}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *files], env=environment, capture_output=True, text=True, check=True
        )
        answers.append(done.stdout.strip())
    assert answers[0] == answers[1] and answers[0] != hashlib.sha256().hexdigest()
