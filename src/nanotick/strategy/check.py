"""Reading a strategy's source before it is compiled, and saying a compiler's complaint in plain words.

Most mistakes are names: a method `ctx` does not have, an attribute that was not declared. Those are found in the
syntax tree, with the line. What only the compiler can find is caught, and told with the user's file, line and source
text and the compiler's own first sentence.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nanotick.core.suggest import nearest
from nanotick.features import Each, Indicator, Part


class StrategyError(Exception):
    """A strategy that cannot be compiled: the message names file, line and cause."""


def source_tree(function: Callable[..., Any]) -> tuple[ast.FunctionDef, str, list[str]] | None:
    """Syntax tree of a method with the file's own line numbers, the file, and the file's lines."""
    try:
        lines, first = inspect.getsourcelines(function)
        path = inspect.getsourcefile(function) or "<unknown>"
    except (OSError, TypeError):
        return None
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        return None
    return node, path, [""] * (first - 1) + [line.rstrip("\n") for line in lines]


class Finding:
    """Where and what: renders as the message of a StrategyError."""

    def __init__(self, path: str, line: int, name: str, lines: list[str], cause: str) -> None:
        text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        self.message = f"{path}:{line}: in {name}: {cause}" + (f"\n    {text}" if text else "")


def check_method(
    function: Callable[..., Any],
    owner: str,
    fields: Mapping[str, Any],
    methods: Iterable[str],
    views: dict[str, list[str]],
) -> None:
    """Refuse names that cannot resolve.

    Parameters
    ----------
    function : callable
        The method.
    owner : str
        The class's name.
    fields : mapping
        Declared attributes and their defaults.
    methods : iterable of str
        The class's own methods.
    views : dict
        Parameter name -> its readable fields, for the third argument of callbacks.

    Raises
    ------
    StrategyError
    """
    from nanotick.strategy.methods import METHODS

    found = source_tree(function)
    if found is None:
        return
    node, path, lines = found
    parameters = [a.arg for a in node.args.args]
    me = parameters[0] if parameters else "self"
    ctx = parameters[1] if len(parameters) > 1 else "ctx"
    parts = {n: Part(v).indicator() for n, v in fields.items() if isinstance(v, (Indicator, Each))}
    known_fields, methods = set(fields), set(methods)

    def fail(at: ast.AST, cause: str) -> None:
        raise StrategyError(
            Finding(path, getattr(at, "lineno", node.lineno), f"{owner}.{node.name}", lines, cause).message
        )

    for part in ast.walk(node):
        if (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and isinstance(part.func.value, ast.Name)
        ):
            if part.func.value.id == ctx and part.func.attr in METHODS:
                cause = _call_mistake(part, METHODS[part.func.attr])
                if cause:
                    fail(part, cause)
        if isinstance(part, ast.Attribute):
            mistake = _indicator_mistake(part, me, parts)
            if mistake:
                fail(part, mistake)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            name = part.value.id
            store = isinstance(part.ctx, ast.Store)
            if name == ctx and ctx in parameters:
                if store:
                    fail(part, f"ctx.{part.attr} cannot be assigned: ctx offers methods only")
                if part.attr not in METHODS:
                    fail(part, f"ctx has no method {part.attr!r}{nearest(part.attr, METHODS)}")
            elif name == me and part.attr not in known_fields and part.attr not in methods:
                hint = f"declare it in the class body, for example `{part.attr}: float = 0.0`"
                fail(part, f"self.{part.attr} is not declared{nearest(part.attr, known_fields | methods)}; {hint}")
            elif name in views:
                if store:
                    fail(part, f"{name}.{part.attr} cannot be assigned: it is a view of the market's own record")
                if part.attr not in views[name]:
                    fail(part, f"{name} has no field {part.attr!r}{nearest(part.attr, views[name])}")
        elif isinstance(part, (ast.Yield, ast.YieldFrom, ast.Await)):
            fail(part, "a callback runs to its end: no yield and no await")
        elif isinstance(part, (ast.Try, ast.With)):
            fail(part, "try and with are not available in compiled callbacks")
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            fail(part, "import at the top of the file, not inside a callback")
        elif isinstance(part, ast.JoinedStr):
            fail(part, "no text in compiled callbacks: use ctx.log(code, value)")
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "print":
            fail(part, "no print in compiled callbacks: use ctx.log(code, value), or run with NANOTICK_INTERPRET=1")


def _indicator_mistake(part: ast.Attribute, me: str, parts: Mapping[str, type[Indicator]]) -> str:
    """What is wrong with `self.fast.name` or `self.fast[i].name`, or nothing."""
    holder = part.value.value if isinstance(part.value, ast.Subscript) else part.value
    if not (isinstance(holder, ast.Attribute) and isinstance(holder.value, ast.Name) and holder.value.id == me):
        return ""
    cls = parts.get(holder.attr)
    if cls is None:
        return ""
    told = f"self.{holder.attr} is a {cls.__name__}"
    if isinstance(part.ctx, ast.Store) and part.attr not in cls.parameters:
        return f"{told}: only its parameters can be assigned ({', '.join(cls.parameters) or 'it has none'})"
    known = [*(n for n in cls.methods if not n.startswith("_")), *cls.fields]
    if part.attr not in known:
        return f"{told}, which has no {part.attr!r}{nearest(part.attr, known)}; it has {', '.join(known)}"
    return ""


def _call_mistake(call: ast.Call, method: Callable[..., Any]) -> str:
    """What is wrong with the arguments of a call of a context method, or nothing."""
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return "arguments cannot be unpacked with * in compiled callbacks"
    signature = inspect.signature(method)
    shown = ", ".join(str(p).replace("'", "") for p in list(signature.parameters.values())[1:])
    try:
        signature.bind(None, *call.args, **{str(k.arg): k.value for k in call.keywords})
    except TypeError as error:
        return f"{error}: the method is ctx.{method.__name__}({shown})"
    return ""


_NOISE = re.compile(r"^(- |\s*$|Failed in|During:|File |There are|raised from|\^|Overload|Rejected|-+$|>>>|Enclosed)")


# pattern in Numba's text -> plain words
_RULES = (
    (
        r"Untyped global name '(\w+)'",
        "the name {0!r} is not something compiled code can use "
        "(a function of another library, a class or an undefined name)",
    ),
    (r"NameError: name '(\w+)' is not defined", "the name {0!r} is not defined"),
    (r"[Vv]ariable '?\.?(\w+)'? referenced before assignment", "{0!r} may be used before it is set"),
    (r"Unknown attribute '(\w+)' of type nanotick.Context", "ctx has no method {0!r}"),
    (
        r"Cannot unify (\S+) and (\S+) for '(\w+)",
        "{2!r} is {0} in one branch and {1} in another: give it one type",
    ),
    (r"Cannot cast (\S+) to (\S+)", "a {0} cannot be stored where a {1} is kept"),
    (r"No definition for lowering.*setattr|setattr", "this cannot be assigned to"),
    (r"unsupported opcode|Use of unsupported opcode", "this Python construct cannot be compiled"),
    (
        r"NRT required|_nrt|NRT_",
        "this needs memory at run time (a list, dict, array or string), which a callback may not take",
    ),
)


def plain_cause(text: str) -> str:
    """The first sentence of a Numba error that speaks of the user's code."""
    for pattern, words in _RULES:
        match = re.search(pattern, text)
        if match:
            return words.format(*match.groups())
    for line in text.splitlines():
        if not _NOISE.match(line.strip()):
            return line.strip()
    return text.strip().splitlines()[0] if text.strip() else "cannot be compiled"


def explain(error: Exception, function: Callable[..., Any], owner: str) -> StrategyError:
    """A StrategyError for a compiler's exception, at the user's own line."""
    code = function.__code__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    line = code.co_firstlineno
    loc = getattr(error, "loc", None)
    if loc is not None and getattr(loc, "filename", None) == code.co_filename:
        line = loc.line
    else:
        pattern = rf'File "{re.escape(code.co_filename)}", line (\d+)'
        numbers = [int(n) for n in re.findall(pattern, text)]
        short = [
            int(n)
            for n in re.findall(rf'File "[^"]*{re.escape(code.co_filename.rsplit("/", 1)[-1])}", line (\d+)', text)
        ]
        numbers = numbers or short
        if numbers:
            line = numbers[-1]
    found = source_tree(function)
    lines = found[2] if found else []
    return StrategyError(
        Finding(code.co_filename, line, f"{owner}.{function.__name__}", lines, plain_cause(text)).message
    )
