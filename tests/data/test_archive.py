"""Archives are read as they are, and a cut one gives what is before the cut."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.data.archive import Blocks, open_sources
from nanotick.data.quality import BadDataError

# compressible, but not so much that every cut falls into one block
TEXT = b"".join(b"%d,%d\n" % (i, random.Random(i).randrange(10**6)) for i in range(40_000))


def zstd_file(data: bytes, path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(data)


CODECS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


def store(path: Path, codec: str) -> None:
    if codec == "zst":
        zstd_file(TEXT, path)
    else:
        path.write_bytes(CODECS[codec](TEXT))


@pytest.mark.parametrize("codec", ["gz", "xz", "bz2", "zst"])
def test_a_compressed_file_reads_as_its_content_whatever_its_name(tmp_path: Path, codec: str) -> None:
    store(tmp_path / "day.data", codec)
    (source,) = open_sources([tmp_path / "day.data"])
    stream = source.open()
    assert stream.read(10) + stream.read(1000) + stream.read() == TEXT and not stream.cut
    assert source.head(16) == TEXT[:16]


@pytest.mark.parametrize("codec", ["gz", "xz", "bz2", "zst"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.93])
def test_a_cut_compressed_file_gives_a_prefix_and_says_why(tmp_path: Path, codec: str, share: float) -> None:
    store(tmp_path / "x", codec)
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(data[: int(len(data) * share)])
    stream = open_sources([tmp_path / "x"])[0].open()
    got = stream.read()
    assert TEXT.startswith(got) and stream.cut
    if codec in ("gz", "xz") and share > 0.1:
        assert len(got) > len(TEXT) * (share - 0.2)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b""]),
)
def test_arbitrary_bytes_behind_any_magic_are_survived(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(magic + body)
    try:
        for source in open_sources([path]):
            source.open().read()
    except BadDataError as error:
        assert "zip" in str(error)


def test_a_zip_gives_its_members_and_expands_compressed_ones(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.csv", TEXT)
        archive.writestr("sub/two.csv.gz", gzip.compress(TEXT))
    sources = open_sources([tmp_path / "a.zip"])
    assert [s.name for s in sources] == ["one.csv", "two.csv.gz"]
    assert [s.open().read() for s in sources] == [TEXT, TEXT]


def test_a_zip_cut_before_its_directory_gives_the_members_before_the_cut(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.csv", TEXT)
        archive.writestr("two.csv", TEXT)
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[: len(data) * 3 // 4])
    one, two = open_sources([tmp_path / "a.zip"])
    assert one.open().read() == TEXT
    stream = two.open()
    part = stream.read()
    assert TEXT.startswith(part) and len(part) > 10_000 and stream.cut


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_gives_its_files(tmp_path: Path, mode: str) -> None:
    with tarfile.open(tmp_path / "a.tar.any", mode) as archive:  # type: ignore[call-overload]
        for name, text in (("d/one.csv", TEXT), ("d/two.csv", TEXT[::-1])):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    sources = open_sources([tmp_path / "a.tar.any"])
    assert [s.name for s in sources] == ["one.csv", "two.csv"]
    assert sources[1].open().read() == TEXT[::-1]
    data = (tmp_path / "a.tar.any").read_bytes()
    (tmp_path / "a.tar.any").write_bytes(data[: len(data) * 3 // 4])
    sources = open_sources([tmp_path / "a.tar.any"])
    assert sources[0].open().read() == TEXT
    assert sources[-1].cut


def test_blocks_overlap_by_what_was_not_consumed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    blocks = Blocks(open_sources([tmp_path / "x"])[0].open(), size=1000)
    got, consumed = b"", 0
    while blocks.advance(consumed):
        assert bytes(blocks.data) == TEXT[blocks.position : blocks.position + blocks.size]
        consumed = blocks.size * 2 // 3
        got += bytes(blocks.data[:consumed])
    assert got + bytes(blocks.data) == TEXT


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"nowhere\.csv: expected a file, found nothing"):
        open_sources([tmp_path / "nowhere.csv"])


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_a_stream_expands_in_bounded_steps(tmp_path: Path, kind: str) -> None:
    packers: dict[str, Any] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}
    body = b"\0" * (40 << 20) + b"end"
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(packers[kind](body) + packers[kind](b"more"))
    (source,) = open_sources([path])
    tracemalloc.start()
    stream, total, tail = source.open(), 0, b""
    while piece := stream.read(1 << 16):
        total, tail = total + len(piece), (tail + piece)[-7:]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == len(body) + 4 and tail == b"endmore" and not stream.cut and peak < 24 << 20
