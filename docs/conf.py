"""Configuration of the documentation: Sphinx, furo, myst."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tables

import kullback

tables.write()

project = "kullback"
author = "The kullback developers"
copyright = "The kullback developers"
release = kullback.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_custom_sections = ["Shape", "Units", "Gradient", "Stability", "Reference"]
