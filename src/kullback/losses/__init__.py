"""Terms of losses for training; each is a number, the mean over the batch."""

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
