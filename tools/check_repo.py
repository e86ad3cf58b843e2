"""Refuse what a style checker does not know about: run by `make lint` and before each commit.

- Lock files name no host and no index, and give a hash for every requirement.
- No tracked text names a package index, a path of somebody's machine or a document outside of the repository, or holds
  an emoji; no tracked file is as large as a recording.
- A module of the package stays under 500 lines: past that it is two ideas.
- At the second floor a part imports another part's package, never a module inside it.
- The packages that hold state keep to `tools/determinism.py`.

Prints one line per finding and exits 1 if there is any.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.determinism import lint_state_packages

REPOSITORY = Path(__file__).resolve().parent.parent
MAX_LINES = 500
MAX_BYTES = 1 << 20
PARTS = ("data", "exchange", "risk", "orders", "portfolio", "features", "models", "routing")

# Written in pieces so that this file passes its own check.
_INDEX = re.compile("|".join((r"\bpypi" + r"\.org", r"python" + r"hosted\.", r"--(?:extra-)?index-" + r"url[ =]\S")))
_MACHINE_PATH = re.compile(
    r"(?<![\w.\-/}])/(?:" + "|".join((r"work/", r"root/", r"home/\w", r"Users/\w", r"opt/pypi")) + ")"
)
_NOT_OURS = re.compile("shared/" + "(?:docs|prototypes)")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2705\u274c\u2728\u26a1\ufe0f]")
_LOCK_ADDRESS = re.compile(r"://|--(?:extra-)?index-url|--find-links|--trusted-host|\s@\s")
_UNWANTED = (
    (_INDEX, "a package index"),
    (_MACHINE_PATH, "a path of one machine"),
    (_NOT_OURS, "a document kept elsewhere"),
    (_EMOJI, "an emoji"),
)
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.\-]*)(?:\[[^\]]*\])?==\S+")


def check_lock(text: str, path: str) -> Iterator[str]:
    """Yield what is wrong with a lock file: an address in it, or a requirement that is not pinned with a hash."""
    logical, start = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if _LOCK_ADDRESS.search(line):
            yield f"{path}:{number}: a lock file must name no host, index or path: {line.strip()}"
        if line.lstrip().startswith("#"):
            continue
        if not logical:
            start = number
        logical += line.rstrip("\\")
        if line.endswith("\\"):
            continue
        if logical.strip() and not _PINNED.match(logical):
            yield f"{path}:{start}: expected name==version, found {logical.split()[0]}"
        elif logical.strip() and "--hash=sha256:" not in logical:
            yield f"{path}:{start}: {logical.split()[0]} has no hash; run make lock"
        logical = ""


def check_text(text: str, path: str) -> Iterator[str]:
    """Yield the lines that hold an emoji or name a package index, a machine's path or a document kept elsewhere."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in _UNWANTED:
            found = pattern.search(line)
            if found:
                yield f"{path}:{number}: names {what} ({found.group()}); say it without"


def check_length(text: str, path: str) -> Iterator[str]:
    """Yield a finding if a module of the package is longer than two ideas would be."""
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{path}:1: {lines} lines; split it by idea below {MAX_LINES}"


def check_parts(source: str, path: str) -> Iterator[str]:
    """Yield imports of a module inside another part of the second floor; ``path`` is below ``src/nanotick``."""
    own = path.split("/")[0]
    if own not in PARTS:
        return
    for node in ast.walk(ast.parse(source, filename=path)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module]
        for module in modules:
            words = module.split(".")
            if len(words) > 2 and words[0] == "nanotick" and words[1] in PARTS and words[1] != own:
                line = getattr(node, "lineno", 0)
                yield f"{path}:{line}: imports {module}; import from nanotick.{words[1]}, which says what is public"


def tracked_files() -> list[Path]:
    """Return the files git tracks or would add, so that ignored build products are not judged."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    return [REPOSITORY / name for name in sorted(set(listed.decode().split("\0"))) if name]


def findings() -> Iterator[str]:
    """Yield every finding in the repository, one line of text each."""
    for path in tracked_files():
        if not path.is_file():
            continue
        name = path.relative_to(REPOSITORY).as_posix()
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            yield f"{name}:1: {len(content)} bytes; recordings and builds stay out of the repository"
            continue
        if b"\0" in content:
            continue
        text = content.decode("utf-8", "replace")
        if name.endswith(".lock"):
            yield from check_lock(text, name)
        yield from check_text(text, name)
        if name.startswith("src/nanotick/") and name.endswith(".py"):
            yield from check_length(text, name)
            yield from check_parts(text, name.removeprefix("src/nanotick/"))
    for finding in lint_state_packages(REPOSITORY / "src" / "nanotick"):
        yield f"src/nanotick/{finding}"


def main() -> int:
    """Print the findings; return 1 if there are any, else 0."""
    found = list(findings())
    for line in found:
        print(line)
    print(f"check_repo: {len(found)} findings" if found else "check_repo: nothing to object to")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
