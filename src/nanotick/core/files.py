"""Writing a file that a user has named, or that has to be there after a crash: whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def beside(path: Path) -> Path:
    """Where to write what is to become `path`: a hidden neighbour, so that putting it in place is a rename."""
    if is_stream(path):
        import tempfile

        return Path(tempfile.gettempdir()) / f".{path.name}.{os.getpid()}.tmp"
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def is_stream(path: Path) -> bool:
    """A device or a pipe, which must be written to and never replaced (`--json /dev/stdout`)."""
    return path.exists() and not path.is_file() and not path.is_dir()


def put_in_place(temporary: str | Path, path: Path) -> Path:
    """Make a finished file be `path`; a device or a pipe gets its content instead."""
    if is_stream(path):
        with open(temporary, "rb") as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
        os.unlink(temporary)
    else:
        os.replace(temporary, path)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file, UTF-8."""
    temporary = beside(path)
    temporary.write_text(text, encoding="utf-8")
    return put_in_place(temporary, path)


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    if os.name == "nt":
        return  # Windows has no handle of a directory to flush; NTFS journals its own entries
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durable(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that it is there after a power loss, for its owner alone unless `mode` says otherwise."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(handle, mode)  # whatever the umask
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)
    sync_directory(path.parent)


def remove_durable(path: Path) -> None:
    """Remove a file, if it is there, so that it is gone after a power loss."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)
