"""Executes the notebooks, and keeps their outputs as they are committed.

python -m notebooks.refresh          # all of them, in place
python -m notebooks.refresh 04 05    # some of them

What differs between two runs for no reason is left out or fixed: ids of cells and widgets, times of
execution; and, in a notebook that measures nothing, the replicas' ids, keys and clocks, and what
hypothesis draws.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

__all__ = ["FOLDER", "execute", "notebooks"]

FOLDER = Path(__file__).parent
LIVE = "live"
"""Names, in a notebook's metadata, one that needs the real time."""

_TIMEOUT_S = 120
_WIDGETS = "application/vnd.jupyter.widget-view+json"
_FIX = """
import itertools, random, types
import crdtsync.clock
from crdtsync.keys import DeviceKey
from crdtsync.replica import store

_drawn, _seconds = random.Random(4), itertools.count(1_772_442_000, 13)
store.new_replica_id = lambda: 2**52 + _drawn.randrange(2**52)
store.new_device_key = lambda: DeviceKey.from_bytes(_drawn.randbytes(32))
crdtsync.clock._time = types.SimpleNamespace(time_ns=lambda: next(_seconds) * 10**9)

import hypothesis
hypothesis.settings.register_profile("fixed", derandomize=True, database=None)
hypothesis.settings.load_profile("fixed")
"""


def notebooks() -> list[Path]:
    """Return the notebooks, in their order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path) -> NotebookNode:
    """Execute a notebook on a kernel of its own, beside its file; return it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has raised.
    """
    book: NotebookNode = nbformat.read(path, as_version=4)
    if not book.metadata.get(LIVE):
        book.cells.insert(0, new_code_cell(_FIX))
    client = NotebookClient(
        book,
        timeout=_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        store_widget_state=False,
    )
    client.execute()
    if not book.metadata.get(LIVE):
        del book.cells[0]
    _normalize(book)
    return book


def _normalize(book: NotebookNode) -> None:
    kept = {key: book.metadata[key] for key in (LIVE,) if key in book.metadata}
    book.metadata = NotebookNode(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **kept,
        }
    )
    count = 0
    for number, cell in enumerate(book.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = NotebookNode()
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            _normalize_output(output, count)


def _normalize_output(output: Any, count: int) -> None:
    if output.output_type == "execute_result":
        output.execution_count = count
    data = output.get("data", {})
    data.pop(_WIDGETS, None)
    if "text/html" in data:  # what is said beside it are addresses in memory
        data["text/plain"] = "shown as HTML"
    if "text/plain" in data:
        data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", data["text/plain"])


def main(names: list[str]) -> None:
    """Execute the notebooks whose names begin so, or all, and write them."""
    wanted = [path for path in notebooks() if not names or path.name.startswith(tuple(names))]
    for path in wanted:
        print(path.name)  # noqa: T201 - progress
        nbformat.write(execute(path), path)


if __name__ == "__main__":
    main(sys.argv[1:])
