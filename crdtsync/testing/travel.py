"""How a strategy gets into another process: by name where it can, by value where it must.

What can be imported there is pickled as usual. A function that is not found under its own name,
one that a decorator replaced, say, or that was made inside another, travels as its code and the
things that the code names.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import marshal
import pickle
import sys
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

__all__ = ["pack_object", "unpack_object"]


def pack_object(item: Any) -> bytes:
    """Pickle an object for another interpreter of the same version on this machine.

    Raises:
        Exception: it cannot travel. What is raised is up to `pickle` and to the object.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(item)
    return pickle.dumps((pickler.files, file.getvalue()))


def unpack_object(data: bytes) -> Any:
    """Make the object that `pack_object` pickled."""
    files, body = pickle.loads(data)  # noqa: S301 - our own parent process sent it
    for name, file in files.items():
        _import(name, file)
    return pickle.loads(body)  # noqa: S301


class _Pickler(pickle.Pickler):
    """Knows functions by value, and takes note of where the modules are that it names."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.files: dict[str, str] = {}

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, ModuleType):
            self._note(item.__name__)
            return importlib.import_module, (item.__name__,)
        if isinstance(item, FunctionType) and not _is_found(item):
            code = item.__code__
            cells = [cell.cell_contents for cell in item.__closure__ or ()]
            used = {name: item.__globals__[name] for name in _names(code, item.__globals__)}
            state = (used, cells, item.__defaults__, item.__kwdefaults__)
            return _blank, (marshal.dumps(code), item.__module__), state, None, None, _fill
        if isinstance(item, type | FunctionType):
            if item.__module__ == "__main__":
                raise pickle.PicklingError(f"{item.__qualname__} cannot be imported from a script")
            self._note(item.__module__)
        return NotImplemented

    def _note(self, name: str) -> None:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            self.files[name] = file


def _is_found(function: FunctionType) -> bool:
    module = function.__module__
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _names(code: CodeType, within: dict[str, Any]) -> Iterator[str]:
    """Yield the global names that a code uses, and those that functions inside it use."""
    yield from (name for name in code.co_names if name in within)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant, within)


def _blank(code: bytes, module: str) -> FunctionType:
    body: CodeType = marshal.loads(code)  # noqa: S302 - our own parent process sent it
    names = {"__builtins__": builtins, "__name__": module}
    return FunctionType(body, names, closure=tuple(CellType() for _ in body.co_freevars))


def _fill(function: FunctionType, state: Any) -> None:
    used, cells, function.__defaults__, function.__kwdefaults__ = state
    function.__globals__.update(used)
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        cell.cell_contents = content


def _import(name: str, file: str) -> None:
    """Import a module by its name; by its file if the name leads nowhere."""
    try:
        importlib.import_module(name)
    except ImportError:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
