"""Snapshots: state comes back the same anywhere, damage is found before anything changes, old layouts migrate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core import snapshot
from nanotick.core.arena import Arena
from nanotick.core.memory import load_i64
from nanotick.core.snapshot import SnapshotError, SnapshotStore, load_snapshot, read_snapshot, write_snapshot

NODE = np.dtype([("next_address", "<i8"), ("step_function", "<i8"), ("value", "<i8")])


def engine(capacity: int = 4 << 20, function: int = 1, pool: int = 2000) -> Arena:
    """An arena as an engine lays it out, with its own function addresses."""
    arena = Arena(capacity)
    counters = arena.region("counters", "<i8", 8)
    arena.region("nodes", NODE, pool, counter=counters.address).view["step_function"] = function
    return arena


def fill(arena: Arena, values: list[int]) -> None:
    nodes = arena["nodes"]
    arena["counters"].view[0] = len(values)
    for i, value in enumerate(values):
        nodes.view[i]["value"] = value
        nodes.view[i]["next_address"] = nodes.address + (i + 1) % len(values) * NODE.itemsize


def walk(arena: Arena) -> list[int]:
    """Values by following the addresses."""
    found, address = [], arena["nodes"].address
    for _ in range(int(arena["counters"].view[0])):
        found.append(load_i64(address + 16))
        address = load_i64(address)
    return found


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50))
def test_state_comes_back_at_another_address_with_its_links(make_shm_path, values) -> None:
    path = make_shm_path() / "s"
    source, target = engine(4 << 20, function=11), engine(8 << 20, function=22)
    fill(source, values)
    digest = write_snapshot(source, path, 7)
    assert read_snapshot(target, path) == 7
    assert target.digest() == digest == source.digest()
    assert walk(target) == values
    assert set(target["nodes"].view["step_function"][: len(values)]) == {22}


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_restoring_into_a_used_pool_clears_what_lies_beyond(make_shm_path, before, used) -> None:
    path = make_shm_path() / "s"
    source, target = Arena(4 << 20), Arena(4 << 20)
    for arena, count in ((source, used), (target, before)):
        counters = arena.region("counters", "<i8", 8)
        arena.region("pool", "<i8", 2000, counter=counters.address).view[:count] = 5
        counters.view[0] = count
    write_snapshot(source, path, 1)
    read_snapshot(target, path)
    for arena in (source, target):
        arena["counters"].view[0] = 2000  # the pool grows over what was left behind
    assert target.digest() == source.digest()


def test_any_damage_is_found_and_the_arena_is_untouched(shm_path) -> None:
    path = shm_path / "s"
    source, target = engine(), engine()
    fill(source, [1, 2, 3])
    fill(target, [9])
    write_snapshot(source, path, 7)
    original, before = path.read_bytes(), target.digest()
    damaged = [original[:size] for size in range(0, len(original), 41)]
    for byte in range(len(original)):
        data = bytearray(original)
        data[byte] ^= 1 << byte % 8
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(SnapshotError):
            read_snapshot(target, path)
    assert target.digest() == before and walk(target) == [9]


def test_an_engine_built_otherwise_is_refused_untouched(shm_path) -> None:
    path = shm_path / "s"
    source = engine()
    fill(source, [1, 2, 3])
    write_snapshot(source, path, 7)
    other = Arena(4 << 20)
    other.region("counters", "<i8", 8)
    with pytest.raises(SnapshotError, match=r"regions \['nodes'\] are on one side only"):
        read_snapshot(other, path)
    other.region("nodes", "<i4", 100)
    with pytest.raises(SnapshotError, match="'nodes' has layout"):
        read_snapshot(other, path)
    with pytest.raises(SnapshotError, match="'nodes' holds 3 records, room is for 2"):
        read_snapshot(engine(pool=2), path)


def test_the_newest_whole_snapshot_is_taken_and_the_rest_explained(shm_path) -> None:
    store, arena = SnapshotStore(shm_path / "snapshots", keep=3), engine()
    for sequence in (10, 20, 30, 40, 50):
        fill(arena, [sequence])
        store.save(arena, sequence, synced_sequence=50)
    assert [int(p.stem) for p in store.paths()] == [30, 40, 50]
    target = engine()
    assert store.restore(target, 50).sequence == 50 and walk(target) == [50]
    newest = store.paths()[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    result = store.restore(target, 50)
    assert result.sequence == 40 and walk(target) == [40] and "cut short" in result.rejected[0]
    result = store.restore(target, 35)
    assert result.sequence == 30 and all("ahead of the journal" in r for r in result.rejected)
    fresh = engine()
    assert store.restore(fresh, 5).path is None and store.restore(fresh, 5).sequence == 0


def test_a_snapshot_ahead_of_the_durable_journal_is_refused(shm_path) -> None:
    with pytest.raises(SnapshotError, match=r"after record 11 while the journal is durable up to 10; call"):
        SnapshotStore(shm_path).save(engine(), 11, synced_sequence=10)
    with pytest.raises(ValueError, match="at least 2"):
        SnapshotStore(shm_path, keep=1)


OLD_LAYOUTS = [
    np.dtype([("px", "<i4")]),  # schema 1
    np.dtype([("px", "<i8")]),  # schema 2: wider
    np.dtype([("price", "<i8")]),  # schema 3: renamed
    np.dtype([("price", "<i8"), ("qty", "<i8")]),  # schema 4: a field more
]


def layout_arena(version: int) -> Arena:
    arena = Arena(1 << 20)
    arena.region("levels", OLD_LAYOUTS[version - 1], 3)
    return arena


def test_the_last_three_schema_versions_load_and_others_are_named(shm_path, monkeypatch) -> None:
    monkeypatch.setattr(snapshot, "MIGRATIONS", {})

    @snapshot.migration(1)
    def widen(regions):
        return {"levels": regions["levels"].astype(OLD_LAYOUTS[1])}

    @snapshot.migration(2)
    def rename(regions):
        return {"levels": regions["levels"].view(OLD_LAYOUTS[2])}

    @snapshot.migration(3)
    def add_quantity(regions):
        new = np.zeros(len(regions["levels"]), OLD_LAYOUTS[3])
        new["price"] = regions["levels"]["price"]
        return {"levels": new}

    for version in (1, 2, 3, 4):
        monkeypatch.setattr(snapshot, "STATE_SCHEMA", version)
        arena = layout_arena(version)
        arena["levels"].view[(OLD_LAYOUTS[version - 1].names or ())[0]] = [5, 6, 7]
        write_snapshot(arena, shm_path / str(version), version)
    for version in (1, 2, 3, 4):
        target = layout_arena(4)
        assert read_snapshot(target, shm_path / str(version), schema=4) == version
        assert target["levels"].view["price"].tolist() == [5, 6, 7]
    with pytest.raises(SnapshotError, match="state schema 1; this nanotick reads 2 to 5"):
        read_snapshot(layout_arena(4), shm_path / "1", schema=5)
    with pytest.raises(SnapshotError, match="state schema 4; this nanotick reads 1 to 3"):
        read_snapshot(layout_arena(3), shm_path / "4", schema=3)
    del snapshot.MIGRATIONS[2]
    with pytest.raises(SnapshotError, match="schema 2 has no migration to 3"):
        read_snapshot(layout_arena(4), shm_path / "1", schema=4)
    assert load_snapshot(shm_path / "2").regions["levels"]["px"].tolist() == [5, 6, 7]
