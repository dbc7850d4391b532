"""The nearest Gaussians of simpler kinds."""

import torch
from hypothesis import given, settings
from truth.strategies import full_pairs

import kullback
from kullback import Gaussian


@given(full_pairs())
@settings(max_examples=40)
def test_projections_are_nearest(pair):
    p, _ = pair
    for project, dims in ((kullback.nearest_diagonal, 3), (kullback.nearest_isotropic, 1)):
        for direction, kl in (
            ("forward", lambda q: kullback.kl_divergence(p, q)),
            ("reverse", lambda q: kullback.kl_divergence(q, p)),
        ):
            best = project(p, direction=direction)
            stds = best.scale.stds(best.event_shape)
            for k in range(dims):
                for factor in (0.9, 1.1):
                    change = torch.ones(3, dtype=torch.float64)
                    change[k if dims == 3 else slice(None)] = factor
                    assert kl(best) < kl(Gaussian.from_std(best.mean, stds * change)) + 1e-12
