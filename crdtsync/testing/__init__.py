"""The property-testing kit, for apps' own strategies and documents.

`check_strategy` looks for a question that a strategy answers differently on two replicas.
`check_convergence` lets replicas of a document act, exchange and restart, and looks for what they
do not agree on in the end. Both print the smallest failure as Python. The kit needs hypothesis:
`pip install 'crdtsync[testing]'`.

Read `law` (what a strategy must keep), `question` (what it is asked) and `elsewhere` (in other
processes); `fleet` (replicas), `edit` and `step` (what happens to them), `script` and `history`.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401 - said here, once, if it is not there
except ImportError as error:
    raise ImportError(
        "crdtsync.testing needs hypothesis: pip install 'crdtsync[testing]'"
    ) from error

from crdtsync.testing.actions import actions
from crdtsync.testing.check import Checked, check_strategy
from crdtsync.testing.fleet import DivergenceError, Fleet
from crdtsync.testing.generators import candidates, claims, removals, scalars, values, writes
from crdtsync.testing.history import History, check_convergence, histories
from crdtsync.testing.law import LAWS, BrokenLawError
from crdtsync.testing.machine import DocumentMachine, document_machine

__all__ = [
    "LAWS",
    "BrokenLawError",
    "Checked",
    "DivergenceError",
    "DocumentMachine",
    "Fleet",
    "History",
    "actions",
    "candidates",
    "check_convergence",
    "check_strategy",
    "claims",
    "document_machine",
    "histories",
    "removals",
    "scalars",
    "values",
    "writes",
]
