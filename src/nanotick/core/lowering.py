"""LLVM bodies of the memory primitives and of flat records. Imported only when kernels are compiled.

`Primitive` is a Numba intrinsic that is also callable from plain Python (it then runs its interpreted body), so a
kernel's `py_func` can be stepped through in the same process. `FlatRecord` is a Numba type whose value is one integer
address; attribute access is a load or store at the field's offset.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import _Intrinsic
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import lower_builtin, models, register_model, type_callable

from nanotick.core.memory import crc32c_table, dtype_digest, field_code

I1, I8, I16, I32, I64, I128 = (ir.IntType(n) for n in (1, 8, 16, 32, 64, 128))
F64 = ir.DoubleType()
_LLVM: dict[str, Any] = {
    "i1": I8, "u1": I8, "b1": I8, "i2": I16, "u2": I16, "i4": I32, "u4": I32, "i8": I64, "u8": I64,
    "f4": ir.FloatType(), "f8": F64,
}  # fmt: skip


class Primitive(_Intrinsic):  # type: ignore[misc]
    """An intrinsic with a Python body: the same name works in compiled, interpreted and plain Python code."""

    def __init__(self, name: str, defn: Callable[..., Any], python: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(name, defn, **kwargs)
        self._python = python

    def __call__(self, *args: Any) -> Any:
        """Run the interpreted body."""
        return self._python(*args)

    def _reduce_states(self) -> dict[str, Any]:
        raise TypeError(f"{self._name} is a primitive of nanotick's memory and is never pickled")


# LLVM takes a load from `null + x` for undefined and deletes it, and when it sinks an address such as
# `base + (16 if side > 0 else 0)` into a load it may well make it `gep(null, base)`. Null is only special in address
# space 0; on every target of ours address space 1 is the same flat memory.
_FLAT = 1


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer(_FLAT))


def _define(name: str, signature: Any, codegen: Callable[..., Any], python: Callable[..., Any]) -> Primitive:
    nargs = len(signature.args)
    # Numba reads the typing function's parameters by name, so it needs one of exactly this arity
    arguments = ", ".join(f"a{i}" for i in range(nargs))
    namespace: dict[str, Any] = {"pair": (signature, codegen)}
    source = f"lambda typingctx{', ' if nargs else ''}{arguments}: pair"
    primitive = Primitive(name, eval(source, namespace), python)  # noqa: S307 - constant text, arity only
    primitive._register()
    return primitive


def _load_codegen(kind: Any, signed: bool, swap: bool) -> Callable[..., Any]:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_pointer(builder, args[0], kind))
        value.align = 1
        if kind is F64:
            return value
        if swap:
            value = builder.bswap(value)
        if kind is I64:
            return value
        return builder.sext(value, I64) if signed else builder.zext(value, I64)

    return codegen


def _store_codegen(kind: Any) -> Callable[..., Any]:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[1] if kind in (F64, I64) else builder.trunc(args[1], kind)
        builder.store(value, _pointer(builder, args[0], kind)).align = 1
        return context.get_dummy_value()

    return codegen


def _llvm_call(name: str, result: Any, *arg_types: Any) -> Callable[..., Any]:
    def call(builder: Any, *args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arg_types), name)
        return builder.call(function, args)

    return call


_cttz = _llvm_call("llvm.cttz.i64", I64, I64, I1)
_ctlz = _llvm_call("llvm.ctlz.i64", I64, I64, I1)
_ctpop = _llvm_call("llvm.ctpop.i64", I64, I64)
_crc_x86 = _llvm_call("llvm.x86.sse42.crc32.64.64", I64, I64, I64)
_crc_arm = _llvm_call("llvm.aarch64.crc32cx", I32, I32, I64)
_fshr = _llvm_call("llvm.fshr.i32", I32, I32, I32, I32)
_ZERO_DEFINED = ir.Constant(I1, 0)


def _prefetch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    pointer = I8.as_pointer()
    call = _llvm_call("llvm.prefetch.p0", ir.VoidType(), pointer, I32, I32, I32)
    call(builder, builder.inttoptr(args[0], pointer), ir.Constant(I32, 1), ir.Constant(I32, 3), ir.Constant(I32, 1))
    return context.get_dummy_value()


def _pause(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    if platform.machine() in ("x86_64", "AMD64"):
        _llvm_call("llvm.x86.sse2.pause", ir.VoidType())(builder)
    return context.get_dummy_value()


def _rotate_right_32(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    word = builder.trunc(args[0], I32)
    return builder.zext(_fshr(builder, word, word, builder.trunc(args[1], I32)), I64)


def _load_acquire(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.load_atomic(_pointer(builder, args[0], I64), "acquire", 8)


def _store_release(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    builder.store_atomic(args[1], _pointer(builder, args[0], I64), "release", 8)
    return context.get_dummy_value()


def _fetch_add(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.atomic_rmw("add", _pointer(builder, args[0], I64), args[1], "acq_rel")


def _compare_exchange(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    pair = builder.cmpxchg(_pointer(builder, args[0], I64), args[1], args[2], "acq_rel", "acquire")
    return builder.extract_value(pair, 1)


def _crc32c_u64(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    crc, word = args
    machine = platform.machine()
    if machine in ("x86_64", "AMD64"):
        return _crc_x86(builder, crc, word)
    if machine in ("aarch64", "arm64"):
        return builder.zext(_crc_arm(builder, builder.trunc(crc, I32), word), I64)
    table_type = ir.ArrayType(I64, 256)
    table = cgutils.global_constant(builder, "crc32c_table", ir.Constant(table_type, crc32c_table()))
    for _ in range(8):
        index = builder.and_(builder.xor(crc, word), ir.Constant(I64, 255))
        entry = builder.load(builder.gep(table, [ir.Constant(I64, 0), index]))
        crc = builder.xor(builder.lshr(crc, ir.Constant(I64, 8)), entry)
        word = builder.lshr(word, ir.Constant(I64, 8))
    return crc


def _mul_div(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """floor(a*b/c) modulo 2^64: one division where the product fits 64 bits, else shift-subtract on 128."""
    a, b, c = args
    zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
    result = cgutils.alloca_once_value(builder, zero)
    pair = builder.smul_with_overflow(a, b)
    product, overflow = builder.extract_value(pair, 0), builder.extract_value(pair, 1)
    with builder.if_then(builder.icmp_signed("!=", c, zero)):
        with builder.if_else(overflow, likely=False) as (wide, narrow):
            with narrow:
                # the least integer divided by -1 is a trap of the processor
                minus_one = builder.icmp_signed("==", c, ir.Constant(I64, -1))
                safe = builder.select(minus_one, one, c)
                quotient = builder.sdiv(product, safe)
                remainder = builder.srem(product, safe)
                differ = builder.icmp_signed("<", builder.xor(remainder, c), zero)
                inexact = builder.icmp_signed("!=", remainder, zero)
                floor = builder.sub(quotient, builder.zext(builder.and_(differ, inexact), I64))
                builder.store(builder.select(minus_one, builder.neg(product), floor), result)
            with wide:
                negative = builder.icmp_signed("<", builder.xor(builder.xor(a, b), c), zero)

                def magnitude(x: Any) -> Any:
                    return builder.select(builder.icmp_signed("<", x, zero), builder.neg(x), x)

                full = builder.mul(builder.zext(magnitude(a), I128), builder.zext(magnitude(b), I128))
                divisor = magnitude(c)
                high = cgutils.alloca_once_value(builder, zero)
                quotient_slot = cgutils.alloca_once_value(builder, zero)
                low_word = builder.trunc(full, I64)
                high_word = builder.trunc(builder.lshr(full, ir.Constant(I128, 64)), I64)
                low_slot = cgutils.alloca_once_value(builder, low_word)
                builder.store(builder.urem(high_word, divisor), high)  # what the division takes off is above 2^64
                with cgutils.for_range(builder, ir.Constant(I64, 64)):
                    rest, low = builder.load(high), builder.load(low_slot)
                    carry = builder.lshr(rest, ir.Constant(I64, 63))
                    rest = builder.or_(builder.shl(rest, one), builder.lshr(low, ir.Constant(I64, 63)))
                    builder.store(builder.shl(low, one), low_slot)
                    fits = builder.or_(
                        builder.icmp_unsigned(">=", rest, divisor), builder.icmp_unsigned("!=", carry, zero)
                    )
                    builder.store(builder.select(fits, builder.sub(rest, divisor), rest), high)
                    shifted = builder.shl(builder.load(quotient_slot), one)
                    builder.store(builder.or_(shifted, builder.zext(fits, I64)), quotient_slot)
                inexact = builder.icmp_unsigned("!=", builder.load(high), zero)
                quotient = builder.load(quotient_slot)
                down = builder.sub(builder.neg(quotient), builder.zext(inexact, I64))
                builder.store(builder.select(negative, down, quotient), result)
    return builder.load(result)


def _copy_bytes(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    flat = I8.as_pointer(_FLAT)
    call = _llvm_call("llvm.memcpy.p1.p1.i64", ir.VoidType(), flat, flat, I64, I1)
    call(builder, _pointer(builder, args[0], I8), _pointer(builder, args[1], I8), args[2], ir.Constant(I1, 0))
    return context.get_dummy_value()


def _clear_bytes(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    call = _llvm_call("llvm.memset.p1.i64", ir.VoidType(), I8.as_pointer(_FLAT), I8, I64, I1)
    call(builder, _pointer(builder, args[0], I8), ir.Constant(I8, 0), args[1], ir.Constant(I1, 0))
    return context.get_dummy_value()


def _call2(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    function = ir.FunctionType(I64, [I64, I64])
    return builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])


_i, _f, _v, _b = types.int64, types.float64, types.void, types.boolean
_CODEGEN: dict[str, tuple[Any, Callable[..., Any]]] = {
    "load_u8": (_i(_i), _load_codegen(I8, False, False)),
    "load_i16": (_i(_i), _load_codegen(I16, True, False)),
    "load_u16": (_i(_i), _load_codegen(I16, False, False)),
    "load_i32": (_i(_i), _load_codegen(I32, True, False)),
    "load_u32": (_i(_i), _load_codegen(I32, False, False)),
    "load_i64": (_i(_i), _load_codegen(I64, True, False)),
    "load_f64": (_f(_i), _load_codegen(F64, True, False)),
    "load_be16": (_i(_i), _load_codegen(I16, False, True)),
    "load_be32": (_i(_i), _load_codegen(I32, False, True)),
    "load_be64": (_i(_i), _load_codegen(I64, False, True)),
    "store_u8": (_v(_i, _i), _store_codegen(I8)),
    "store_i16": (_v(_i, _i), _store_codegen(I16)),
    "store_i32": (_v(_i, _i), _store_codegen(I32)),
    "store_i64": (_v(_i, _i), _store_codegen(I64)),
    "store_f64": (_v(_i, _f), _store_codegen(F64)),
    "load_acquire": (_i(_i), _load_acquire),
    "store_release": (_v(_i, _i), _store_release),
    "fetch_add": (_i(_i, _i), _fetch_add),
    "compare_exchange": (_b(_i, _i, _i), _compare_exchange),
    "prefetch": (_v(_i), _prefetch),
    "pause": (_v(), _pause),
    "trailing_zeros": (_i(_i), lambda c, b, s, a: _cttz(b, a[0], _ZERO_DEFINED)),
    "leading_zeros": (_i(_i), lambda c, b, s, a: _ctlz(b, a[0], _ZERO_DEFINED)),
    "popcount": (_i(_i), lambda c, b, s, a: _ctpop(b, a[0])),
    "shift_right": (_i(_i, _i), lambda c, b, s, a: b.lshr(a[0], a[1])),
    "rotate_right_32": (_i(_i, _i), _rotate_right_32),
    "mul_wrap": (_i(_i, _i), lambda c, b, s, a: b.mul(a[0], a[1])),
    "crc32c_u64": (_i(_i, _i), _crc32c_u64),
    "mul_div": (_i(_i, _i, _i), _mul_div),
    "copy_bytes": (_v(_i, _i, _i), _copy_bytes),
    "clear_bytes": (_v(_i, _i), _clear_bytes),
    "call2": (_i(_i, _i, _i), _call2),
    "float_bits": (_i(_f), lambda c, b, s, a: b.bitcast(a[0], I64)),
    "bits_float": (_f(_i), lambda c, b, s, a: b.bitcast(a[0], F64)),
}


def make_primitive(name: str, python: Callable[..., Any]) -> Primitive:
    """The primitive of this name, with its compiled and its Python body."""
    signature, codegen = _CODEGEN[name]
    return _define(name, signature, codegen, python)


# --- flat records -------------------------------------------------------------------------------------------------


class FlatRecord(types.Type):  # type: ignore[misc]
    """A record known by its address. Two dtypes of equal layout and name are the same type.

    `parts` gives the Numba types of fields that are records themselves; reading one gives its address in that type.
    """

    def __init__(self, dtype: np.dtype[Any], name: str, parts: Mapping[str, Any] | None = None) -> None:
        self.dtype = dtype
        self.label = name
        self.parts = parts or {}
        super().__init__(name=f"{type(self).__name__}({name}:{dtype_digest(dtype)})")


class FlatArrayType(types.Type):  # type: ignore[misc]
    """An array field of a flat record: the address of its first element."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(name=f"FlatArray({code})")


