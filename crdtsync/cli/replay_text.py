"""How a recorded editing session is acted out: patches to one `Text`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crdtsync import Document, Text
from crdtsync.cli.recordings import RecordingError, TextSession, TextTransaction
from crdtsync.cli.replay_report import Check

__all__ = ["Manuscript", "TextPerformance"]


class Manuscript(Document):
    """One text that several people type into."""

    body: Text


class TextPerformance:
    """Types what was typed, where it was typed."""

    kind = Manuscript

    def __init__(self, session: TextSession) -> None:
        self.name = session.name
        self.agents = session.agents
        self._session = session

    @property
    def transactions(self) -> Sequence[TextTransaction]:
        """The transactions, causes before effects."""
        return self._session.transactions

    def act(self, document: Manuscript, index: int) -> None:
        """Apply a transaction's patches in one action.

        Raises:
            RecordingError: a patch lies outside the text.
        """
        body = document.body
        try:
            with document.action("type"):
                for position, deleted, inserted in self._session.transactions[index].patches:
                    body.replace(position, position + deleted, inserted)
        except IndexError as error:
            raise RecordingError(f"transaction {index} of {self.name}: {error}") from error

    def summary(self) -> dict[str, int]:
        """Return how much was typed."""
        patches = [patch for found in self.transactions for patch in found.patches]
        return {
            "patches": len(patches),
            "characters_inserted": sum(len(patch.inserted) for patch in patches),
            "characters_deleted": sum(patch.deleted for patch in patches),
        }

    def end_checks(self, document: Manuscript) -> Iterator[Check]:
        """Compare the text with the recorded one, where that is known."""
        if self._session.end is not None:
            text = str(document.body)
            claim = f"the text of {len(self._session.end):,} characters is exactly the recorded one"
            yield Check(claim, text == self._session.end)
