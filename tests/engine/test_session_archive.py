import tarfile

import pytest

from nanotick.engine.session_archive import ArchiveError, archive_session, opened_session
from nanotick.venues.live import _next_journal, archive_old


def session(base, name, size=1 << 16):
    folder = base / name
    (folder / "code").mkdir(parents=True)
    (folder / "000001.journal").write_bytes(b"\0" * size + name.encode())
    (folder / "code" / "x.py").write_text("pass")
    return folder


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_archive_is_smaller_and_opens_to_the_same(tmp_path):
    folder = session(tmp_path, "0001")
    before = contents(folder)
    path = archive_session(folder)
    assert path.name == "0001.tar.gz" and not folder.exists() and path.stat().st_size < 2000
    with opened_session(path) as opened:
        assert contents(opened) == before
    assert not opened.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["0001.tar.gz"]


def test_a_directory_is_opened_as_it_is(tmp_path):
    folder = session(tmp_path, "0001")
    with opened_session(folder) as opened:
        assert opened == folder


def test_a_session_is_not_removed_for_an_archive_that_differs(tmp_path, monkeypatch):
    folder = session(tmp_path, "0001")
    before = contents(folder)
    add = tarfile.TarFile.add
    monkeypatch.setattr(
        tarfile.TarFile, "add", lambda self, path, name, **k: None if "code" in name else add(self, path, name, **k)
    )
    with pytest.raises(ArchiveError, match="left as it is"):
        archive_session(folder)
    assert contents(folder) == before and [p.name for p in tmp_path.iterdir()] == ["0001"]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x1f\x8b\x08\0\0\0"])
def test_a_bad_archive_is_named(tmp_path, data):
    path = tmp_path / "0007.tar.gz"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="0007"), opened_session(path):
        pass


def test_names_that_lead_out_are_refused(tmp_path):
    path = tmp_path / "0007.tar.gz"
    (tmp_path / "evil").write_text("x")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "evil", "../../evil")
    with pytest.raises(ArchiveError), opened_session(path):
        pass


def test_the_newest_stay_and_numbers_go_on(tmp_path):
    base = tmp_path / "sessions"
    for n in range(1, 6):
        session(base, f"{n:04d}")
    made = archive_old(tmp_path, keep=2)
    assert [p.name for p in made] == ["0001.tar.gz", "0002.tar.gz", "0003.tar.gz"]
    assert archive_old(tmp_path, keep=2) == []
    archive_old(tmp_path, keep=0)
    assert _next_journal(tmp_path) == (base / "0006", False)
