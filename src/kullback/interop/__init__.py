"""Objects of other libraries, made into Gaussians and mixtures at the boundary: one file for each kind of object.

``registry.py`` finds the readers and holds the conversion that public functions call, :func:`kullback.as_gaussian`. A
reader recognizes its own objects without importing their library, and is handed ``convert`` for the objects inside
them; ``shared.py`` has what readers of several libraries do. ``pairs.py`` looks at both arguments of a divergence
together, and ``changes.py`` at the transforms that they come from, ``injectivity.py`` at whether these are one-to-one.
``refusals.py`` says of what is no Gaussian which call takes it, and ``calls.py`` writes the call for arrays. May import
``gaussians/`` and what comes before. Next: ``pairs/``.
"""
