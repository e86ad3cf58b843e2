"""The package as a whole: its version, and what it costs to install."""

import re
import tomllib
from pathlib import Path

import nanotick

REPOSITORY = Path(__file__).resolve().parent.parent


def test_version_is_the_one_in_the_project_file():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert nanotick.__version__ == project["version"]


def test_core_install_is_small():
    # six of them, in Python and small, are textual's: the terminal of a running session
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (REPOSITORY / "requirements/core.lock").read_text(), re.MULTILINE)
    assert 8 < len(locked) + 1 <= 25, locked
