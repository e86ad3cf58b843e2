"""Power loss: whatever subset of the pages written since the last sync survives, recovery gives a prefix that holds all
that was synced, and the journal goes on from there."""

import itertools
import random
from pathlib import Path

import pytest

from nanotick.core.journal import Journal, JournalCorruptionError
from nanotick.core.journal_recovery import recover
from nanotick.core.journal_segment import BLOCK_RECORDS, HEADER_SIZE, segment_paths
from nanotick.core.mode import INTERPRET
from tests.core.test_journal import bodies, everything

PAGE = 4096
PAGE_RECORDS = PAGE // 512 * BLOCK_RECORDS
RECORDS = bodies(1, 2000)
Image = dict[str, bytes]


def image(directory: Path) -> Image:
    """What the files hold now."""
    return {path.name: path.read_bytes() for path in segment_paths(directory)}


class Disk:
    """What the disk held at the last sync, and every version its dirty pages have had since."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.synced = image(directory)
        self.versions: dict[tuple[str, int], list[bytes]] = {}

    def observe(self) -> None:
        for name, data in image(self.directory).items():
            # a segment is made durable, empty, before it is used
            before = self.synced.setdefault(name, data[:HEADER_SIZE] + bytes(len(data) - HEADER_SIZE))
            for at in range(0, len(data), PAGE):
                seen = self.versions.get((name, at), [before[at : at + PAGE]])
                if data[at : at + PAGE] != seen[-1]:
                    self.versions[name, at] = [*seen, data[at : at + PAGE]]

    def after_power_loss(self, chosen: dict[tuple[str, int], bytes]) -> Image:
        files = {name: bytearray(data) for name, data in self.synced.items()}
        for (name, at), page in chosen.items():
            files[name][at : at + PAGE] = page
        return {name: bytes(data) for name, data in files.items()}


def workload(directory: Path, seed: int, pages: int) -> tuple[Disk, int, int]:
    """Append, sync at some point, append until about so many pages are dirty; the disk, records synced and appended."""
    choose = random.Random(seed)
    segment_bytes = HEADER_SIZE + PAGE * choose.choice([2, 3, 16])
    journal = Journal(directory, segment_bytes, sync_interval_s=None)
    synced = choose.randrange(0, 5 * PAGE_RECORDS)
    journal.append_array(RECORDS[:synced])
    if synced:
        journal.sync()
    disk, last = Disk(directory), synced
    while True:
        disk.observe()
        more = choose.randrange(1, PAGE_RECORDS)
        if len(disk.versions) >= pages or last + more > len(RECORDS):
            break
        journal.append_array(RECORDS[last : last + more])
        last += more
    journal._sync._stop.set()
    journal._writer.close()  # the machine stops here: nothing is synced any more
    return disk, synced, last


def check(directory: Path, files: Image, synced: int, appended: int) -> None:
    """The reference: a prefix, at least what was synced, nothing that was not appended; and it can be gone on with."""
    for path in directory.iterdir():
        path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    result = recover(directory, power_lost=True)
    kept = result.next_sequence - 1
    assert synced <= kept <= appended
    found = everything(directory)
    assert found == RECORDS[:kept].tobytes()
    again = recover(directory, power_lost=False)  # what is left looks like an orderly end
    assert again.next_sequence == result.next_sequence and not again.torn and not again.lost


def run_all_subsets(directory: Path, seed: int, pages: int) -> int:
    disk, synced, appended = workload(directory / "live", seed, pages)
    target = directory / "after"
    target.mkdir()
    dirty = list(disk.versions)[:pages]
    rest = {key: versions[0] for key, versions in disk.versions.items() if key not in dirty}
    for survives in itertools.product((False, True), repeat=len(dirty)):
        chosen = {key: disk.versions[key][-1 if kept else 0] for key, kept in zip(dirty, survives, strict=True)} | rest
        check(target, disk.after_power_loss(chosen), synced, appended)
    return 2 ** len(dirty)


@pytest.mark.skipif(INTERPRET, reason="thousands of recoveries need the compiled kernel")
def test_every_subset_of_twelve_dirty_pages_recovers_to_a_prefix_that_holds_all_that_was_synced(shm_path) -> None:
    assert run_all_subsets(shm_path, seed=1, pages=12) == 4096


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(50))
def test_every_subset_of_dirty_pages_of_many_workloads(shm_path, seed) -> None:
    run_all_subsets(shm_path, seed, pages=12)


@pytest.mark.parametrize("seed", range(4 if INTERPRET else 20))
def test_pages_that_survive_in_any_of_their_versions_recover_to_a_prefix(shm_path, seed) -> None:
    disk, synced, appended = workload(shm_path / "live", 1000 + seed, pages=20)
    choose = random.Random(seed)
    target = shm_path / "after"
    target.mkdir()
    for _ in range(5 if INTERPRET else 100):
        chosen = {key: choose.choice(versions) for key, versions in disk.versions.items()}
        check(target, disk.after_power_loss(chosen), synced, appended)


def test_a_gap_before_the_synced_mark_is_damage_even_after_power_loss(shm_path) -> None:
    with Journal(shm_path / "a", HEADER_SIZE + 8 * PAGE, sync_interval_s=None) as journal:
        journal.append_array(RECORDS[:200])
    path = segment_paths(shm_path / "a")[0]
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + PAGE : HEADER_SIZE + 2 * PAGE] = bytes(PAGE)
    path.write_bytes(data)
    with pytest.raises(JournalCorruptionError, match="record 57: found no record, expected one, for 200 is synced"):
        recover(shm_path / "a", power_lost=True)


def test_without_a_restart_of_the_machine_a_gap_is_damage(shm_path) -> None:
    disk, _, _ = workload(shm_path / "live", 3, pages=6)
    last_page = list(disk.versions)[-1]
    target = shm_path / "after"
    target.mkdir()
    for name, data in disk.after_power_loss({last_page: disk.versions[last_page][-1]}).items():
        (target / name).write_bytes(data)
    (target / "writer").write_text(Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " 1\n")
    with pytest.raises(JournalCorruptionError, match="machine has not been restarted"):
        recover(target)
    (target / "writer").write_text("another-boot 1\n")
    result = recover(target)
    assert result.power_lost and result.lost > 0
    assert list(target.glob("*.lost"))
