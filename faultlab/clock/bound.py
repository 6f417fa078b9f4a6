"""Find names that hold a real clock function because they were bound before the virtual clock was installed.

`from time import monotonic` binds the function for good. If that happens too early, it reads the computer's clock
inside a run, where it seems to stand still.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from faultlab.clock.patches import READERS

CLOCKS = frozenset((*READERS, "sleep"))


def clock_names_bound_before(namespace: Mapping[str, Any]) -> list[str]:
    """The names in a notebook's namespace, and in its own modules, that hold a real clock function.

    A name is written as it is found: `monotonic`, `helpers.sleep` in a module beside the notebook, `Breaker.clock` for
    a class's attribute, `wait(clock)` for a parameter's default.
    """
    found = []
    for prefix, names in _places(namespace):
        for name, value in _named(names):
            found += [prefix + name] if _is_real(value) else [prefix + place for place in _inside(name, value)]
    return list(dict.fromkeys(found))


def bound_before_line(names: Sequence[str]) -> str:
    """A sentence about these names and what to do; "" if there are none."""
    if not names:
        return ""
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    one = len(names) == 1
    return (
        f"{listed} {'was' if one else 'were'} bound before the set-up cell ran, and {'reads' if one else 'read'} the "
        f"computer's clock: run the set-up cell first, then run the cell that defines {'it' if one else 'them'} again."
    )


def rebind_clocks(namespace: dict[str, Any]) -> list[str]:
    """Rebind names of a notebook and of its own modules to the virtual clock; return the changed ones.

    Attributes and defaults stay as they are. The virtual clock must be installed.
    """
    changed = []
    for prefix, names in _places(namespace):
        for name, value in _named(names):
            if _is_real(value):
                names[name] = getattr(time, value.__name__)
                changed.append(prefix + name)
    return changed


def _places(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The namespaces of the notebook and of its own modules, each with the prefix of its names."""
    yield "", namespace
    for module in _own_modules(namespace):
        yield f"{module.__name__}.", vars(module)


def _named(names: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in names.items() if not name.startswith("_")]  # those are IPython's


def _is_real(value: Any) -> bool:
    return type(value) is types.BuiltinFunctionType and value.__module__ == "time" and value.__name__ in CLOCKS


def _inside(name: str, value: Any) -> Iterator[str]:
    """Where a class or a function of the notebook holds a real clock function."""
    if not issubclass(type(value), (type, types.FunctionType)) or _is_library(_module_of(value)):
        return
    if type(value) is types.FunctionType:
        yield from _defaults(name, value)
        return
    for attribute, held in list(vars(value).items()):
        inner = held.__func__ if type(held) in (staticmethod, classmethod) else held
        if _is_real(inner):
            yield f"{name}.{attribute}"
        elif type(inner) is types.FunctionType:
            yield from _defaults(name if attribute == "__init__" else f"{name}.{attribute}", inner)


def _defaults(name: str, function: types.FunctionType) -> Iterator[str]:
    """`name(parameter)` for each default that is a real clock function."""
    given = function.__defaults__ or ()
    positional = function.__code__.co_varnames[: function.__code__.co_argcount]
    named = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    named |= function.__kwdefaults__ or {}
    yield from (f"{name}({parameter})" for parameter, value in named.items() if _is_real(value))


def _own_modules(namespace: Mapping[str, Any]) -> list[types.ModuleType]:
    """The modules that a notebook uses and that lie beside it."""
    modules = {id(module): module for value in namespace.values() if (module := _module_of(value)) is not None}
    return [one for one in modules.values() if not _is_library(one) and one.__name__ != "__main__"]


def _module_of(value: Any) -> types.ModuleType | None:
    """The module that a value is, or that a class or a function comes from."""
    if issubclass(type(value), types.ModuleType):
        return value  # type: ignore[no-any-return]
    name = value.__module__ if issubclass(type(value), (type, types.FunctionType)) else None
    return sys.modules.get(name) if isinstance(name, str) else None


def _is_library(module: types.ModuleType | None) -> bool:
    """Whether a module isn't the learner's own. `__main__` and files in the notebook's folder are."""
    if module is None or module.__name__ == "__main__":
        return False
    path = getattr(module, "__file__", None)
    if not isinstance(path, str):
        return True
    place = Path(path)
    return "site-packages" in place.parts or not place.is_relative_to(Path.cwd())
