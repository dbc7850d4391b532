"""Reports of people whose number was wrong, or who got an error: each is a case of a kind. The truths are closed forms
where they are not said to be something else.
"""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as dist

import kullback
from kullback import (
    Gaussian,
    Mixture,
    NoClosedForm,
    NotPositiveDefinite,
    as_gaussian,
    cross_entropy,
    entropy,
    entropy_bounds,
    entropy_estimate,
    explain,
    jeffreys,
    kl_bounds,
    kl_divergence,
    kl_estimate,
    nearest,
    pairwise,
    renyi,
    wasserstein2,
)
from kullback.interop.refusals import refusal
from kullback.losses import balanced_kl, free_bits, kl_loss, sum_kl

MU, STD = torch.zeros(4, 3), torch.ones(4, 3)
P, STANDARD = Gaussian.from_std(MU + 1.0, STD), Gaussian.standard(3)
MIXTURE = Mixture([0.5, 0.5], Gaussian.from_std(np.zeros((2, 3)), np.ones((2, 3))))


def said(call):
    """The kind of the error that a call raises, and what it says."""
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as caught:
        call()
    return type(caught.value), str(caught.value)


def test_F1_keyword_arguments_that_there_are_not():
    q = Gaussian.from_variance(MU, STD)
    for other in (STANDARD, q):  # by a kernel, and by the formula
        for named, way_on in (({"base": 2}, "divide by math.log(base)"), ({"reduction": "mean"}, ".mean()")):
            kind, text = said(lambda named=named, other=other: kl_divergence(P, other, **named))
            assert kind is TypeError
            assert way_on in text
    assert float(kl_divergence(P, STANDARD)[0]) / math.log(2) == pytest.approx(1.5 / math.log(2))


def test_A6_not_positive_definite_says_what_to_do():
    t = np.linspace(0, 1, 100)
    kernel = np.exp(-0.5 * (t[:, None] - t) ** 2 / 0.2**2)
    kind, text = said(lambda: Gaussian.from_covariance(np.zeros(100), kernel))
    assert kind is NotPositiveDefinite
    assert "silently" in text
    assert "proportional to 1/c" in text
    # The jitter that is named is taken, and costs what is said.
    c = float(re.search(r"c = (\S+) for example", text)[1])
    p = [Gaussian.from_covariance(np.zeros(100), kernel + c * k * np.eye(100)) for k in (1, 10)]
    q = [Gaussian.from_covariance(np.eye(100)[50], g.covariance_matrix) for g in p]
    assert float(kl_divergence(p[0], q[0]) / kl_divergence(p[1], q[1])) == pytest.approx(10, rel=0.1)


def test_A6_a_matrix_of_float32_names_float64():
    torch.manual_seed(3137)
    z = torch.randn(129, 128)
    kind, text = said(lambda: Gaussian.from_covariance(torch.zeros(128), torch.cov(z.T)))
    assert kind is NotPositiveDefinite
    assert "float64" in text
    Gaussian.from_covariance(torch.zeros(128).double(), torch.cov(z.T.double()))


def test_a_matrix_that_is_no_covariance_gets_no_jitter():
    _, text = said(lambda: Gaussian.from_covariance([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]))
    assert "smallest eigenvalue, -1," in text
    assert "add a diagonal" not in text


def test_A7_nan_in_the_mean():
    mean = torch.tensor([[0.0, math.nan]])
    for make in (
        lambda: Gaussian.from_logvar(mean, torch.zeros(1, 2), validate=True),
        lambda: Gaussian.from_logvar(mean, torch.zeros(1, 2)),
        lambda: Gaussian.from_covariance(mean, torch.eye(2)),
    ):
        kind, text = said(make)
        assert kind is ValueError
        assert "the mean is NaN (at [0, 1])" in text
    assert "NaN (at [0, 1])" in said(lambda: Gaussian.from_logvar(torch.zeros(1, 2), mean))[1]


