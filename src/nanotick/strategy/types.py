"""The compiled types behind `self`, `ctx` and the third argument of a callback.

All three are addresses. `StrategyRecord` reads and writes the strategy's own fields; `ViewRecord` only reads; `Context`
has no fields at all, only the methods that `context.py` gives it, so compiled strategy code cannot name a limit, a
command or an address. In interpreted mode the same three are small Python classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nanotick.core.memory import dtype_digest, proxy_class
from nanotick.core.mode import INTERPRET
from nanotick.features import Part

# every method of ctx by name: what checks, documentation and error messages go by
METHODS: dict[str, Callable[..., Any]] = {}


class ContextProxy:
    """`ctx` when interpreted: an address with the context's methods."""

    __slots__ = ("_address",)

    def __init__(self, address: int) -> None:
        self._address = address


def view_proxy(dtype: np.dtype[Any], name: str) -> type:
    """Interpreted read-only view: assigning to a field raises AttributeError."""
    writable = proxy_class(dtype, name)
    assert dtype.names is not None
    namespace: dict[str, Any] = {n: property(vars(writable)[n].fget) for n in dtype.names}
    return type(name, (writable,), {"__slots__": (), **namespace})


if INTERPRET:
    as_context: Any = ContextProxy

    def context_address(ctx: Any) -> int:
        """The address behind `ctx`."""
        return int(ctx._address)

    def context_method(function: Callable[..., Any]) -> Any:
        """Declare a method of `ctx`: a function whose first parameter is the context."""
        setattr(ContextProxy, function.__name__, function)
        METHODS[function.__name__] = function
        return function

    def view_at(dtype: np.dtype[Any], name: str) -> Any:
        """Accessor `f(address)` of a read-only view."""
        return view_proxy(dtype, name)

    def strategy_at(
        dtype: np.dtype[Any], name: str, methods: dict[str, Callable[..., Any]], parts: dict[str, Part]
    ) -> Any:
        """Accessor `f(address)` of a strategy's `self`."""
        return type(name, (proxy_class(dtype, name, parts),), {"__slots__": (), **methods})

else:
    from llvmlite import ir
    from numba import types
    from numba.core.imputils import lower_getattr_generic
    from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
    from numba.extending import lower_builtin, models, overload_method, register_model

    from nanotick.core.kernel import entry
    from nanotick.core.lowering import FlatRecord, Primitive, _flat_getattr, _FlatAttributes, make_record_at

    class ContextType(types.Type):  # type: ignore[misc]
        """Compiled type of `ctx`."""

        def __init__(self) -> None:
            super().__init__(name="nanotick.Context")

    class ViewRecord(types.Type):  # type: ignore[misc]
        """A flat record without a way to write."""

        def __init__(self, dtype: np.dtype[Any], name: str) -> None:
            self.dtype = dtype
            self.label = name
            super().__init__(name=f"View({name}:{dtype_digest(dtype)})")

    class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, ir.IntType(64))

    register_model(ContextType)(_AddressModel)
    register_model(ViewRecord)(_AddressModel)

    @infer_getattr
    class _ViewAttributes(_FlatAttributes):  # type: ignore[misc]
        key = ViewRecord  # type: ignore[assignment]

    lower_getattr_generic(ViewRecord)(_flat_getattr)

    context_type = ContextType()
    _NUMBA = {"int": types.int64, "float": types.float64, "bool": types.boolean}

    def _as_context(typingctx: Any, address: Any) -> Any:
        return context_type(types.int64), lambda context, builder, signature, args: args[0]

    def _context_address(typingctx: Any, ctx: Any) -> Any:
        if isinstance(ctx, ContextType):
            return types.int64(context_type), lambda context, builder, signature, args: args[0]
        return None

    as_context = Primitive("as_context", _as_context, ContextProxy)
    as_context._register()
    context_address = Primitive("context_address", _context_address, lambda ctx: int(ctx._address))  # type: ignore[assignment]
    context_address._register()  # type: ignore[attr-defined]

    def _choosing(body: Callable[..., Any]) -> Callable[..., Any]:
        """The overload that always chooses `body`; Numba folds default arguments by its signature."""

        def choose(*args: Any, **kwargs: Any) -> Callable[..., Any]:
            return body

        choose.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
        return choose

    def context_method(function: Callable[..., Any]) -> Any:
        """Declare a method of `ctx`: a function whose first parameter is the context, the rest int, float or bool.

        It is compiled for exactly the annotated types and cached, whatever a strategy passes: strategies then compile
        in a fraction of the time, since only their own lines are new.
        """
        name = function.__name__
        parameters = list(inspect.signature(function).parameters.values())[1:]
        declared = tuple(_NUMBA[p.annotation] for p in parameters)
        compiled = entry(function, (context_type, *declared), f"{function.__module__}.{function.__qualname__}")
        METHODS[name] = function
        setattr(ContextProxy, name, function)
        _TEMPLATES[name] = _method_template(function, compiled, declared)
        return compiled

    def _method_template(function: Callable[..., Any], compiled: Any, declared: tuple[Any, ...]) -> Any:
        """Typing and lowering of a call: arguments are cast to the declared types, defaults are filled in."""
        shape = inspect.signature(function)

        def resolve(typing_context: Any) -> tuple[Any, Any]:
            kind = typing_context.resolve_value_type(compiled)
            return kind, kind.get_call_type(typing_context, (context_type, *declared), {})

        class Method(AbstractTemplate):  # type: ignore[misc]
            key = (ContextType, function.__name__)

            def generic(self, args: Any, kws: Any) -> Any:
                try:
                    bound = shape.bind(context_type, *args, **kws)
                except TypeError:
                    return None
                for given, wanted in zip(bound.args[1:], declared, strict=False):
                    if not self.context.can_convert(types.unliteral(given), wanted):
                        return None
                _, signature = resolve(self.context)
                return signature.replace(pysig=shape).as_method()

        @lower_builtin(Method.key, ContextType, types.VarArg(types.Any))  # type: ignore[misc]
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind, resolved = resolve(context.typing_context)
            implementation = context.get_function(kind, resolved)
            result = implementation(builder, args)
            context.add_linking_libs(getattr(implementation, "libs", ()))
            return result

        return Method

    _TEMPLATES: dict[str, Any] = {}

    @infer_getattr
    class _ContextMethods(AttributeTemplate):  # type: ignore[misc]
        key = ContextType

        def generic_resolve(self, ctx: Any, attr: str) -> Any:
            template = _TEMPLATES.get(attr)
            return None if template is None else types.BoundFunction(template, ctx)

    def view_at(dtype: np.dtype[Any], name: str) -> Any:
        """Accessor `f(address)` of a read-only view."""
        return make_record_at(dtype, name, view_proxy(dtype, name), ViewRecord(dtype, name))

    def strategy_at(
        dtype: np.dtype[Any], name: str, methods: dict[str, Callable[..., Any]], parts: dict[str, Part]
    ) -> Any:
        """Accessor `f(address)` of a strategy's `self`.

        `methods` are its own functions besides callbacks, `parts` the fields that are indicators.
        """
        record_class = type("StrategyRecord", (FlatRecord,), {})
        kind = record_class(dtype, name, {n: p.compiled() for n, p in parts.items()})
        register_model(record_class)(_AddressModel)
        for method, function in methods.items():
            overload_method(record_class, method, strict=False)(_choosing(function))
        return make_record_at(dtype, name, proxy_class(dtype, name, parts), kind)
