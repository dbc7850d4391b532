"""Configuration of the documentation: Sphinx, furo, myst."""

import kullback

project = "kullback"
author = "The kullback developers"
copyright = "The kullback developers"
release = kullback.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# The README's links to files of the repository have no page here.
suppress_warnings = ["myst.xref_missing"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_custom_sections = [("Shape", "params_style"), "Units", "Gradient", "Stability", "Reference"]
