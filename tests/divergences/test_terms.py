"""kl_terms: both terms of each coordinate, by kernels and by the formula; and arguments that a divergence has not."""

import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from torch.testing import assert_close
from truth.kinds import DIAGONAL

import kullback
from kullback import Gaussian, NoClosedForm, kernels, kl_divergence, kl_per_dimension, kl_terms
from kullback.divergences.registry import RECORDS
from kullback.kernels import native_kernel, row_sums

BACKENDS = ["reference", *([] if native_kernel.unavailable_reason() else ["native"])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    with kernels.use(request.param):
        yield request.param


def gaussians(kind, *shape, dtype=torch.float64, near=False, seed=0):
    g = torch.Generator().manual_seed(seed)
    a, b, c, d = (torch.rand(shape, generator=g, dtype=torch.float64) + 0.5 for _ in range(4))
    if near:
        c, d = a * (1 + 1e-6 * c), b * (1 + 1e-6 * d)
    x = [v.to(dtype).requires_grad_() for v in (a, b, c, d)]
    make = getattr(Gaussian, f"from_{kind}")
    return x, make(*x[:2]), make(*x[2:])


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", DIAGONAL)
def test_each_term_is_within_four_units_in_the_last_place(backend, kind, dtype, near):
    x, p, q = gaussians(kind, 3, 40, dtype=dtype, near=near)
    terms = kl_terms(p, q)
    assert terms.mean.shape == terms.covariance.shape == (3, 40)
    assert terms.mean.dtype == dtype
    variance = {"std": lambda s: s * s, "variance": lambda s: s, "logvar": mp.exp}[kind]
    eps = torch.finfo(dtype).eps
    flat = [v.detach().flatten().tolist() for v in (*x, *terms)]
    with mp.workdps(50):
        for mu_p, s_p, mu_q, s_q, mean, covariance in zip(*flat, strict=True):
            v_p, v_q = variance(mpf(s_p)), variance(mpf(s_q))
            wanted = (mpf(mu_p) - mpf(mu_q)) ** 2 / v_q / 2, (v_p / v_q - 1 - mp.log(v_p / v_q)) / 2
            for got, want in zip((mean, covariance), wanted, strict=True):
                assert abs(mpf(got) - want) <= 4 * eps * want


@pytest.mark.parametrize("n", [1, 3, 255, 256, 257, 600])
@pytest.mark.parametrize("kind", DIAGONAL)
def test_they_add_up_to_the_divergence_whatever_the_length_of_rows(backend, kind, n):
    _, p, q = gaussians(kind, 7, n)
    for other in (q, q[0], Gaussian.standard(n)):
        mean, covariance = kl_terms(p, other)
        assert_close((mean + covariance).sum(-1), kl_divergence(p, other), rtol=1e-13, atol=0)
        assert_close(kl_per_dimension(p, other), mean + covariance, rtol=1e-15, atol=0)


@pytest.mark.parametrize("kind", DIAGONAL)
def test_gradients_are_those_of_the_formula(backend, kind):
    x, _, _ = gaussians(kind, 2, 3)
    weights = torch.linspace(0.5, 2, 6, dtype=torch.float64).reshape(2, 3)

    def weighted(a, b, c, d):
        make = getattr(Gaussian, f"from_{kind}")
        mean, covariance = kl_terms(make(a, b), make(c, d))
        return (weights * mean).sum() + (covariance / weights).sum()

    assert torch.autograd.gradcheck(weighted, x)
    assert torch.autograd.gradgradcheck(weighted, x)
    shared = x[0].detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: weighted(v, v, x[2].detach(), v), shared)


def test_images_mixed_parameterizations_numpy_and_empty_batches(backend):
    image = Gaussian.from_std(torch.ones(5, 2, 3), torch.ones(5, 2, 3), event_dims=2)
    assert kl_terms(image, Gaussian.standard((2, 3))).mean.shape == (5, 2, 3)
    assert kl_terms(image, Gaussian.from_logvar(torch.zeros(2, 3), 0.0, event_dims=2)).covariance.shape == (5, 2, 3)
    arrays = kl_terms(Gaussian.from_std(np.zeros((5, 3)), np.ones((5, 3))), Gaussian.standard(3))
    assert isinstance(arrays, kullback.KLTerms)
    assert all(isinstance(x, np.ndarray) for x in arrays)
    assert kl_terms(image[:0], image[0]).mean.shape == (0, 2, 3)


def test_under_transforms_the_formula_answers(backend):
    x, _, _ = gaussians("std", 4, 5)

    def terms(a, b, c, d):
        return tuple(kl_terms(Gaussian.from_std(a, b, validate=False), Gaussian.from_std(c, d, validate=False)))

    want = terms(*x)
    for got in (torch.func.vmap(terms)(*x), torch.compile(terms, fullgraph=True, backend="aot_eager")(*x)):
        assert_close(got, want, rtol=1e-15, atol=0)


def test_other_covariances_have_no_terms_for_each_coordinate():
    p = Gaussian.from_covariance(torch.zeros(2), torch.eye(2))
    with pytest.raises(NoClosedForm, match="kl_decomposition"):
        kl_terms(p, Gaussian.standard(2))


PAIRS = {
    "a kernel answers": (Gaussian.from_std(torch.zeros(3), torch.ones(3)), Gaussian.standard(3)),
    "the formula answers": (
        Gaussian.from_std(torch.zeros(3), torch.ones(3)),
        Gaussian.from_logvar(torch.zeros(3), 0.0),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.module)
def test_an_unknown_keyword_is_a_type_error_whatever_answers(record, pair):
    function = getattr(kullback, record.name)
    further = [0.5] * len(record.required)
    with pytest.raises(TypeError, match=rf"{record.name} has no argument 'base'.*divide by math\.log"):
        function(*PAIRS[pair], *further, base=2)
    with pytest.raises(TypeError, match=r"has no argument 'reduction'.*\.mean\(\)"):
        function(*PAIRS[pair], *further, reduction="mean")
    with pytest.raises(TypeError, match="has no argument 'nonsense'"):
        function(*PAIRS[pair], *further, nonsense=1)


def test_arguments_beyond_two_gaussians_ask_for_constructors():
    zero, one = torch.zeros(3), torch.ones(3)
    with pytest.raises(TypeError, match="takes two Gaussians, got 4 arguments"):
        kl_divergence(zero, one, zero, one)
    with pytest.raises(TypeError, match="takes two Gaussians and alpha"):
        kullback.renyi(zero, one, zero, one)


def test_compare_is_computed_by_the_kernels(monkeypatch):
    """The summary asks for sums over rows: of both directions, and of both rates."""
    asked = []
    real = row_sums.RowSums.sums

    def sums(self, inputs):
        asked.append(len(inputs.tensors[0]))
        return real(self, inputs)

    monkeypatch.setattr(row_sums.RowSums, "sums", sums)
    _, p, q = gaussians("std", 50, 4)
    with kernels.use(BACKENDS[-1]):
        kullback.compare(p.detach(), q.detach(), align=(), aggregate=False)
    assert asked == ([50] * 4 if BACKENDS[-1] == "native" else [])
