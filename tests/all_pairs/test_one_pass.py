"""All pairs by one pass: right wherever it answers, and its bound of the rounding error tells where it does not."""

import math

import numpy as np
import pytest
import torch
from flint import arb
from torch.testing import assert_close
from truth import pairs
from truth.quantities import QUANTITIES, SENSITIVITIES, ULPS, applies, grid, truths

import kullback
from kullback import Gaussian, pairwise
from kullback.all_pairs.one_pass import Bhattacharyya, Wasserstein2, one_pass

# What the documentation of pairwise says of float64.
TOLERANCE = 2e-12

FORMS = {"bhattacharyya": Bhattacharyya, "wasserstein2": Wasserstein2}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["bhattacharyya", "hellinger", "wasserstein2"])
def test_a_batch_of_one_is_within_the_contract(name, dtype):
    wrong = {case.name: e for case in grid(dtype) if applies(name, case) and (e := error(name, case)) > 1}
    assert not wrong


def error(name: str, case: pairs.Case) -> float:
    """The error as a fraction of what is allowed."""
    truth = QUANTITIES[name][0]
    exact_case, moved_cases = truths(case)
    want = truth(exact_case)
    got = pairwise(case.p.gaussian()[None], case.q.gaussian()[None], name).item()
    size = abs(float(want))
    if size > float(np.finfo(case.dtype).max):
        return 0.0
    sensitivity = max(float(abs(truth(pair) - want).upper()) for pair in moved_cases)
    relative = max(ULPS * np.finfo(case.dtype).eps, TOLERANCE)
    allowed = max(relative * size, SENSITIVITIES * sensitivity, float(np.finfo(case.dtype).tiny))
    assert got >= 0
    return float(abs(arb(got) - want).upper()) / allowed


@pytest.mark.parametrize("kind", ["covariance", "scale_tril"])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("d", [2, 3])
def test_what_is_certain_is_right_for_all_conditions_and_distances(d, name, kind):
    rng = np.random.default_rng(d)
    certain = np.zeros(2)
    for distance in (1e-6, 1e-3, 1e-1, 1.0, 10.0):
        p, q = batch(rng, 12, d, kind), batch(rng, 12, d, kind)
        q = pairs_near(p, q, distance)
        values, uncertain = one_pass(FORMS[name], gaussians(p), gaussians(q)).screened(slice(None), torch.float64)
        for (i, j), unknown in np.ndenumerate(uncertain.numpy()):
            certain[int(unknown)] += 1
            if not unknown:
                want = QUANTITIES[name][0](pairs.exact_pair(p[i], q[j]))
                moved = [
                    QUANTITIES[name][0](pairs.exact_pair(p[i].rounded_otherwise(rng), q[j].rounded_otherwise(rng)))
                    for _ in range(2)
                ]
                sensitivity = max(float(abs(x - want).upper()) for x in moved)
                off = float(abs(arb(float(values[i, j])) - want).upper())
                assert off <= max(TOLERANCE * float(want), SENSITIVITIES * sensitivity)
    assert certain.min() > 20


def batch(rng, n, d, kind):
    """Gaussians whose axes are turned, and differ in length up to a factor of 1e4."""
    result = []
    for _ in range(n):
        turned = np.linalg.qr(rng.standard_normal((d, d)))[0] * 10.0 ** rng.uniform(-rng.uniform(0, 4), 0, d)
        covariance = 0.5 * (turned @ turned.T + (turned @ turned.T).T)
        scale = covariance if kind == "covariance" else np.linalg.cholesky(covariance)
        result.append(pairs.Given(kind, rng.standard_normal(d), (scale,)))
    return result


def pairs_near(p, q, distance):
    """Each q moved towards its p, or away from it."""
    return [
        pairs.Given(
            a.kind,
            a.mean + distance * (b.mean - a.mean),
            (a.parts[0] + min(distance, 1.0) * (b.parts[0] - a.parts[0]),),
        )
        for a, b in zip(p, q, strict=True)
    ]


@pytest.mark.parametrize("name", ["bhattacharyya", "hellinger", "wasserstein2"])
def test_large_batches_are_as_exact_as_single_calls_and_clusters_too(name):
    rng = np.random.default_rng(0)
    p = gaussians(batch(rng, 200, 3, "covariance"))
    near = Gaussian.from_covariance(p.mean[:100] + 1e-9, (1 + 1e-7) * p.scale.matrix[:100])
    q = Gaussian.from_covariance(*(torch.cat(x) for x in ((p.mean, near.mean), (p.scale.matrix, near.scale.matrix))))
    values, want = pairwise(p, q, name), getattr(kullback, name)(p[:, None], q)
    assert_close(values, want, rtol=1e-9, atol=0)
    assert (values[:, :200].diagonal() == 0).all()
    assert (values >= 0).all()


@pytest.mark.parametrize("name", ["bhattacharyya", "hellinger", "wasserstein2"])
def test_derivatives_are_those_of_single_calls(name):
    rng = np.random.default_rng(0)
    p, q = (gaussians(batch(rng, n, 3, "covariance")) for n in (4, 5))
    leaves = [x.requires_grad_() for g in (p, q) for x in g.tensors()]
    weight = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5)
    got = torch.autograd.grad((weight * pairwise(p, q, name)).sum(), leaves)
    want = torch.autograd.grad((weight * getattr(kullback, name)(p[:, None], q)).sum(), leaves)
    assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_the_largest_and_smallest_scales_and_broken_matrices_are_left_to_the_exact_formula():
    eye = torch.eye(3, dtype=torch.float64)
    scales = torch.tensor([1e-200, 1e-75, 1.0, 1e75, 1e200], dtype=torch.float64)
    p = Gaussian.from_covariance(torch.zeros(5, 3, dtype=torch.float64), scales[:, None, None] * eye)
    got = pairwise(p, p, "wasserstein2")
    want = math.sqrt(3.0) * (scales.sqrt()[:, None] - scales.sqrt()).abs()
    assert_close(got, want, rtol=1e-13, atol=0)
    broken = Gaussian.from_covariance(p.mean[:2], torch.stack([eye, -eye]), validate=False)
    for name in ("bhattacharyya", "wasserstein2"):
        values = pairwise(broken, broken, name)
        assert values[0, 0] == 0
        assert values.flatten()[1:].isnan().all()


def gaussians(given):
    return Gaussian.stack([g.gaussian(tuple(torch.from_numpy(x) for x in (g.mean, *g.parts))) for g in given])
