"""Reading and writing of files.

A model is read like this: ``places.py`` says where its files are, and ``datasets.py`` that several are one;
``formats/`` opens their columns, with one module for each format (and ``arrow.py`` and ``anndata.py`` for what several
share, ``optional.py`` for libraries that may be missing), and ``frames.py`` those of dataframes (``indices.py`` makes a
column of what labels their rows), as ``stored.py`` has them, of which any rows can be read: by ``slices.py``,
``chunks.py`` or ``views.py`` of others; ``columns.py`` (with ``gathering.py``) derives their meaning from their names;
``posteriors.py`` finds models, which ``stored_model.py`` reads in batches, or ``covariances.py`` whole, with the ids of
rows by ``ids.py``; ``checked.py`` are those in memory, and ``possible_ids.py`` says which columns may be ids.
``joining.py`` puts two of them (``model.py``) side by side as ``rows.py`` has them, with the help of ``reordering.py``
if their ids are in two orders; ``kept.py`` keeps those of one that others are searched in, and ``reading.py`` says
which are read. ``samples.py`` reads samples, and ``numbers.py`` checks numbers, of which ``missing.py`` has those that
are missing and ``no_numbers.py`` what is none; ``advice.py`` has what messages advise. ``output.py`` writes results
whole, ``row_outputs.py`` and ``row_formats.py`` say where and how columns of rows are written, and ``text.py`` makes
foreign text safe to print. ``temporary.py`` has the folders that are removed at the end.

May import ``gaussians/`` and the packages before it. ``formats/``, ``columns.py``, ``places.py``, ``output.py``,
``temporary.py``, ``row_outputs.py``, ``row_formats.py`` and ``text.py`` import no torch, so that the command line can
read them for its help.
"""
