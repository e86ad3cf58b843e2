"""Refuse, in packages that hold state, whatever could make two runs of the same events differ.

The engine's promise is that the same journal gives the same commands, bit for bit. Tests compare runs; this lint
refuses the causes while they are still one line: a wall clock, an unseeded random number, the order of a set or of a
directory, Python's salted ``hash``, a thread, relaxed floating point, and floats where money is kept.

It reads syntax only (``ast``), so it resolves imported names but not values: a name bound to a set in the same scope is
known, a set returned by a function is not. Exceptions are the entries of ``ALLOWED``, each with its reason; there is no
way to silence a line from inside the code it judges.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

STATE_PACKAGES = ("core", "book", "orders", "portfolio", "risk", "exchange", "engine")

# (file below src/nanotick, rule, why it may): the pattern is a glob; keep this list short and each reason true.
ALLOWED: tuple[tuple[str, str, str], ...] = (
    ("core/clock*.py", "wall-clock", "the one place that reads clocks; a run takes its time from events"),
    ("core/journal*.py", "thread", "group sync happens on another thread and never feeds the step"),
    ("core/log.py", "thread", "the log is written on another thread and never read by the step"),
    ("core/cache.py", "wall-clock", "ages of cache directories decide what is deleted, never what is computed"),
    ("core/cache.py", "unordered", "deletes every match, in whatever order the directory gives them"),
    ("core/warmup.py", "wall-clock", "says how long compiling took; no kernel sees it"),
    ("engine/backtest.py", "wall-clock", "progress and duration for people: events a second, time left"),
    ("engine/view.py", "float-money", "values for screens, computed from the integers and never read back"),
    ("engine/simulate.py", "wall-clock", "progress and duration for people: events a second, times real time"),
)

_CLOCK_CALLS = frozenset(
    {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"}
)
_TIME_PREFIX = "time."
_SEEDABLE = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.SeedSequence"}
    | {f"numpy.random.{bits}" for bits in ("PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937")}
)
_RNG_TYPES = frozenset({"numpy.random.Generator", "numpy.random.BitGenerator"})
_THREAD_MODULES = ("threading", "_thread", "concurrent.futures", "multiprocessing", "asyncio")
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_ORDER_MATTERS = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "filter", "reversed", "dict"})
_DIRECTORY_CALLS = frozenset({"os.listdir", "os.scandir", "glob.glob", "glob.iglob", "os.walk"})
_DIRECTORY_METHODS = frozenset({"iterdir", "rglob"})

_MONEY_WORDS = frozenset(
    {
        "price",
        "px",
        "qty",
        "quantity",
        "cash",
        "notional",
        "balance",
        "fee",
        "fees",
        "pnl",
        "equity",
        "cost",
        "proceeds",
    }
)
# A share, rate or statistic of money is not money.
_NOT_MONEY = frozenset(
    {
        "rate",
        "ratio",
        "share",
        "fraction",
        "bps",
        "ppm",
        "pct",
        "mean",
        "std",
        "probability",
        "weight",
        "display",
        "text",
    }
)
_FLOAT_NAMES = frozenset({"float", "numpy.float64", "numpy.float32", "numba.float64", "numba.types.float64"})
_FLOAT_CODES = frozenset({"f4", "f8", "<f4", "<f8", ">f4", ">f8", "float", "float32", "float64", "d"})


@dataclass(frozen=True, order=True)
class Finding:
    """One line that could make two runs differ: where, which rule, and what was found."""

    path: str
    line: int
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.found}"


def is_money(name: str) -> bool:
    """Return whether a name says that it holds money or a quantity (``limit_price``, not ``fee_rate``)."""
    words = set(name.lower().split("_"))
    return bool(words & _MONEY_WORDS) and not words & _NOT_MONEY


class _Lint(ast.NodeVisitor):
    """Walk one module, resolving imported names, and collect findings."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.imported: dict[str, str] = {}
        self.set_names: list[set[str]] = [set()]

    def report(self, node: ast.AST, rule: str, found: str) -> None:
        self.findings.append(Finding(self.path, getattr(node, "lineno", 0), rule, found))

    def dotted(self, node: ast.AST) -> str:
        """Return ``numpy.random.rand`` for ``np.random.rand``; the empty string for anything but a plain chain."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    # Imports: remember what each name stands for, and refuse modules that are threads.

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )
            self._refuse_thread_module(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            return
        self._refuse_thread_module(node, module)
        for alias in node.names:
            self.imported[alias.asname or alias.name] = f"{module}.{alias.name}"
            self._refuse_name(node, f"{module}.{alias.name}")
            if module == "concurrent":
                self._refuse_thread_module(node, f"{module}.{alias.name}")

    def _refuse_thread_module(self, node: ast.AST, module: str) -> None:
        if any(module == banned or module.startswith(banned + ".") for banned in _THREAD_MODULES):
            self.report(node, "thread", f"import of {module}")

    def _refuse_name(self, node: ast.AST, name: str) -> None:
        """Judge a resolved dotted name that is imported or read."""
        if name in _CLOCK_CALLS or (name.startswith(_TIME_PREFIX) and name.count(".") == 1):
            self.report(node, "wall-clock", name)
        elif name in {"os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4"} or name.startswith("secrets."):
            self.report(node, "randomness", name)
        elif name in {"os.fork", "os.forkpty", "os.posix_spawn", "numba.prange"}:
            self.report(node, "thread", name)
        elif (
            name.startswith(("random.", "numpy.random."))
            and name not in _SEEDABLE
            and name not in _RNG_TYPES
            and name != "numpy.random"
        ):
            self.report(node, "randomness", f"{name} draws from a shared, unseeded state")

    # Names and calls.

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._refuse_name(node, self.dotted(node))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self.dotted(node.func)
        if name in _SEEDABLE and not node.args and not node.keywords:
            self.report(node, "randomness", f"{name}() without a seed")
        if name == "numpy.datetime64" and any(
            isinstance(argument, ast.Constant) and argument.value in ("now", "today") for argument in node.args
        ):
            self.report(node, "wall-clock", "numpy.datetime64 of the present")
        if name == "hash":
            self.report(node, "unordered", "hash() is salted per process")
        if name in _ORDER_MATTERS or (isinstance(node.func, ast.Attribute) and node.func.attr == "join"):
            for argument in node.args:
                self._refuse_unordered(argument)
                if isinstance(argument, ast.GeneratorExp):
                    for generator in argument.generators:
                        self._refuse_unordered(generator.iter)
        for keyword in node.keywords:
            if keyword.arg == "fastmath" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                self.report(node, "fastmath", "fastmath reorders floating-point operations")
            if keyword.arg == "parallel" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                self.report(node, "thread", "parallel kernels")
        self.generic_visit(node)

    # Order: sets and directories.

    def _is_set(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name):
            return any(node.id in names for names in self.set_names)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self._is_set(node.left) or self._is_set(node.right)
        if isinstance(node, ast.Call):
            if self.dotted(node.func) in {"set", "frozenset"}:
                return True
            return (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in _SET_METHODS
                and (self._is_set(node.func.value) or any(self._is_set(argument) for argument in node.args))
            )
        return False

    def _is_directory(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        if self.dotted(node.func) in _DIRECTORY_CALLS:
            return True
        if not isinstance(node.func, ast.Attribute):
            return False
        # Path.glob takes a pattern; other methods named glob are not a path's.
        return node.func.attr in _DIRECTORY_METHODS or (node.func.attr == "glob" and len(node.args) == 1)

    def _refuse_unordered(self, node: ast.AST) -> None:
        if isinstance(node, ast.Starred):
            node = node.value
        if self._is_set(node):
            self.report(node, "unordered", f"order of the set {ast.unparse(node)}; use sorted(...)")
        elif self._is_directory(node):
            self.report(node, "unordered", f"order of the directory {ast.unparse(node)}; use sorted(...)")

    def visit_For(self, node: ast.For) -> None:
        self._refuse_unordered(node.iter)
        self.generic_visit(node)

    def _visit_ordered_comprehension(self, node: ast.ListComp | ast.DictComp) -> None:
        for generator in node.generators:
            self._refuse_unordered(generator.iter)
        self.generic_visit(node)

    visit_ListComp = visit_DictComp = _visit_ordered_comprehension

    def visit_Starred(self, node: ast.Starred) -> None:
        self._refuse_unordered(node.value)
        self.generic_visit(node)

    def _visit_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.set_names.append(set())
        self.generic_visit(node)
        self.set_names.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_scope

    # Money: names that say money must not be bound to floats.

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
        if not name or value is None:
            return
        if isinstance(target, ast.Name):
            (self.set_names[-1].add if self._is_set(value) else self.set_names[-1].discard)(name)
        if is_money(name) and self._is_float(value):
            self.report(target, "float-money", f"{name} = {ast.unparse(value)}")

    def _is_float(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, float)
        if isinstance(node, ast.Call):
            return self.dotted(node.func) in _FLOAT_NAMES
        if isinstance(node, ast.UnaryOp):
            return self._is_float(node.operand)
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Div) or self._is_float(node.left) or self._is_float(node.right)
        return False

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Div) or self._is_float(node.value):
            name = getattr(node.target, "id", getattr(node.target, "attr", ""))
            if is_money(name):
                self.report(node, "float-money", ast.unparse(node))
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._bind(node.target, node.value)
        name = getattr(node.target, "id", getattr(node.target, "attr", ""))
        if self.dotted(node.annotation) in _FLOAT_NAMES and is_money(name):
            self.report(node, "float-money", f"{name}: {ast.unparse(node.annotation)}")
        annotated = node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation
        if isinstance(node.target, ast.Name) and self.dotted(annotated) in {"set", "frozenset"}:
            self.set_names[-1].add(name)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None and self.dotted(node.annotation) in _FLOAT_NAMES and is_money(node.arg):
            self.report(node, "float-money", f"{node.arg}: {ast.unparse(node.annotation)}")
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        """Judge a dtype's field: a tuple of a name and a type code."""
        if len(node.elts) >= 2 and isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[0].value, str):
            kind = node.elts[1]
            is_float = self.dotted(kind) in _FLOAT_NAMES or (
                isinstance(kind, ast.Constant) and kind.value in _FLOAT_CODES
            )
            if is_float and is_money(node.elts[0].value):
                self.report(node, "float-money", f"field {node.elts[0].value}: {ast.unparse(kind)}")
        self.generic_visit(node)


def lint_source(source: str, path: str) -> list[Finding]:
    """Return the findings in one module's source, in order of line; ``path`` only labels them."""
    lint = _Lint(path)
    lint.visit(ast.parse(source, filename=path))
    return sorted(set(lint.findings))


def is_allowed(path_below_package: str, rule: str) -> bool:
    """Return whether ``ALLOWED`` excepts this rule in this file (path below ``src/nanotick``)."""
    return any(fnmatch(path_below_package, pattern) and rule == allowed for pattern, allowed, _ in ALLOWED)


def lint_state_packages(package: Path) -> Iterator[Finding]:
    """Yield the findings in every module of the state packages below ``package`` (the directory ``src/nanotick``)."""
    for name in STATE_PACKAGES:
        for path in sorted((package / name).rglob("*.py")):
            below = path.relative_to(package).as_posix()
            for finding in lint_source(path.read_text(encoding="utf-8"), below):
                if not is_allowed(below, finding.rule):
                    yield finding
