"""Events: everything that crdtsync says to the standard `logging`, in one list.

Each has a name, a logger, a level, a sentence and the fields that a record of it has as attributes,
so that a log can be searched by document, replica or connection whatever its format. A module says
`events.LOG_MENDED.log(document=…, …)`; nobody else uses `logging`, so that the list is whole. The
same list stands in `docs/observability.md`.

Levels: *debug* is what happens all day; *info* is what an operator may want to follow; *warning* is
what went wrong and was dealt with, or is a client's fault; *error* is what somebody should look at.
However clients misbehave, a server says nothing above *warning* for it.

Ids are told as everywhere: a replica in hexadecimal, a connection as its client's id.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

__all__ = ["CONNECTION", "EVENTS", "Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that can be logged.

    Attributes:
        name: what a program knows it by: the record's attribute `event`.
        logger: the name of the logger.
        level: how loud.
        message: a sentence, with `%(field)s` for fields.
        fields: the attributes that a record has.
        traced: the exception that is being handled is logged with its traceback.
    """

    name: str
    logger: str
    level: int
    message: str
    fields: tuple[str, ...] = ()
    traced: bool = False

    def log(self, **fields: Any) -> None:
        """Log that it has happened, with all its fields."""
        logger = logging.getLogger(self.logger)
        if logger.isEnabledFor(self.level):
            logger.log(
                self.level,
                self.message,
                *([fields] if fields else ()),  # an empty mapping would be taken for an argument
                exc_info=self.traced,
                extra={"event": self.name, **fields},
                stacklevel=2,
            )


_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

# Documents and strategies.

_DOCUMENT, _STRATEGY = "crdtsync.document", "crdtsync.strategy"

STRATEGY_FAILED = Event(
    "strategy_failed",
    _STRATEGY,
    _WARNING,
    "strategy %(strategy)s failed on %(path)s: %(error)s",
    ("strategy", "path", "error"),
)
STRATEGY_SILENT = Event(
    "strategy_silent",
    _STRATEGY,
    _ERROR,
    "strategy %(strategy)s could not explain itself",
    ("strategy",),
    traced=True,
)
ENTRY_WITHOUT_EFFECT = Event(
    "entry_without_effect",
    _DOCUMENT,
    _ERROR,
    "document %(document)r: entry %(seq)d of replica %(replica)s is without effect, and so is what "
    "follows it: %(error)s",
    ("document", "replica", "seq", "error"),
)
SNAPSHOT_UNUSABLE = Event(
    "snapshot_unusable",
    _DOCUMENT,
    _WARNING,
    "document %(document)r: its snapshot is not usable",
    ("document",),
)
SNAPSHOT_NOT_KEPT = Event(
    "snapshot_not_kept",
    _DOCUMENT,
    _WARNING,
    "document %(document)r: no snapshot could be kept: %(error)s",
    ("document", "error"),
)
SCHEMA_AHEAD = Event(
    "schema_ahead",
    _DOCUMENT,
    _WARNING,
    "document %(document)r holds work of schema version %(newest)d; this class knows %(known)d: "
    "what it does not know is kept, see caveats()",
    ("document", "newest", "known"),
)
OBSERVER_FAILED = Event(
    "observer_failed",
    _DOCUMENT,
    _ERROR,
    "an observer of document %(document)r failed",
    ("document",),
    traced=True,
)

# Replicas.

_REPLICA = "crdtsync.replica"

