"""Ended sessions, compressed: one archive for each, opened again by whoever wants to replay it.

A journal is preallocated and mostly small integers, so an archive has a few per cent of its size. The session's
directory is removed only when the archive is durable and has been read back equal, file by file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".tar.gz"
_CHUNK = 1 << 20


class ArchiveError(RuntimeError):
    """An archive is not what was put into it, or cannot be read."""


def _digest(file: object) -> str:
    digest = hashlib.blake2b(digest_size=16)
    while data := file.read(_CHUNK):  # type: ignore[attr-defined]
        digest.update(data)
    return digest.hexdigest()


def archive_session(directory: Path) -> Path:
    """Compress an ended session's directory into `NAME.tar.gz` beside it, and remove the directory.

    Raises
    ------
    ArchiveError
        The archive read back differs; the directory is left as it is and the archive removed.
    """
    target = directory.with_name(directory.name + SUFFIX)
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    digests = {}
    for path in files:
        with path.open("rb") as file:
            digests[str(path.relative_to(directory.parent))] = _digest(file)
    handle, name = tempfile.mkstemp(dir=directory.parent, prefix=f".{directory.name}-", suffix=SUFFIX)
    os.close(handle)
    made = Path(name)
    try:
        with tarfile.open(made, "w:gz", compresslevel=6) as archive:
            for path in files:
                archive.add(path, str(path.relative_to(directory.parent)), recursive=False)
        found = {}
        with tarfile.open(made) as archive:
            for member in archive:
                inside = archive.extractfile(member)
                if inside is not None:
                    found[member.name] = _digest(inside)
        if found != digests:
            raise ArchiveError(f"{directory}: the archive read back differs; the session is left as it is")
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(target)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    shutil.rmtree(directory)
    return target


@contextmanager
def opened_session(path: Path) -> Iterator[Path]:
    """The directory of a session: itself, or a temporary one with what its archive holds.

    Raises
    ------
    ArchiveError
        The archive cannot be read.
    """
    if not path.name.endswith(SUFFIX):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="nanotick-session-") as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ArchiveError(f"{path}: cannot be read as an archived session: {error}") from error
        yield Path(folder) / path.name.removesuffix(SUFFIX)