def test_A8_log_std_for_log_variance_and_the_sign():
    torch.manual_seed(0)
    mu, log_std = torch.randn(16, 2), 0.3 * torch.randn(16, 2)

    def pasted(s):
        return (-0.5 * (1 + s - mu**2 - s.exp())).sum(1).mean().item()

    p, q = Gaussian.from_logvar(mu, 2 * log_std), Gaussian.standard(2)
    assert "logarithms of standard deviations are taken for log-variances" in str(explain(p, q, value=pasted(log_std)))
    assert "the sign is wrong" in str(explain(p, q, value=-pasted(2 * log_std)))
    for other in (Gaussian.from_std(mu, log_std.exp()), Gaussian.from_log_std(mu, log_std)):
        assert "taken for" in str(explain(other, q, value=pasted(log_std)))
    # The parenthesis that closes after the 1, in float32, as one writes it.
    slipped = (-0.5 * 1 + 2 * log_std - mu**2 - (2 * log_std).exp()).sum(1).mean().item()
    assert "−0.5 * 1 + logvar" in str(explain(p, q, value=slipped))


def test_A8_the_prior_for_q_is_not_taken_for_bfloat16():
    r = np.random.default_rng(0)
    for _ in range(20):
        mu, logvar = r.normal(size=(2, 8)) * 0.3
        p, q = Gaussian.from_logvar(mu, logvar), Gaussian.from_logvar(mu + 1.0, logvar + 0.5)
        to_prior = -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
        for value in (to_prior, float(np.float32(to_prior)), round(to_prior, 4)):
            text = str(explain(p, q, value=value))
            assert "from the prior N(0, I)" in text
            assert "bfloat16" not in text


def test_A9_log_std_has_a_constructor_that_errors_name():
    log_std, mu = torch.tensor([[-110.0, -2.0]]), torch.zeros(1, 2)
    assert "from_log_std" in said(lambda: Gaussian.from_std(mu, log_std.exp()))[1]
    assert "from_log_std" in said(lambda: Gaussian.from_std(mu, log_std))[1]
    assert "from_log_std" in said(lambda: Gaussian.from_std(mu, (-log_std).exp()))[1]
    p, q = Gaussian.from_log_std(mu, log_std), Gaussian.from_log_std(mu, log_std + 0.1)
    assert float(kl_divergence(p, q)) == pytest.approx(2 * (0.1 + 0.5 * math.exp(-0.2) - 0.5), rel=1e-4)


def test_A14_free_nats_of_each_step():
    p = Gaussian.from_std(torch.tensor([[0.0], [4.0]]), torch.ones(2, 1))
    assert float(free_bits(p, Gaussian.standard(1), per_row=3.0)) == pytest.approx((3 + 8) / 2)
    assert float(balanced_kl(p, Gaussian.standard(1), balance=0.8, free=3.0)) == pytest.approx((3 + 8) / 2)


def test_A15_a_rotation_times_scales_is_a_factor():
    c, s = math.cos(0.3), math.sin(0.3)
    turn, mean = torch.tensor([[c, -s], [s, c]]), torch.zeros(2)
    a, b = turn @ torch.diag(torch.tensor([500.0, 0.005])), turn @ torch.diag(torch.tensor([510.0, 0.0055]))
    assert "from_factor" in said(lambda: Gaussian.from_scale_tril(mean, a))[1]
    found = kl_divergence(Gaussian.from_factor(mean, a), Gaussian.from_factor(mean, b))
    truth = sum(0.5 * (r - 1 - math.log(r)) for r in ((500 / 510) ** 2, (0.005 / 0.0055) ** 2))
    assert float(found) == pytest.approx(truth, rel=1e-2)
    turned = [Gaussian.from_rotation_scale(mean, turn, torch.tensor(x)) for x in ([500.0, 0.005], [510.0, 0.0055])]
    assert float(kl_divergence(*turned)) == pytest.approx(truth, rel=1e-2)