LOG_DAMAGED = Event(
    "log_damaged", _REPLICA, _ERROR, "%(error)s", ("document", "replica", "seq", "error")
)
LOG_MENDED = Event(
    "log_mended",
    _REPLICA,
    _WARNING,
    "document %(document)r: its log %(former)s was continued in two places after entry %(seq)d; "
    "%(entries)d entries of ours were written anew as replica %(replica)s",
    ("document", "replica", "former", "seq", "entries"),
)
REPLICA_ROTATED = Event(
    "replica_rotated",
    _REPLICA,
    _WARNING,
    "%(path)s goes on as replica %(replica)s",
    ("path", "replica"),
)
LISTENER_FAILED = Event(
    "listener_failed",
    _REPLICA,
    _ERROR,
    "a listener of replica %(replica)s failed",
    ("replica", "document"),
    traced=True,
)
SQL_VIEW_REMADE = Event(
    "sql_view_remade",
    _REPLICA,
    _WARNING,
    "the tables of SQL view %(view)r are not as they were made, and are made anew: %(error)s",
    ("view", "error"),
)

# Connections, as a replica sees them, and listening for them.

_TRANSPORT = "crdtsync.transport"

CONNECTION = {
    kind: Event(
        f"connection_{kind}",
        _TRANSPORT,
        level,
        f"connection of replica %(replica)s: {kind} %(detail)s",
        ("replica", "document", "detail"),
    )
    for kind, level in {
        "connecting": _DEBUG,
        "online": _INFO,
        "waiting": _INFO,
        "refused": _ERROR,
        "closed": _DEBUG,
        "failed": _ERROR,
        "rejected": _WARNING,
        "mended": _INFO,
        "rotated": _INFO,
        "gap": _WARNING,
        "stuck": _WARNING,
        "cloned": _INFO,
        "activated": _INFO,
        "downgraded": _INFO,
        "retired": _WARNING,
        "clock": _WARNING,
    }.items()
}
"""By the kind of the `ConnectionEvent` that the application is told."""

ACCEPT_FAILED = Event(
    "accept_failed",
    _TRANSPORT,
    _WARNING,
    "%(url)s: a connection was not accepted: %(error)s",
    ("url", "error"),
)
ENCRYPTION_FAILED = Event(
    "encryption_failed",
    _TRANSPORT,
    _INFO,
    "a client is not let in without encryption: %(error)s",
    ("url", "error"),
)

# Servers.

_SERVER, _YJS, _WEB = "crdtsync.server", "crdtsync.server.yjs", "crdtsync.server.web"

