"""Kernels that only other kernels call, compiled for inlining and nothing else.

Numba optimises and translates every function it compiles together with everything the function calls, so a tree of n
small kernels is translated about n times. An inner kernel stops after its own LLVM code: whoever is entered from
outside (an entry, a callback) links the code of all kernels below it once, and optimises and translates it once.
Arguments are typed without their literal values, so a kernel called with several constants is compiled once.

Each is kept on disk (`inner_cache`). Called from Python, an inner kernel compiles itself as an ordinary function.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from numba import njit, types
from numba.core import compiler, sigutils
from numba.core.codegen import JITCodeLibrary
from numba.core.dispatcher import _FunctionCompiler
from numba.core.registry import CPUDispatcher

from nanotick.core.cache import claimed
from nanotick.core.inner_cache import InnerCache
from nanotick.core.passes import LeanCompiler


class _WithoutEnvironment:
    """A code generator that is not asked to fill in an environment: untranslated code has none yet."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, env_name: str, env: Any) -> None:
        return


class InnerLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of one inner kernel, neither optimised nor translated."""

    _shared_module: Any
    identity: tuple[Any, ...] | None = None  # of a kernel that is kept on disk: module, name, argument types, digest
    called = False  # never inlined

    @property
    def codegen(self) -> Any:
        """The generator that made this code."""
        return _WithoutEnvironment(self._codegen)

    def finalize(self) -> None:
        """Stop here: what this kernel calls is linked in by whoever is entered from outside."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        if self.called:
            for function in self._final_module.functions:
                if not function.is_declaration:
                    function.add_function_attribute("noinline")
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """No address: nothing is translated."""
        return 0

    def _below(self, seen: dict[Any, None]) -> dict[Any, None]:
        for library in self._linking_libraries:
            if library not in seen:
                seen[library] = None
                if isinstance(library, InnerLibrary):
                    library._below(seen)
        return seen

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            module = self._final_module.clone()
            for library in self._below({}):
                self._reload_init.update(library._reload_init)
                inner = isinstance(library, InnerLibrary)
                code = library._final_module if inner else library._get_module_for_linking()
                module.link_in(code, preserve=True)
            for function in module.functions:
                if not function.is_declaration and function.linkage == llvm.Linkage.external:
                    function.linkage = "linkonce_odr"
            self._shared_module = module
        return self._shared_module


class _InnerCompiler(_FunctionCompiler):  # type: ignore[misc]
    kernel: Any

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        flags = compiler.Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        context = self.targetdescr.target_context
        library = InnerLibrary(context.codegen(), self.py_func.__qualname__)
        digest = self.kernel._cache.identity(args)
        library.called = self.kernel.called
        if digest is not None:
            library.identity = (self.py_func.__module__, self.py_func.__name__, args, digest)
        return compiler.compile_extra(
            self.targetdescr.typing_context,
            context,
            self.py_func,
            args=args,
            return_type=return_type,
            flags=flags,
            locals=self.locals,
            library=library,
            pipeline_class=LeanCompiler if digest is not None else self.pipeline_class,
        )


class InnerKernel(CPUDispatcher):  # type: ignore[misc]
    """A dispatcher whose overloads exist for other kernels only."""

    def __init__(self, function: Any, options: dict[str, Any], called: bool = False) -> None:
        self.called = called
        outer = njit(**options)(function)
        super().__init__(function, locals=outer.locals, targetoptions=outer.targetoptions)
        old: Any = outer._compiler
        self._compiler = _InnerCompiler(function, old.targetdescr, old.targetoptions, old.locals, old.pipeline_class)
        self._compiler.kernel = self
        self._cache = InnerCache(self)
        self._outer = outer

    def compile(self, sig: Any) -> Any:
        """Lower for these argument types, or load; one process at a time lowers a kernel."""
        args = tuple(sigutils.normalize_signature(sig)[0])
        if args in self.overloads:
            return self.overloads[args].entry_point
        with claimed(self._cache.path(args)):
            return super().compile(sig)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """The compiled kernel for these argument types, literal values put aside."""
        plain = tuple(types.unliteral(a) for a in args)
        return super().get_call_template(plain, {k: types.unliteral(a) for k, a in kws.items()})

    def __call__(self, *args: Any) -> Any:
        """Run from Python, compiled as an ordinary function."""
        return self._outer(*args)
