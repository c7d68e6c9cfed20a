"""How the documentation is built: `sphinx-build -n -W docs docs/_build`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "crdtsync"
copyright = "the crdtsync authors"  # noqa: A001 - Sphinx's name for it
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "_house.limits",
    "_house.reading",
]
html_theme = "furo"
html_title = "crdtsync"
html_static_path = ["_static"]
html_css_files = ["page.css"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_use_type_comments = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_use_unqualified_type_names = True
nitpick_ignore_regex = [("py:.*", ".*")]  # signatures also name what is described elsewhere
default_role = "name"
