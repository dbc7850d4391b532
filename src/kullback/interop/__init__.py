"""Objects of other libraries, made into Gaussians and mixtures at the boundary: one file for each kind of object.

``registry.py`` lists the readers and holds the conversions that public functions call: :func:`as_gaussian` and
:func:`as_density`. A reader recognizes its own objects without importing their library, and is handed ``convert`` for the
objects inside them. May import ``gaussians/``. Next: ``pairs/``.
"""
