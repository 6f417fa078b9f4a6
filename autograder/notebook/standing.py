"""Let modules stand in for others for a while."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def standing_in(modules: Mapping[str, types.ModuleType]) -> Iterator[None]:
    """Let these modules be imported under these names."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