CLIENT_CAME = Event(
    "client_came",
    _SERVER,
    _INFO,
    "connection %(connection)s of replica %(replica)s, user %(user)r, is let in: %(state)s",
    ("connection", "replica", "user", "state"),
)
CLIENT_WENT = Event(
    "client_went",
    _SERVER,
    _INFO,
    "connection %(connection)s has ended after %(seconds).1f s",
    ("connection", "seconds"),
)
CLIENT_TURNED_AWAY = Event(
    "client_turned_away",
    _SERVER,
    _WARNING,
    "a client is turned away: %(error)s",
    ("connection", "error"),
)
CLIENT_BROKE_PROTOCOL = Event(
    "client_broke_protocol",
    _SERVER,
    _WARNING,
    "a client broke the protocol: %(error)s",
    ("connection", "error"),
)
CLIENT_GONE = Event(
    "client_gone", _SERVER, _DEBUG, "a connection is gone: %(error)s", ("connection", "error")
)
CLIENT_SAID_GOODBYE = Event(
    "client_said_goodbye",
    _SERVER,
    _DEBUG,
    "a client says goodbye (%(code)r): %(reason)r",
    ("connection", "code", "reason"),
)
FRAME_UNKNOWN = Event(
    "frame_unknown",
    _SERVER,
    _DEBUG,
    "a frame of unknown type %(type)d was passed over",
    ("connection", "type"),
)
CLIENT_DOWNGRADED = Event(
    "client_downgraded",
    _SERVER,
    _INFO,
    "connection %(connection)s is downgraded: %(reason)s",
    ("connection", "reason"),
)
CLIENT_BROKEN = Event(
    "client_broken",
    _SERVER,
    _ERROR,
    "a connection ends because of a bug",
    ("connection",),
    traced=True,
)
DOCUMENT_FAILED = Event(
    "document_failed",
    _SERVER,
    _WARNING,
    "document %(document)r fails for a connection (%(code)s): %(error)s",
    ("document", "connection", "code", "error"),
)
ENTRY_REFUSED = Event(
    "entry_refused",
    _SERVER,
    _INFO,
    "document %(document)r: entry %(seq)d of replica %(replica)s, pushed by user %(user)r, is "
    "stored without effect: %(reason)s",
    ("document", "replica", "seq", "user", "reason"),
)
STORAGE_FAILED = Event(
    "storage_failed",
    _SERVER,
    _ERROR,
    "%(problem)s: %(error)s",
    ("problem", "error"),
)
REPORT_FAILED = Event(
    "report_failed", _SERVER, _ERROR, "reporting what was stored has failed", traced=True
)
LOOP_ENDED = Event(
    "loop_ended",
    _SERVER,
    _WARNING,
    "%(path)s: the event loop has ended before it was closed",
    ("path",),
)
AUTHENTICATOR_FAILED = Event(
    "authenticator_failed",
    _SERVER,
    _ERROR,
    "the authenticator failed, so that nobody can be let in",
    traced=True,
)
KEYS_READ = Event(
    "keys_read", _SERVER, _INFO, "%(path)s: %(keys)d keys were read", ("path", "keys")
)
KEYS_UNREADABLE = Event(
    "keys_unreadable",
    _SERVER,
    _ERROR,
    "the keys read before are used on: %(error)s",
    ("path", "error"),
)
POLICY_FAILED = Event(
    "policy_failed",
    _SERVER,
    _ERROR,
    "an access policy failed, which refuses what it was asked",
    traced=True,
)
POLICY_UNDECIDED = Event(
    "policy_undecided",
    _SERVER,
    _ERROR,
    "an access policy returned %(answer)s, which refuses what it was asked",
    ("answer",),
)
PRESENCE_CROWDED = Event(
    "presence_crowded",
    _SERVER,
    _WARNING,
    "a replica wants to be present in too many documents: not in %(document)r",
    ("document",),
)
TAGS_FAILED = Event(
    "tags_failed",
    _SERVER,
    _ERROR,
    "the tags of document %(document)r cannot be told",
    ("document",),
    traced=True,
)
TAGS_UNTOLD = Event(
    "tags_untold",
    _SERVER,
    _ERROR,
    "the tags of document %(document)r are a text, not a collection",
    ("document",),
)
YJS_CLIENT_BROKE_PROTOCOL = Event(
    "yjs_client_broke_protocol",
    _YJS,
    _WARNING,
    "a Yjs client broke the protocol: %(error)s",
    ("error",),
)
YJS_CLIENT_GONE = Event(
    "yjs_client_gone", _YJS, _DEBUG, "a Yjs client is gone: %(error)s", ("error",)
)
YJS_CLIENT_BROKEN = Event(
    "yjs_client_broken",
    _YJS,
    _ERROR,
    "a connection of a Yjs client ends because of a bug",
    traced=True,
)
ROOM_BROKEN = Event(
    "room_broken",
    _YJS,
    _ERROR,
    "document %(document)r: its room ends because of a bug",
    ("document",),
    traced=True,
)
ROOM_UNSTORED = Event(
    "room_unstored",
    _YJS,
    _ERROR,
    "document %(document)r: Yjs clients are sent away: %(error)s",
    ("document", "error"),
)
ROOM_OVERTAKEN = Event(
    "room_overtaken", _YJS, _ERROR, "document %(document)r: %(error)s", ("document", "error")
)
PAGE_UNREADABLE = Event(
    "page_unreadable", _WEB, _ERROR, "a page cannot be shown: %(error)s", ("error",)
)
PAGE_BROKEN = Event(
    "page_broken", _WEB, _ERROR, "a page cannot be shown because of a bug", traced=True
)

EVENTS: tuple[Event, ...] = (
    *(value for value in list(globals().values()) if isinstance(value, Event)),
    *CONNECTION.values(),
)
"""All of them."""
