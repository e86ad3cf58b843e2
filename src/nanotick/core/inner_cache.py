"""Inner kernels on disk: each one's own LLVM code before any optimisation, and which kernels it calls.

Whoever is entered from outside links what it reaches, whether lowered just now or read from here, so an entry compiled
anew after an edit lowers only what the edit can have changed, and another entry, in another process, lowers nothing
twice. Kept are the kernels at the top of nanotick's modules; what is made at run time (a strategy, a closure) is not.

A kernel's symbol carries a digest of what it is made from, so code can only be linked with the very callees it was
lowered against; each callee's digest is checked as well when a kernel is read.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core import sigutils, types
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.environment import Environment

from nanotick.core.cache import cache_directory, read_whole, write_whole
from nanotick.core.source import is_own, module_digest


class InnerCache(_Cache):  # type: ignore[misc]
    """The cache of one inner kernel."""

    lowered = 0  # inner kernels lowered by this process for want of a cached one
    loaded = 0

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._function = kernel.py_func

    @property
    def kept(self) -> bool:
        """Whether the kernel is what its module calls by its name, and can so be found again."""
        function = self._function
        return is_own(function) and getattr(sys.modules.get(function.__module__), function.__name__, None) is (
            self._kernel
        )

    def identity(self, args: tuple[Any, ...]) -> str | None:
        """Digest of what the kernel is made from for these argument types; None when it is not kept."""
        if not self.kept or any(isinstance(kind, types.Callable) for kind in args):
            return None
        function = self._function
        text = f"inner|{function.__module__}.{function.__name__}|{module_digest(function.__module__)}|{args}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def path(self, args: tuple[Any, ...]) -> Path | None:
        """The file of the kernel for these argument types."""
        identity, directory = self.identity(args), cache_directory()
        if identity is None or directory is None:
            return None
        return directory / f"{self._function.__name__}-{identity}.nbi"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The lowered kernel, its callees loaded before it; None when it is not there or not whole."""
        args = tuple(sigutils.normalize_signature(sig)[0])
        path = self.path(args)
        if path is None:
            return None
        target_context.refresh()
        try:
            result = self._rebuild(target_context, read_whole(path))
        except FileNotFoundError:
            return None
        except Exception:  # whatever is wrong with a cached file, lowering again is the cure
            path.unlink(missing_ok=True)
            return None
        InnerCache.loaded += 1
        return result

    def _rebuild(self, target_context: Any, content: Any) -> Any:
        from nanotick.core.inner import InnerLibrary

        name, identity, code, descriptor, signature, callees, others = content
        codegen = target_context.codegen()
        library = InnerLibrary(codegen, name)
        for module, function, args, callee_identity in callees:
            callee = getattr(sys.modules[module], function)
            if callee._cache.identity(args) != callee_identity:
                raise ValueError(f"{name} was lowered against another {function}")
            callee.compile(args)
            library._linking_libraries.append(callee.overloads[args].library)
        for other_name, other_code in others:
            other = InnerLibrary(codegen, other_name)
            other._final_module = llvm.parse_bitcode(other_code)
            other._finalized = True
            library._linking_libraries.append(other)
        library._final_module = llvm.parse_bitcode(code)
        library.identity = identity
        library.finalize()
        environment = Environment.from_fndesc(descriptor)
        return CompileResult(
            target_context=target_context,
            typing_context=target_context.typing_context,
            library=library,
            environment=environment,
            entry_point=target_context.get_executable(library, descriptor, environment),
            fndesc=descriptor,
            type_annotation=None,
            signature=signature,
            objectmode=False,
            lifted=(),
            typing_error=None,
            call_helper=None,
            metadata=None,
            reload_init=(),
            referenced_envs=(),
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a kernel that has just been lowered."""
        InnerCache.lowered += 1
        path = self.path(tuple(sigutils.normalize_signature(sig)[0]))
        if path is None or data.library.has_dynamic_globals or data.reload_init:
            return
        from nanotick.core.inner import InnerLibrary

        callees, others = [], []
        for library in data.library._linking_libraries:
            if not isinstance(library, InnerLibrary):
                if library.has_dynamic_globals:
                    return
                others.append((library.name, library._get_module_for_linking().as_bitcode()))
            elif library.identity is None:
                return  # calls what cannot be found again
            else:
                callees.append(library.identity)
        descriptor = data.fndesc
        typing, descriptor.typemap = descriptor.typemap, None
        calls, descriptor.calltypes = descriptor.calltypes, None
        try:
            code = data.library._final_module.as_bitcode()
            content = (data.library.name, data.library.identity, code, descriptor, data.signature, callees, others)
            write_whole(path, pickle.dumps(content))
        except (pickle.PicklingError, TypeError, AttributeError):
            return  # an argument's type that only this process knows
        finally:
            descriptor.typemap, descriptor.calltypes = typing, calls

    cache_path = property(lambda self: str(cache_directory() or ""))

    def enable(self) -> None:
        """Nothing to switch (Numba's interface)."""

    def disable(self) -> None:
        """Nothing to switch (Numba's interface)."""

    def flush(self) -> None:
        """Delete what is kept of this kernel."""
        directory = cache_directory()
        if directory is not None:
            for path in sorted(directory.glob(f"{self._function.__name__}-*.nbi")):
                path.unlink(missing_ok=True)