class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


register_model(FlatRecord)(_AddressModel)
register_model(FlatArrayType)(_AddressModel)


def scalar_type(code: str) -> Any:
    """The Numba type in which a field of this code is read."""
    return {"f": types.float64, "b": types.boolean}.get(code[0], types.int64)


@infer_getattr
class _FlatAttributes(AttributeTemplate):  # type: ignore[misc]
    key = FlatRecord

    def generic_resolve(self, record: Any, attr: str) -> Any:
        fields = record.dtype.fields
        if attr not in fields:
            return None
        parts = getattr(record, "parts", None)
        if parts and attr in parts:
            return parts[attr]
        sub = fields[attr][0]
        return FlatArrayType(field_code(sub.base)) if sub.shape else scalar_type(field_code(sub))


def _read(builder: Any, code: str, address: Any, align: int, invariant: bool = False) -> Any:
    value = builder.load(_pointer(builder, address, _LLVM[code]))
    value.align = align
    if invariant:
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
    if code == "f8" or code[1] == "8":
        return value
    if code == "f4":
        return builder.fpext(value, F64)
    if code == "b1":
        return builder.trunc(value, I1)
    return builder.sext(value, I64) if code[0] == "i" else builder.zext(value, I64)


def _write(builder: Any, code: str, address: Any, value: Any, align: int) -> None:
    if code == "f4":
        value = builder.fptrunc(value, ir.FloatType())
    elif code == "b1":
        value = builder.zext(value, I8)
    elif code[0] in "iu" and code[1] != "8":
        value = builder.trunc(value, _LLVM[code])
    builder.store(value, _pointer(builder, address, _LLVM[code])).align = align


