"""Terms of training losses, each a single number: a mean over the batch.

- ``rate.py``: the divergence of posteriors from a prior, with weights, free bits or balanced gradients.
- ``total_correlation.py``: its parts for the β-TCVAE, from a minibatch.

May import ``all_pairs/`` and what comes before. Next: ``estimate/``.
"""

from kullback.losses.rate import balanced_kl, free_bits, kl_loss
from kullback.losses.total_correlation import (
    TotalCorrelationTerms,
    minibatch_log_prob,
    total_correlation_terms,
)

__all__ = [
    "TotalCorrelationTerms",
    "balanced_kl",
    "free_bits",
    "kl_loss",
    "minibatch_log_prob",
    "total_correlation_terms",
]
