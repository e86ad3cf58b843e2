"""The compiled types of indicators. Imported only when kernels are compiled.

`RecordType` is what an indicator's own methods see: every field and the ring, to read and to write. `HandleType` is
what a strategy sees: methods, fields to read, parameters to write, and no ring, so strategy code cannot move a ring's
length. Both are one address. `RowType` is an array of handles.
"""

from __future__ import annotations

import inspect
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, Signature, infer_getattr
from numba.extending import lower_builtin, models, register_model, type_callable

from nanotick.core.lowering import FlatRecord, Primitive, _flat_getattr, _flat_setattr, make_record_at, scalar_type

I64 = ir.IntType(64)
_NUMBA = {int: types.int64, float: types.float64}
_TEMPLATES: dict[tuple[type, str], Any] = {}
_numbers = iter(range(1 << 62))


class RecordType(FlatRecord):
    """An indicator as its own methods see it."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        # two classes of one name and layout may differ in their methods: a number tells them apart
        super().__init__(cls.header, f"{cls.__qualname__}#{next(_numbers)}")


class HandleType(types.Type):  # type: ignore[misc]
    """An indicator as a strategy sees it."""

    def __init__(self, record: RecordType) -> None:
        self.cls, self.record, self.dtype = record.cls, record, record.dtype
        super().__init__(name=f"Handle({record.name})")


class RowType(types.Type):  # type: ignore[misc]
    """Indicators one behind the other, `stride` bytes apart."""

    def __init__(self, cls: Any, stride: int) -> None:
        self.handle, self.stride = cls.handle, stride
        super().__init__(name=f"Row({cls.handle.name},{stride})")


class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


for _kind in (RecordType, HandleType, RowType):
    register_model(_kind)(_AddressModel)


def _address_of(typingctx: Any, record: Any) -> Any:
    if isinstance(record, (RecordType, HandleType)):
        return types.int64(record), lambda context, builder, signature, args: args[0]
    return None


address_of = Primitive("address_of", _address_of, lambda record: int(record._address))
address_of._register()


def _method(record: RecordType, name: str) -> Any:
    """Typing and lowering of `indicator.name(...)`: numbers are cast to the declared types."""
    from nanotick.features.indicator import arguments_of

    cls = record.cls
    if name not in cls.methods:
        return None
    key = (cls, name)
    if key in _TEMPLATES:
        return _TEMPLATES[key]
    shape = inspect.signature(cls.methods[name])
    taken = shape.replace(parameters=list(shape.parameters.values())[1:])
    declared = tuple(_NUMBA[k] for k in arguments_of(cls.methods[name]))

    def resolve(typing_context: Any) -> tuple[Any, Any]:
        kind = typing_context.resolve_value_type(cls.kernels[name])
        return kind, kind.get_call_type(typing_context, (record, *declared), {})

    class Method(AbstractTemplate):  # type: ignore[misc]
        pass

    Method.key = key

    def generic(self: Any, args: Any, kws: Any) -> Any:
        try:
            bound = shape.bind(record, *args, **kws)
        except TypeError:
            return None
        for given, wanted in zip(bound.args[1:], declared, strict=False):
            given = types.unliteral(given)
            if not isinstance(given, types.Number | types.Boolean):
                return None
            if isinstance(given, types.Float) and wanted is types.int64:
                return None  # a time or a count that would be cut silently
        resolved = resolve(self.context)[1]
        return Signature(resolved.return_type, declared, self.receiver, pysig=taken)

    Method.generic = generic

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, resolved = resolve(context.typing_context)
        implementation = context.get_function(kind, resolved)
        result = implementation(builder, args)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        return result

    _TEMPLATES[key] = []
    for kind in (RecordType, HandleType):
        lower_builtin(key, kind, types.VarArg(types.Any))(lower)
    _TEMPLATES[key] = Method
    return Method


def _bound(record: RecordType, receiver: Any, attr: str) -> Any:
    template = _method(record, attr)
    if template is None:
        return None
    # a template learns of its receiver through a class of its own
    own = type(template.__name__, (template,), {"receiver": receiver, "key": template.key})
    return types.BoundFunction(own, receiver)


@infer_getattr
class _RecordMethods(AttributeTemplate):  # type: ignore[misc]
    key = RecordType

    def generic_resolve(self, record: Any, attr: str) -> Any:
        return _bound(record, record, attr)


@infer_getattr
class _HandleAttributes(AttributeTemplate):  # type: ignore[misc]
    key = HandleType

    def generic_resolve(self, handle: Any, attr: str) -> Any:
        if attr in handle.cls.fields:
            return scalar_type("i8" if handle.cls.fields[attr] is int else "f8")
        return None if attr.startswith("_") else _bound(handle.record, handle, attr)


lower_getattr_generic(HandleType)(_flat_getattr)


@lower_setattr_generic(HandleType)
def _set_parameter(context: Any, builder: Any, signature: Any, args: Any, attr: str) -> None:
    cls = signature.args[0].cls
    if attr not in cls.parameters:
        raise NotImplementedError(f"{cls.__name__}.{attr} is the indicator's own; its parameters may be set")
    _flat_setattr(context, builder, signature, args, attr)


@type_callable(operator.getitem)
def _type_row(context: Any) -> Any:
    def typer(row: Any, index: Any) -> Any:
        return row.handle if isinstance(row, RowType) and isinstance(index, types.Integer) else None

    return typer


@lower_builtin(operator.getitem, RowType, types.Integer)
def _row_getitem(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    row, index_type = signature.args
    index = context.cast(builder, args[1], index_type, types.int64)
    return builder.add(args[0], builder.mul(index, ir.Constant(I64, row.stride)))


def declare(cls: Any) -> tuple[Any, Any]:
    """The accessor of an indicator's records for kernels, and the type strategies hold it under."""
    record = RecordType(cls)
    return make_record_at(cls.header, cls.__name__, cls.at, record), HandleType(record)
