"""Entries: kernels that Python or the engine calls by address, optimised once with all inner kernels they reach.

Inner kernels (see `inner`) arrive as LLVM code that nobody has optimised. The entry links each of them once, makes them
internal, so that what is inlined everywhere is dropped and constant arguments are specialised, and runs the full
optimisation a single time: the cheap run that Numba puts before it serves reference pruning, and kernels count nothing.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

from nanotick.core.inner import InnerLibrary
from nanotick.core.passes import pipeline
from nanotick.core.source import is_own


class EntryLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of one entry and of everything below it."""

    def finalize(self) -> None:
        """Link, optimise, translate."""
        self._raise_if_finalized()
        own = {function.name for function in self._final_module.functions if not function.is_declaration}
        below: dict[Any, None] = {}
        for library in self._linking_libraries:
            below[library] = None
            if isinstance(library, InnerLibrary):
                library._below(below)
        for library in below:
            self._reload_init.update(library._reload_init)
            inner = isinstance(library, InnerLibrary)
            code = library._final_module if inner else library._get_module_for_linking()
            self._final_module.link_in(code, preserve=True)
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in own:
                function.linkage = "internal"
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)
        self._final_module.verify()
        self._finalize_final_module()


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(NativeLowering):  # type: ignore[misc]
    """Numba's lowering into an entry's library."""

    _name = "nanotick_entry_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower with a library of our kind."""
        state.library = EntryLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class EntryCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's pipeline with that lowering."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes, one exchanged."""
        manager = pipeline(self.state, lean=is_own(self.state.func_id.func))
        manager.passes = [
            (EntryLowering if which is NativeLowering else which, description) for which, description in manager.passes
        ]
        manager.finalize()
        return [manager]