@pytest.mark.parametrize(
    ("call", "written"),
    [
        (lambda: kl_divergence((MU, STD), (MU, STD)),
         "kl_divergence(Gaussian.from_std(mu_1, std_1), Gaussian.from_std(mu_2, std_2))"),
        (lambda: kl_divergence(MU, STD, MU, STD),
         "kl_divergence(Gaussian.from_std(mu_1, std_1), Gaussian.from_std(mu_2, std_2))"),
        (lambda: kl_divergence(MU, -STD, MU, -STD),
         "kl_divergence(Gaussian.from_logvar(mu_1, logvar_1), Gaussian.from_logvar(mu_2, logvar_2))"),
        (lambda: kl_divergence(MU, -STD), "kl_divergence(Gaussian.from_logvar(mu, logvar), Gaussian.standard(3))"),
        (lambda: kl_divergence((MU.numpy(), STD.numpy()), STANDARD),
         "kl_divergence(Gaussian.from_std(mu_1, std_1), q)"),
        (lambda: wasserstein2((MU[0], torch.eye(3)), (MU[0], torch.eye(3))),
         "wasserstein2(Gaussian.from_covariance(mu_1, cov_1), Gaussian.from_covariance(mu_2, cov_2))"),
        (lambda: kl_divergence([0.0, 1.0], [1.0, 1.0]),
         "kl_divergence(Gaussian.from_std(mu, std), Gaussian.standard(2))"),
        (lambda: kl_divergence(MU, STD, STANDARD), "kl_divergence(Gaussian.from_std(mu_1, std_1), q)"),
        (lambda: kl_divergence(STANDARD, MU, -STD), "kl_divergence(p, Gaussian.from_logvar(mu_2, logvar_2))"),
        (lambda: kl_divergence((MU, STD), MU, STD),
         "kl_divergence(Gaussian.from_std(mu_1, std_1), Gaussian.from_std(mu_2, std_2))"),
        (lambda: kl_divergence((MU.numpy(), STD.numpy()), (MU.numpy(), STD.numpy())),
         "kl_divergence(Gaussian.from_std(mu_1, std_1), Gaussian.from_std(mu_2, std_2))"),
        (lambda: kl_divergence(np.zeros((0, 3)), np.zeros((0, 3))),
         "kl_divergence(Gaussian.from_std(mu, std), Gaussian.standard(3))"),
        (lambda: kl_divergence(MU, np.array([["1"] * 3] * 4)), "kl_divergence(Gaussian.from_std(mu, std)"),
        (lambda: kl_divergence(MU, STD.to(torch.complex64)), "kl_divergence(Gaussian.from_std(mu, std)"),
        (lambda: kl_divergence(MU, STD.to_sparse()), "kl_divergence(Gaussian.from_std(mu, std)"),
        (lambda: torch.func.vmap(kl_divergence)(MU, -STD), "kl_divergence(Gaussian.from_std(mu, std)"),
        (lambda: renyi(MU, STD, alpha=2.0), "renyi(Gaussian.from_std(mu, std), Gaussian.standard(3))"),
    ],
)  # fmt: skip
def test_means_and_scales_in_the_place_of_gaussians_are_written_as_constructors(call, written):
    kind, text = said(call)
    assert kind is TypeError
    assert written in text


