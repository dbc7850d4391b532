"""Which modules pytest does not import to look for examples."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("triton") else ["src/kullback/kernels/gpu/*"]
