"""Terms of training losses, most of them a single number: a mean over the batch.

- ``rate.py``: the divergence of posteriors from a prior, with weights, free bits or balanced gradients.
- ``mixture_prior.py``: the same from a prior that is a mixture, for each posterior.
- ``total_correlation.py``: its parts for the β-TCVAE, from a minibatch.
- ``policy.py``: terms of the divergence of a policy from a reference, which are not averaged.
- ``networks.py``: the divergence of all parameters of a Bayesian network, which is a sum.
- ``masks.py``: the rows, or the entries, that count.

May import ``all_pairs/`` and what comes before. Next: ``estimate/``.
"""

from kullback.losses.mixture_prior import mixture_prior_kl
from kullback.losses.networks import SumKL, sum_kl
from kullback.losses.policy import k1, k2, k3
from kullback.losses.rate import balanced_kl, free_bits, kl_loss
from kullback.losses.total_correlation import (
    TotalCorrelationTerms,
    minibatch_log_prob,
    total_correlation_terms,
)

__all__ = [
    "SumKL",
    "TotalCorrelationTerms",
    "balanced_kl",
    "free_bits",
    "k1",
    "k2",
    "k3",
    "kl_loss",
    "minibatch_log_prob",
    "mixture_prior_kl",
    "sum_kl",
    "total_correlation_terms",
]
