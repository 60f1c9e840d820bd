"""The kernels that exist: every module of ``tinyq/kernels/<isa>/`` that says `kernel`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

from tinyq import kernels
from tinyq.errors import TinyqError
from tinyq.kernels.base import SUFFIX, Binder, Kernel
from tinyq.support.modules import import_modules

_PACKAGE = kernels.__name__
_found: dict[str, Kernel] = {}


def kernel(
    operation: str,
    *formats: str | tuple[str, ...],
    variant: str = "",
    text: str = "",
    shared: bool = False,
) -> Callable[[Binder], Binder]:
    """Register a binder: its module's package names the instruction set.

    Args:
        operation: ``Op.kernel`` of the operations that it computes.
        formats: Formats of the inputs ``Op.keyed``, or classes of formats; of several, each.
        variant: Tells kernels of one instruction set apart.
        text: Template below ``templates/kernels``, without its suffix; that of the module's own
            name where it is empty.
        shared: Whether one text serves all layers of its formats.
    """
    choices = [(it,) if isinstance(it, str) else it for it in formats]

    def register(binder: Binder) -> Binder:
        isa, module = binder.__module__.removeprefix(f"{_PACKAGE}.").split(".")
        template = f"kernels/{text or f'{isa}/{module}'}{SUFFIX}"
        for names in itertools.product(*choices):
            _add(Kernel(operation, names, isa, variant, template, shared, (), binder))
        return binder

    return register


@functools.cache
def list_kernels() -> tuple[Kernel, ...]:
    """All kernels, by name."""
    for module in import_modules(_PACKAGE):
        if hasattr(module, "__path__"):
            import_modules(module.__name__)
    return tuple(_found[name] for name in sorted(_found))


def _add(found: Kernel) -> None:
    if found.name in _found:
        raise TinyqError(
            f"there are two kernels {found.name}",
            where=found.binder.__module__,
            remedy="give one of them another variant",
        )
    _found[found.name] = found
