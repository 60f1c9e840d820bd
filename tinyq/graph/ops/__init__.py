"""Operations: one file each, found by walking this folder.

``OPERATIONS`` maps a class name to the class; ``EPILOGUES`` does so for epilogues.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType

from tinyq.graph import Op, epilogues, offset_epilogue
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue, Scaled
from tinyq.support.modules import import_modules


def _classes(base: type, modules: Iterable[ModuleType]) -> Iterator[type]:
    for module in modules:
        for member in vars(module).values():
            if (
                inspect.isclass(member)
                and issubclass(member, base)
                and member not in (base, Accumulating, Scaled)
                and member.__module__ == module.__name__
            ):
                yield member


OPERATIONS: Mapping[str, type[Op]] = MappingProxyType(
    {member.__name__: member for member in _classes(Op, import_modules(__name__))}
)
EPILOGUES: Mapping[str, type[Epilogue]] = MappingProxyType(
    {member.__name__: member for member in _classes(Epilogue, (epilogues, offset_epilogue))}
)
