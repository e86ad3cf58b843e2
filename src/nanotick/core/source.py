"""What compiled code is made from: digests of modules together with every module they import.

The unit is the module, since a kernel takes constants, record layouts and other kernels from the modules that its own
one imports. Imports are read from the source, wherever in it they stand, so a digest can never be that of another state
of the program than the one on disk says. Modules of nanotick are followed, and so are a user's own; what is installed
beside them is told apart by its version (`cache.machine_digest`) or not at all.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = "nanotick"
_ROOT = Path(__file__).resolve().parent.parent
# packages without kernels: editing them must not cost a recompilation
_NO_KERNELS = ("cli", "terminal", "server", "research")
_INSTALLED = tuple(
    str(Path(path).resolve())
    for path in sorted({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
)


def _hash(content: bytes, size: int = 8) -> str:
    return hashlib.blake2b(content, digest_size=size).hexdigest()


@functools.cache
def source_digest() -> str:
    """Digest of every source file of nanotick that can reach a kernel."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_ROOT.rglob("*.py")):
        relative = path.relative_to(_ROOT)
        if relative.parts[0] not in _NO_KERNELS:
            digest.update(str(relative).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def module_file(name: str) -> Path | None:
    """The source file of a module of nanotick or of the user; None for what is installed, built in or made by hand."""
    parts = name.split(".")
    if parts[0] == PACKAGE:
        base = _ROOT.joinpath(*parts[1:])
        return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)
    # only what is loaded can have given a kernel a value; a user's module is never imported from here
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or not file.endswith(".py"):
        return None
    path = Path(file).resolve()
    return None if str(path).startswith(_INSTALLED) or not path.is_file() else path


# Parsing a hundred modules takes a third of a second, this a hundredth; a test holds the two to the same imports.
_STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))", re.MULTILINE
)
_NAME = re.compile(r"(?:^|[(,])\s*([\w.]+)", re.MULTILINE)


def scanned_imports(text: str) -> Iterator[tuple[str, list[str]]]:
    """The import statements of a source in this repository's format: module (empty for `import x`) and names."""
    for base, names, modules in _STATEMENT.findall(text):
        yield base, _NAME.findall(names or modules)


def parsed_imports(text: str) -> Iterator[tuple[str, list[str]]]:
    """The import statements of any source; leading dots stand for the packages above."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield "", [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def _absolute(base: str, package: str) -> str:
    level = len(base) - len(base.lstrip("."))
    if not level:
        return base
    above = package.split(".")
    above = above[: len(above) - level + 1]
    return ".".join([*above, base[level:]] if base[level:] else above)


def _imported(name: str, path: Path, text: str) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    own = name.partition(".")[0] == PACKAGE
    for base, names in scanned_imports(text) if own else parsed_imports(text):
        if not base:
            yield from names
            continue
        base = _absolute(base, package)
        for imported in names:
            whole = f"{base}.{imported}"
            yield whole if module_file(whole) is not None else base


@functools.cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's own source, and the modules it imports, the packages around it first of all."""
    path = module_file(name)
    if path is None:
        return "", ()
    content = path.read_bytes()
    imported = {name.rpartition(".")[0], *_imported(name, path, content.decode("utf-8", "replace"))}
    return _hash(content), tuple(sorted(imported - {""}))


@functools.cache
def module_closure(name: str) -> tuple[str, ...]:
    """The module and all modules with source that it imports, directly or not, sorted."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found and module_file(module) is not None:
            found.add(module)
            waiting.extend(_module(module)[1])
    return tuple(sorted(found))


@functools.cache
def module_digest(name: str) -> str:
    """Digest of a module and of everything it imports; empty when it has no source."""
    return _hash("|".join(f"{module}:{_module(module)[0]}" for module in module_closure(name)).encode())


def is_own(function: Callable[..., Any]) -> bool:
    """Whether a function stands at the top of a module of nanotick: its module's digest then says all about it."""
    module = function.__module__ or ""
    return (
        module.partition(".")[0] == PACKAGE
        and "." not in function.__qualname__
        and function.__closure__ is None
        and module_file(module) is not None
    )


def function_digest(function: Callable[..., Any], known: bool = False) -> str:
    """Digest of all that a function's compiled code is made from: its module, and what it is a closure over.

    A function made at run time is told by its code as well, and one without a source file by its code and by all of
    nanotick besides.

    Parameters
    ----------
    function : callable
    known : bool
        The caller's own key says what code outside nanotick goes in (a strategy's source): digest the rest.
    """
    parts: dict[str, None] = {}
    _add_function(function, parts, set(), known)
    return _hash("|".join(parts).encode())


def _add_function(function: Any, parts: dict[str, None], seen: set[int], known: bool) -> None:
    if id(function) in seen:
        return
    seen.add(id(function))
    module = function.__module__ or ""
    outside = module.partition(".")[0] != PACKAGE
    if module_file(module) is None and getattr(sys.modules.get(module), "__file__", None):
        parts[f"{module}.{function.__qualname__}"] = None  # installed: as good as its version
        return
    if not (known and outside):
        parts[f"{module}:{module_digest(module) or source_digest()}"] = None
        if is_own(function):
            return
        _add_code(function.__code__, parts)
    for cell in function.__closure__ or ():
        try:
            _add_value(cell.cell_contents, parts, seen, known)
        except ValueError:
            parts["empty"] = None
    for name in function.__code__.co_names:
        if name in function.__globals__:
            _add_value(function.__globals__[name], parts, seen, known)


def _add_code(code: types.CodeType, parts: dict[str, None]) -> None:
    constants = [c for c in code.co_consts if not isinstance(c, types.CodeType)]
    parts[_hash(code.co_code) + repr(constants) + repr(code.co_names)] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(constant, parts)


def _add_value(value: Any, parts: dict[str, None], seen: set[int], known: bool) -> None:
    body = getattr(value, "py_func", value)
    if isinstance(body, types.FunctionType):
        _add_function(body, parts, seen, known)
    elif isinstance(value, (bool, int, float, str, bytes, type(None))):
        parts[repr(value)] = None
    elif hasattr(value, "record_type"):  # an accessor of records: the digest in its type's name is the layout's
        parts[f"{value.record_type}:{value.dtype}"] = None