def test_shapes_that_were_passed_are_repeated():
    assert said(lambda: kl_divergence(MU, STD, MU, STD))[1].count("of shape (4, 3)") == 4
    assert said(lambda: kl_divergence((MU, STD), (MU[0], STD[0])))[1].count("of shape (3,)") == 2


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: kl_divergence(P, None), "Gaussian.standard(3)"),
        (lambda: kl_divergence(P, 0), "Gaussian.standard(3)"),
        (lambda: kl_divergence(P, {"mean": MU, "std": STD}), "Gaussian.from_std(q['mean'], q['std'])"),
        (lambda: as_gaussian((MU, STD)), "Gaussian.from_std(mu, std)"),
        (lambda: entropy(np.zeros((10, 2))), "entropy_estimate(p)"),
        (lambda: entropy(torch.zeros(10, 2)), "entropy_estimate(p)"),
        (lambda: cross_entropy(torch.zeros(10, 3), STANDARD), "-q.log_prob(p).mean()"),
        (lambda: wasserstein2(torch.zeros(10, 3), torch.zeros(10, 3)), "Gaussian.from_samples(p, structure='full')"),
        (lambda: kl_divergence(np.zeros((10, 3)), np.zeros((10, 3))), "kl_estimate(p, q)"),
        (lambda: kl_divergence(stats.norm, stats.norm(0, 1)), "norm(...)"),
        (lambda: kl_bounds(np.zeros((10, 3)), STANDARD), "kl_estimate(p, q)"),
        (lambda: as_gaussian([P, MIXTURE]), "x[1] is none: it is a Mixture"),
        (lambda: as_gaussian([MIXTURE, P]), "one of these is none"),
        (lambda: explain(P, STANDARD, value="a third"), "must be a number"),
        (lambda: explain(MU, STD, value=3.0), "explain(Gaussian.from_std(mu, std), Gaussian.standard(3))"),
        (lambda: kl_loss(MU, STD), "kl_loss(Gaussian.from_std(mu, std), Gaussian.standard(3))"),
        (lambda: kl_loss(P, MIXTURE), "kl_estimate(p, q, n=64).value"),
        (lambda: kl_loss(P, STANDARD, weights="a"), "weights must be numbers"),
        (lambda: pairwise(MU, MU), "pairwise takes two Gaussians"),
        (lambda: pairwise(MU, STD), "pairwise(Gaussian.from_std(mu, std), Gaussian.standard(3))"),
        (
            lambda: pairwise((MU, STD), (MU, STD), "wasserstein2"),
            "pairwise(Gaussian.from_std(mu_1, std_1), Gaussian.from_std(mu_2, std_2), 'wasserstein2')",
        ),
        (lambda: pairwise((MU, STD), (MU, STD), wasserstein2), "Gaussian.from_std(mu_2, std_2), wasserstein2)"),
        (lambda: pairwise(MIXTURE, P, "wasserstein2"), "wasserstein2 has no closed form"),
        (lambda: pairwise(MIXTURE, P, lambda p, q: kl_divergence(q, p)), "this divergence has no closed form"),
        (lambda: nearest((MU, STD), (MU, STD), 1), "Gaussian.from_std(mu_2, std_2), k)"),
        (lambda: sum_kl(P, STANDARD), "kl_divergence(p, q).sum()"),
        (lambda: free_bits(P, STANDARD, per_row="1"), "a number of nats from 0 up"),
        (lambda: balanced_kl(P, STANDARD, balance="half"), "between 0 and 1"),
        (lambda: Gaussian.standard(MU), "Tensor of shape (4, 3)"),
        (lambda: P.to("float64"), "torch.float64"),
        (lambda: kl_loss(P, STANDARD, mask=torch.tensor([1.0, 0.5, 0.0, 1.0])), "Factors are weights"),
    ],
)
def test_a_hurried_call_is_told_what_to_write(call, advice):
    assert advice in said(call)[1]


class OnlyLogProb:
    def log_prob(self, x):
        return -0.5 * (x**2).sum(-1) - 1.5 * math.log(2 * math.pi)


class LogProbAndSample(OnlyLogProb):
    def sample(self, n):
        return torch.randn(n, 3)


def independent(x):
    return dist.Independent(x, 1)


LAPLACE = independent(dist.Laplace(MU[0], STD[0]))
TANH = independent(dist.TransformedDistribution(dist.Normal(MU[0], STD[0]), [dist.TanhTransform()]))


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (MIXTURE, STANDARD),
        (STANDARD, MIXTURE),
        (LAPLACE, STANDARD),
        (Gaussian.from_std(MU[0], STD[0]), dist.Laplace(MU[0], STD[0])),
        (dist.Laplace(MU[0], STD[0]), STANDARD),
        (independent(dist.LogNormal(MU[0], STD[0])), STANDARD),
        (independent(dist.Gamma(STD[0], STD[0])), STANDARD),
        (TANH, STANDARD),
        (stats.t(5), stats.norm(0, 1)),
        (STANDARD, OnlyLogProb()),
        (LogProbAndSample(), STANDARD),
    ],
)
def test_no_closed_form_names_a_call_that_works_for_this_object(p, q):
    kind, text = said(lambda: kl_divergence(p, q))
    assert kind is NoClosedForm
    calls = re.findall(r"kl_(?:estimate|bounds)\([pqIndet(), 1]*\)(?=[.\s])", text)
    assert calls
    for call in calls:
        names = {"kl_estimate": kl_estimate, "kl_bounds": kl_bounds, "p": p, "q": q, "Independent": dist.Independent}
        assert eval(call, names) is not None


