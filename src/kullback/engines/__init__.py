"""Where work is done: in threads of this process, or by the processes of a Dask cluster.

An engine is handed a function and its tasks, and knows nothing of Gaussians. ``base.py`` says what an engine provides;
``local.py`` and ``dask.py`` are the two there are, ``ordered.py`` puts the results of both in order, and
``processes.py`` keeps a cluster of this machine whole.
"""
