"""How the documentation is built: `sphinx-build -n -W docs docs/_build`."""

project = "crdtsync"
copyright = "the crdtsync authors"  # noqa: A001 - Sphinx's name for it
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "crdtsync"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # pictures in mermaid, which code hosts draw
