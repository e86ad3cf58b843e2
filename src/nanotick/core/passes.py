"""Numba's pipeline without the passes that kernels at the top of nanotick's modules have no use for.

Such kernels have no closures, no array expressions, no `with` and no string subscripts: passes that look for these walk
every kernel and find nothing. Anything made elsewhere (a strategy, a closure) is compiled by all of Numba's passes.
"""

from __future__ import annotations

from typing import Any

from numba.core import typed_passes, untyped_passes
from numba.core.compiler import CompilerBase, DefaultPassBuilder

_USELESS = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
    typed_passes.NopythonRewrites,
    typed_passes.DumpParforDiagnostics,
}


def pipeline(state: Any, lean: bool) -> Any:
    """Numba's passes for compiled functions, without the useless ones where `lean`; not yet finalized."""
    manager = DefaultPassBuilder.define_nopython_pipeline(state)
    if lean:
        manager.passes = [(which, text) for which, text in manager.passes if which not in _USELESS]
    manager._finalized = False
    return manager


class LeanCompiler(CompilerBase):  # type: ignore[misc]
    """The compiler of inner kernels at the top of nanotick's modules."""

    def define_pipelines(self) -> list[Any]:
        """One pipeline; the symbol is told apart by the digest of its source instead of by a count of this process."""
        self.state.func_id.unique_id = self.state.library.identity[3]
        manager = pipeline(self.state, lean=True)
        manager.finalize()
        return [manager]