@lower_getattr_generic(FlatRecord)
def _flat_getattr(context: Any, builder: Any, record: Any, address: Any, attr: str) -> Any:
    sub, offset = record.dtype.fields[attr][:2]
    address = builder.add(address, ir.Constant(I64, offset))
    if sub.shape or sub.names:
        return address
    code = field_code(sub)
    align = sub.itemsize if record.dtype.isalignedstruct or offset % sub.itemsize == 0 else 1
    return _read(builder, code, address, align, attr.endswith("_address"))


@lower_setattr_generic(FlatRecord)
def _flat_setattr(context: Any, builder: Any, signature: Any, args: Any, attr: str) -> None:
    record = signature.args[0]
    sub, offset = record.dtype.fields[attr][:2]
    address = builder.add(args[0], ir.Constant(I64, offset))
    align = sub.itemsize if record.dtype.isalignedstruct or offset % sub.itemsize == 0 else 1
    _write(builder, field_code(sub), address, args[1], align)


@type_callable(operator.getitem)
def _type_getitem(context: Any) -> Any:
    def typer(array: Any, index: Any) -> Any:
        if isinstance(array, FlatArrayType) and isinstance(index, types.Integer):
            return scalar_type(array.code)
        return None

    return typer


@type_callable(operator.setitem)
def _type_setitem(context: Any) -> Any:
    def typer(array: Any, index: Any, value: Any) -> Any:
        if isinstance(array, FlatArrayType) and isinstance(index, types.Integer):
            return types.void(array, types.int64, scalar_type(array.code))
        return None

    return typer


