"""Widgets that leave a picture behind: where no kernel runs, their last state is shown as HTML."""

from __future__ import annotations

from typing import Any

import ipywidgets

from crdtsync.notebook.markup import Markup

__all__ = ["StillBox", "StillHTML"]


class StillHTML(ipywidgets.HTML):  # type: ignore[misc]  # ipywidgets has no types
    """HTML that changes."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**kwargs), "text/html": self.value}


class StillBox(ipywidgets.VBox):  # type: ignore[misc]  # as above
    """Widgets under each other; of them, one tells all.

    Attributes:
        still: what stands for them all.
    """

    still = Markup()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**kwargs), "text/html": str(self.still)}
