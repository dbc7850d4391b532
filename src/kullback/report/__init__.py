"""A comparison as pictures and as one page."""
