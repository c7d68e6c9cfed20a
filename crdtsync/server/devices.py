"""Devices: which key and which user a replica id belongs to, for good.

The first authenticated Hello of a replica binds its id to the device's key and to the user. From
then on nobody else is let in under that id, and whoever is proves again each time that the key is
theirs. A device that was lost is revoked; its log stays what it was.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Device"]


class Device(NamedTuple):
    """What a replica id is bound to.

    Attributes:
        replica: the id.
        key: the device's public key, 32 bytes.
        user: who uses it; None where nobody asked.
        revoked: nobody is let in under this id any more.
    """

    replica: int
    key: bytes
    user: str | None
    revoked: bool = False
