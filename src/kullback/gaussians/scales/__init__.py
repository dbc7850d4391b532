"""The scale of a Gaussian, kept as it was given: one file for each family of parameterizations.

``base.py`` lists what a scale must answer; ``diagonal.py`` (std, variance, logvar, or one Python number), ``matrix.py``
(covariance, scale_tril, precision) and ``low_rank.py`` answer it; ``stack.py`` joins scales of any kinds.
"""
