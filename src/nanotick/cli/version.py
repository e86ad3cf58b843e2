"""`nanotick version`: what is installed."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated

from cyclopts import Parameter

STANDS_ON = ("numpy", "numba", "llvmlite", "pyarrow", "msgspec", "cyclopts", "rich")


def versions() -> dict[str, str]:
    """Versions of nanotick, Python and the libraries below it."""
    from nanotick import __version__

    found = {"nanotick": __version__, "python": platform.python_version()}
    for name in STANDS_ON:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def version(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Print the versions of nanotick and what it stands on.

    For example:

    nanotick version --json

    Parameters
    ----------
    as_json
        Print one object of names and versions.
    """
    found = versions()
    if as_json:
        from nanotick.cli.progress import print_json

        print_json(found)
    else:
        for name, number in found.items():
            print(f"{name:10} {number or 'not installed'}")
    return 0
