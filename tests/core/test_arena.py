"""The arena: regions do not overlap, hashes see state and nothing else, another process sees what we wrote."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.arena import DIRECTORY_SIZE, Arena, ArenaError, dtype_from_json, dtype_to_json
from nanotick.core.memory import dtype_digest, record_at

NODE = np.dtype([("next_address", "<i8"), ("step_function", "<i8"), ("value", "<f8"), ("ids", "<i4", (3,))])
node_at = record_at(NODE, "Node")


@given(st.lists(st.tuples(st.sampled_from(["i1", "<i4", "<f8", "node"]), st.integers(0, 5000)), max_size=20))
def test_regions_are_aligned_and_do_not_overlap(requests) -> None:
    arena = Arena(16 << 20)
    for number, (kind, count) in enumerate(requests):
        region = arena.region(f"r{number}", NODE if kind == "node" else kind, count)
        assert region.address % 64 == 0 and region.offset >= DIRECTORY_SIZE
        region.view.view(np.uint8)[:] = number + 1
    for number, region in enumerate(arena.regions):
        assert (region.view.view(np.uint8) == number + 1).all()


def test_large_regions_lie_on_huge_pages() -> None:
    arena = Arena(64 << 20)
    arena.region("small", "i1", 100)
    assert arena.region("large", "<i8", 1 << 20).address % (2 << 20) == 0


def test_a_region_that_exists_or_does_not_fit_is_refused() -> None:
    arena = Arena(1 << 20)
    arena.region("a", "<i8", 4)
    with pytest.raises(ArenaError, match="'a' exists already"):
        arena.region("a", "<i8", 4)
    with pytest.raises(ArenaError, match="'b' needs 8000000 bytes, the arena has"):
        arena.region("b", "<i8", 1_000_000)


def test_address_space_is_reserved_and_not_committed() -> None:
    arena = Arena(1 << 40)
    region = arena.region("pool", "<i8", 1 << 36)
    region.view[-1] = 7
    assert region.view[-1] == 7


def build(arena: Arena) -> None:
    counters = arena.region("counters", "<i8", 4)
    nodes = arena.region("nodes", NODE, 1000, counter=counters.address)
    arena.region("scratch", "<i8", 100, transient=True)
    counters.view[0] = 3
    for i in range(3):
        node = node_at(nodes.address, i)
        node.next_address = nodes.address + (i + 1) % 3 * NODE.itemsize
        node.step_function = 12345 + arena.address
        node.value = i + 0.5
        node.ids[2] = i


def test_equal_states_at_different_addresses_have_equal_digests() -> None:
    arenas = [Arena(4 << 20), Arena(8 << 20)]
    for arena in arenas:
        build(arena)
    a, b = arenas
    assert a.address != b.address
    assert a.digest() == b.digest() and a.region_digests() == b.region_digests()
    b["scratch"].view[:] = 9
    b["nodes"].view[5]["value"] = 1.0  # not in use
    assert a.digest() == b.digest()
    b["nodes"].view[2]["value"] = 1.0
    assert a.digest() != b.digest()
    assert [n for n, d in a.region_digests().items() if b.region_digests()[n] != d] == ["nodes"]


def test_the_order_in_which_regions_were_reserved_does_not_matter() -> None:
    digests = set()
    for names in (("a", "b"), ("b", "a")):
        arena = Arena(1 << 20)
        for name in names:
            arena.region(name, "<i8", 3).view[:] = ord(name)
        digests.add(arena.digest())
    assert len(digests) == 1


@given(st.integers(-5, 3000))
def test_a_counter_outside_the_region_counts_as_its_nearest_end(count) -> None:
    arena = Arena(4 << 20)
    build(arena)
    arena["counters"].view[0] = count
    assert arena.used_records(arena["nodes"]) == min(1000, max(0, count))


_SHOW = """
import sys
from pathlib import Path
from nanotick.core.arena import Arena
arena = Arena.open(Path(sys.argv[1]))
print(arena.digest().hex())
arena["counters"].view[1] = 77
"""


def test_another_process_maps_a_shared_arena_whatever_its_hash_seed(shm_path) -> None:
    arena = Arena(4 << 20, shm_path / "arena")
    build(arena)
    for seed in ("0", "1", "random"):
        arena["counters"].view[1] = 0
        digest = arena.digest().hex()
        run = subprocess.run(
            [sys.executable, "-c", _SHOW, str(shm_path / "arena")],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "NANOTICK_INTERPRET": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == digest
        assert arena["counters"].view[1] == 77


def test_a_directory_of_hundreds_of_regions_fits_a_shared_arena(shm_path) -> None:
    wide = np.dtype([(f"a_rather_long_field_name_{i}", "<i8") for i in range(60)])
    arena = Arena(16 << 20, shm_path / "arena")
    for i in range(300):
        arena.region(f"strategy.{i}.state", wide, 2)
    opened = Arena.open(shm_path / "arena")
    assert [(r.name, r.offset, r.dtype) for r in opened.regions] == [(r.name, r.offset, r.dtype) for r in arena.regions]


def test_what_is_no_arena_is_refused(shm_path) -> None:
    path = shm_path / "file"
    path.write_bytes(b"short")
    with pytest.raises(ArenaError, match="found 5"):
        Arena.open(path)
    path.write_bytes(bytes(1 << 17))
    with pytest.raises(ArenaError, match="expected b'NTARENA1'"):
        Arena.open(path)


@given(
    st.lists(st.tuples(st.sampled_from(["<i8", "u1", "<f4", "?", "<u2"]), st.integers(0, 4)), min_size=1, max_size=12),
    st.booleans(),
)
def test_layouts_survive_json(fields, align) -> None:
    dtype = np.dtype(
        [(f"f{i}", code, (n,)) if n else (f"f{i}", code) for i, (code, n) in enumerate(fields)], align=align
    )
    again = dtype_from_json(dtype_to_json(dtype))
    assert dtype_digest(again) == dtype_digest(dtype) and again.itemsize == dtype.itemsize


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_a_large_pool_barely_used_takes_small_pages() -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    arena = Arena(256 << 20)
    pools = [arena.region(f"pool.{n}", "<i8", 1 << 19) for n in range(40)]  # 4 MiB each
    before = resident_bytes()
    for pool in pools:
        pool.view[0] = 1
    assert resident_bytes() - before < 8 << 20  # a huge page each would be 80 MiB
