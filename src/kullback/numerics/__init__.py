"""Functions of numbers and tensors that know nothing of Gaussians.

- ``elementary.py``: scalar functions in forms that do not cancel; ``linear_algebra.py``: factors and solves that give
  NaN instead of exceptions; ``pivoted.py``: the rank of a semidefinite matrix; ``procrustes.py``: the rotation that
  brings two factors closest, and ``near_factors.py``: what is then left between them.
- ``tensors.py``: the dtype, device and shape of tensors that meet; ``arrays.py``: NumPy arrays in and out;
  ``foreign_arrays.py``: tables and arrays of other libraries; ``labels.py``: the order of what labels them;
  ``classes.py``: what classes of a library an object is of.
- ``guard.py``: whether values and memory may be read; ``memory.py``: memory for large results; ``files.py``: files and
  folders that appear under a name only when they are whole.
- ``gradients.py``: values with the derivatives of another expression; ``rows.py``: rows of a batch that are computed
  otherwise than the rest; ``screened.py``: fast scores, of which only the uncertain ones are computed again.
- ``moments.py``: means and variances over rows that are accumulated in parts; ``sampling.py``: samples of rows that do
  not depend on the parts.
- ``meshes.py``: tensors that lie on several devices.
- ``immutable.py``: what the immutable types share; ``display.py``: tables for notebooks.

May import ``errors`` alone. Next: ``gaussians/``.
"""