def _element(context: Any, builder: Any, code: str, address: Any, index: Any, index_type: Any) -> Any:
    index = context.cast(builder, index, index_type, types.int64)
    return builder.add(address, builder.mul(index, ir.Constant(I64, int(code[1]))))


@lower_builtin(operator.getitem, FlatArrayType, types.Integer)
def _flat_getitem(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    code = signature.args[0].code
    address = _element(context, builder, code, args[0], args[1], signature.args[1])
    return _read(builder, code, address, int(code[1]))


@lower_builtin(operator.setitem, FlatArrayType, types.Integer, types.Any)
def _flat_setitem(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index, value_type = signature.args
    value = context.cast(builder, args[2], value_type, scalar_type(array.code))
    address = _element(context, builder, array.code, args[0], args[1], index)
    _write(builder, array.code, address, value, int(array.code[1]))
    return context.get_dummy_value()


def make_record_at(dtype: np.dtype[Any], name: str, proxy: type, kind: Any = None) -> Any:
    """Accessor of records of this dtype; `kind` is the Numba type to give, a `FlatRecord` by default."""
    kind = FlatRecord(dtype, name) if kind is None else kind
    size = dtype.itemsize

    def typing(typingctx: Any, address: Any, index: Any = None) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if isinstance(signature.args[1], types.Omitted):
                return args[0]
            return builder.add(args[0], builder.mul(args[1], ir.Constant(I64, size)))

        if not isinstance(address, types.Integer):
            return None
        if index is None or isinstance(index, (types.Omitted, types.NoneType)):
            return kind(types.int64, types.Omitted(None)), codegen
        return kind(types.int64, types.int64), codegen

    def python(address: int, index: int = 0) -> Any:
        return proxy(address + index * size)

    accessor = Primitive(f"{name}_at", typing, python)
    accessor._register()
    accessor.record_type = kind
    accessor.dtype = dtype
    return accessor