def test_no_closed_form_of_an_entropy_names_one_that_works():
    for p in (MIXTURE, LAPLACE, TANH, LogProbAndSample()):
        kind, text = said(lambda p=p: entropy(p))
        assert kind is NoClosedForm
        assert "entropy_estimate(p)" in text
        assert "kl_estimate" not in text
        assert math.isfinite(entropy_estimate(p, seed=0).value)
    assert "entropy_bounds(p)" in said(lambda: entropy(MIXTURE))[1]
    assert entropy_bounds(MIXTURE).lower <= entropy_bounds(MIXTURE).upper
    assert "p.entropy()" in said(lambda: entropy(LAPLACE))[1]


def test_no_closed_form_of_other_divergences_names_no_call_that_gives_another_one_as_theirs():
    assert "No estimate of wasserstein2" in said(lambda: wasserstein2(MIXTURE, STANDARD))[1]
    assert "kl_estimate(p, q).value + kl_estimate(q, p).value" in said(lambda: jeffreys(LAPLACE, LAPLACE))[1]
    assert "discrete" in said(lambda: kl_divergence(dist.Categorical(torch.ones(3)), STANDARD))[1]


def test_an_object_without_sample_is_told_that_it_lacks_it():
    assert "sample(n)" in said(lambda: kl_divergence(OnlyLogProb(), STANDARD))[1]
    assert "has no sample(n)" in said(lambda: kl_estimate(OnlyLogProb(), STANDARD))[1]


def test_what_torch_has_in_closed_form_is_given_and_not_refused():
    for p, q in (
        (dist.Laplace(MU, STD), dist.Laplace(MU + 1, STD)),
        (dist.Gamma(STD, STD), dist.Gamma(2 * STD, STD)),
        (dist.LogNormal(MU, STD), dist.LogNormal(MU + 1, STD)),
    ):
        torch.testing.assert_close(kl_divergence(p, q), dist.kl_divergence(p, q))


def test_a_nan_inside_an_unvalidated_normal_is_not_blamed_on_from_std():
    """Who switches torch's validation off gets NaN, as the docstring of the divergence says."""
    for p in (
        dist.Normal(MU * math.nan, STD, validate_args=False),
        dist.Normal(MU, STD * math.nan, validate_args=False),
    ):
        assert bool(kl_divergence(p, dist.Normal(MU, STD)).isnan().all())


def test_a_masked_row_may_hold_nan_where_a_weight_of_0_gives_nan():
    mean = MU.clone()
    mean[3] = math.nan
    p = Gaussian.from_std(mean + 1.0, STD, validate=False)
    mask = torch.tensor([True, True, True, False])
    assert float(kl_loss(p, STANDARD, mask=mask)) == 1.5
    assert float(kl_loss(p, STANDARD, mask=mask.float())) == 1.5
    assert math.isnan(kl_loss(p, STANDARD, weights=mask.float()))


def test_final_zeros_of_a_text_count():
    truth = float(kl_divergence(Gaussian.from_std([0.3], [1.0]), Gaussian.standard(1)))  # 0.045
    p, q = Gaussian.from_std([0.3], [1.0]), Gaussian.standard(1)
    assert truth == pytest.approx(0.045)
    assert explain(p, q, value=0.05).right
    assert not explain(p, q, value="0.050").right
    assert explain(p, q, value="0.0450").right


def test_the_calls_that_errors_write_are_those_of_public_functions():
    for function in ("kl_divergence", "entropy", "cross_entropy", "jeffreys", "kl_loss", "renyi"):
        text = str(refusal(MIXTURE, "p", function))
        called = set(re.findall(r"(\w+)\(", text))
        assert called
        assert called <= set(kullback.__all__), called
