"""May they? What a server asks before it lets a user read, write, or do one particular thing.

An `AccessPolicy` answers with a `Decision`. Bundled are:

- `AllowAll`, for a server whose users may do everything;
- `PatternPolicy`, which grants access by the names of documents; `load_policy` reads one from a
  file.

Ask a policy through `decide`, so that one that fails refuses. Who the user is, is another question:
`crdtsync.server.authentication` answers it.
"""

from crdtsync.pattern import check_pattern, matches
from crdtsync.server.access.file import load_policy
from crdtsync.server.access.policy import (
    ALLOWED,
    AccessPolicy,
    AllowAll,
    Decision,
    JudgedAction,
    View,
    decide,
    refused,
)
from crdtsync.server.access.rules import Judge, Level, PatternPolicy, Rule

__all__ = [
    "ALLOWED",
    "AccessPolicy",
    "AllowAll",
    "Decision",
    "Judge",
    "JudgedAction",
    "Level",
    "PatternPolicy",
    "Rule",
    "View",
    "check_pattern",
    "decide",
    "load_policy",
    "matches",
    "refused",
]
