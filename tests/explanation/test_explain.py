"""explain, which names the mistake that gives a number."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from kullback import Gaussian, ShapeError, explain, kl_divergence, kl_per_dimension

RNG = np.random.default_rng(0)
MEAN_P, MEAN_Q = RNG.standard_normal((2, 12))
STD_P, STD_Q = np.exp(0.4 * RNG.standard_normal((2, 12)))
P, Q = Gaussian.from_std(MEAN_P, STD_P), Gaussian.from_std(MEAN_Q, STD_Q)


DELTA = MEAN_P - MEAN_Q


def wrong(var_p=None, var_q=None, *, sign=1.0, d=1.0, half=0.5):
    """The textbook formula with the mistakes asked for, written out."""
    var_p, var_q = (STD_P**2 if var_p is None else var_p), (STD_Q**2 if var_q is None else var_q)
    return half * (sign * np.log(var_q / var_p).sum() - d * 12 + (var_p / var_q).sum() + (DELTA**2 / var_q).sum())


def by_axes(formula):
    """A formula for one coordinate, as it is pasted, summed over them."""
    return float(np.sum(formula(STD_P, STD_Q, DELTA)))


MISTAKES = {
    "standard deviations are taken for variances": wrong(STD_P, STD_Q),
    "standard deviations are taken for log-variances": wrong(np.exp(STD_P), np.exp(STD_Q)),
    "p and q are swapped": float(kl_divergence(Q, P)),
    "log-determinant is the wrong way round": wrong(sign=-1.0),
    "log-determinant is 0": wrong(sign=0.0),
    "mean over the coordinates": wrong() / 12,
    "−d is missing": wrong(d=0.0),
    "−d/2 stands inside": wrong(d=0.5),
    "factor ½ is missing": wrong(half=1.0),
    "factor ½ is taken twice": wrong(half=0.25),
    "the sign is wrong": -wrong(),
    "from the prior N(0, I)": 0.5 * (-2 * np.log(STD_P) - 1 + STD_P**2 + MEAN_P**2).sum(),
    "in bits": wrong() / np.log(2.0),
    "multiplied by log 2": wrong() * np.log(2.0),
    "variances are passed as standard deviations, as in Normal": wrong(STD_P**4, STD_Q**4),
    "taken for variances, of p": wrong(STD_P, None),
    "taken for variances, of q": wrong(None, STD_Q),
    "parenthesis is missing: −0.5 * 1": (-0.5 - np.log(STD_Q**2 / STD_P**2) - (STD_P**2 + DELTA**2) / STD_Q**2).sum(),
    "½ is that of the logarithm alone": by_axes(lambda s, t, x: np.log(t / s) + (s**2 + x**2) / t**2 - 1),
    "parenthesis is missing: σp² + Δ² / (2 σq²)": by_axes(
        lambda s, t, x: np.log(t / s) + s**2 + x**2 / (2 * t**2) - 0.5
    ),
    "parenthesis is missing: (σp² + Δ²) / 2 * σq²": by_axes(
        lambda s, t, x: np.log(t / s) + (s**2 + x**2) / 2 * t**2 - 0.5
    ),
    "standard deviations are not squared": by_axes(lambda s, t, x: np.log(t / s) + (s + x**2) / (2 * t) - 0.5),
    "σq is not squared": by_axes(lambda s, t, x: np.log(t / s) + (s**2 + x**2) / (2 * t) - 0.5),
    "½ of the logarithm is missing": by_axes(lambda s, t, x: np.log(t**2 / s**2) + (s**2 + x**2) / (2 * t**2) - 0.5),
    "logarithm is decimal": by_axes(lambda s, t, x: np.log10(t / s) + (s**2 + x**2) / (2 * t**2) - 0.5),
    "means is not squared": by_axes(lambda s, t, x: np.log(t / s) + (s**2 + x) / (2 * t**2) - 0.5),
    "1 is subtracted once": by_axes(lambda s, t, x: np.log(t / s) + (s**2 + x**2) / (2 * t**2)) - 0.5,
    "0.001 is added to both standard deviations in the logarithm": by_axes(
        lambda s, t, x: np.log((t + 1e-3) / (s + 1e-3)) + (s**2 + x**2) / (2 * t**2) - 0.5
    ),
    "0.0001 is added to the ratio": by_axes(lambda s, t, x: np.log(t / s + 1e-4) + (s**2 + x**2) / (2 * t**2) - 0.5),
    "0.001 is added to σq² in the denominator": by_axes(
        lambda s, t, x: np.log(t / s) + (s**2 + x**2) / (2 * (t**2 + 1e-3)) - 0.5
    ),
    "0.001 is added to the variances": wrong(STD_P**2 + 1e-3, STD_Q**2 + 1e-3),
    "0.0001 is added to the standard deviations": wrong((STD_P + 1e-4) ** 2, (STD_Q + 1e-4) ** 2),
    "the cross-entropy": wrong() + 0.5 * (np.log(2 * np.pi * np.e * STD_P**2)).sum(),
    "the squared 2-Wasserstein distance": by_axes(lambda s, t, x: (s - t) ** 2 + x**2),
}


@pytest.mark.parametrize("said", MISTAKES)
def test_the_mistake_is_named(said):
    explanation = explain(P, Q, value=MISTAKES[said])
    assert not explanation.right
    assert len(explanation.mistakes[0]) == 1
    assert any(said in mistakes[0] for mistakes in explanation.mistakes)
    assert said in str(explanation)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (("p and q are swapped", "in bits"), float(kl_divergence(Q, P)) / np.log(2.0)),
        (("taken for variances", "mean over the coordinates"), wrong(STD_P, STD_Q) / 12),
        (("log-determinant is the wrong way round", "the factor ½ is missing"), wrong(sign=-1.0, half=1.0)),
        (("in the logarithm", "sign is wrong"),
         -by_axes(lambda s, t, x: np.log((t + 1e-3) / (s + 1e-3)) + (s**2 + x**2) / (2 * t**2) - 0.5)),
    ],
)  # fmt: skip
def test_two_mistakes_are_both_named(said, value):
    for given in (value, float(np.float32(value))):
        explanation = explain(P, Q, value=given)
        assert {len(mistakes) for mistakes in explanation.mistakes} == {2}
        assert any(all(any(x in y for y in mistakes) for x in said) for mistakes in explanation.mistakes)


def test_two_mistakes_in_a_number_of_few_digits_are_said_to_be_a_guess():
    value = round(float(kl_divergence(Q, P)) / np.log(2.0), 3)
    explanation = explain(P, Q, value=value)
    assert explanation.mistakes == ()
    assert 0.003 < explanation.chance <= 0.2
    assert "perhaps" in str(explanation)
    assert "to so few digits" in str(explanation)
    assert "so few digits do not tell" in str(explain(P, Q, value=round(value, 1)))


def test_one_mistake_comes_before_two_and_before_what_rounds():
    mean, std = MEAN_P * 1e-2, np.exp(1e-2 * MEAN_Q)
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(MEAN_Q, STD_Q)
    to_prior = 0.5 * (std**2 + mean**2 - 1 - 2 * np.log(std)).sum()
    (mistakes, *_) = explain(p, q, value=to_prior).mistakes
    assert "prior N(0, I)" in mistakes[0]
    assert len(mistakes) == 1
    assert not any("bfloat16" in x for x in mistakes)


def test_numbers_that_no_mistake_made_are_not_explained():
    """Of 4 × 1,000 such numbers 30 were (4 to 10 of each pair); the search allows for 3 in 1,000 by two or by three."""
    rng, explained = np.random.default_rng(1), 0
    truth = float(kl_divergence(P, Q))
    for factor in np.exp(rng.uniform(-0.7, 0.7, 40)):
        explained += bool(explain(P, Q, value=truth * factor).mistakes)
    assert explained <= 3  # 4 or more of 40 have a probability of 0.07 % at 1 in 100


def test_divisors_are_the_sizes_that_the_shapes_have():
    shape = (4, 6, 3, 5, 7)
    mean, logvar = torch.tensor(RNG.standard_normal((2, *shape)))
    p, q = Gaussian.from_logvar(mean, logvar, event_dims=3), Gaussian.standard((3, 5, 7))
    everything = float((0.5 * (logvar.exp() + mean**2 - 1 - logvar)).sum())
    for divisor, said in {
        4 * 6 * 3 * 5 * 7: "mean over everything",
        4 * 6 * 3: "divided by 3, the size of dimension 0 of the event",
        4 * 6 * 5 * 7: "divided by 35, the size of dimension 0 to 2 without 0 of the event",
        4 * 6 * 4 * 6: "divided by the batch size once more",
        6: "over dimension 1 of the batch alone",
        3 * 5 * 7: "and the sum over the batch",
    }.items():
        assert said in str(explain(p, q, value=everything / divisor))
    assert explain(p, q, value=everything / 24).right
    assert "mean over the coordinates" in str(explain(p, q, value=kl_divergence(p, q) / 105))


def test_mistakes_with_matrices_are_named():
    a, b = RNG.standard_normal((2, 4, 6))
    mean_p, mean_q = RNG.standard_normal((2, 4))
    cov_p, cov_q = a @ a.T / 6, b @ b.T / 6

    def kl(cov_p, cov_q):
        inverse, delta = np.linalg.inv(cov_q), mean_p - mean_q
        log_det = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
        return 0.5 * (log_det - 4 + np.trace(inverse @ cov_p) + delta @ inverse @ delta)

    p, q = Gaussian.from_covariance(mean_p, cov_p), Gaussian.from_covariance(mean_q, cov_q)
    as_factors = kl(*(np.tril(x) @ np.tril(x).T for x in (cov_p, cov_q)))
    assert "taken for Cholesky factors" in str(explain(p, q, value=as_factors))
    assert "taken for precisions" in str(explain(p, q, value=kl(np.linalg.inv(cov_p), np.linalg.inv(cov_q))))
    assert "correlations are left out" in str(explain(p, q, value=kl(*(np.diag(np.diag(x)) for x in (cov_p, cov_q)))))
    p, q = (Gaussian.from_scale_tril(m, np.linalg.cholesky(x)) for m, x in ((mean_p, cov_p), (mean_q, cov_q)))
    assert "factors are taken for covariances" in str(
        explain(p, q, value=kl(np.linalg.cholesky(cov_p), np.linalg.cholesky(cov_q)))
    )


def test_three_mistakes_at_once_are_told_apart():
    """The sister thread's: the std as covariance, the log-determinants reversed, −d/2 where −d belongs."""
    (mistakes, *_) = explain(P, Q, value=wrong(STD_P, STD_Q, sign=-1.0, d=0.5)).mistakes
    assert len(mistakes) == 3


def test_a_right_number_is_right_as_closely_as_it_is_written():
    truth = float(kl_divergence(P, Q))
    assert explain(P, Q, value=round(truth, 2)).right
    assert not explain(P, Q, value=truth * 1.001).right
    unknown = explain(P, Q, value=12345.678)
    assert not unknown.right
    assert unknown.mistakes == ()
    assert "no common mistake" in str(unknown)


def test_numbers_of_a_batch_may_be_means_sums_rows_or_elements():
    p = Gaussian.from_std(torch.tensor(RNG.standard_normal((5, 4))), torch.ones(5, 4, dtype=torch.float64))
    q = Gaussian.standard(4)
    rows = kl_divergence(p, q)
    for value in (rows, rows.mean(), rows.sum()):
        assert explain(p, q, value=value).right
    assert "event dimension is forgotten" in str(explain(p, q, value=kl_per_dimension(p, q)))
    with pytest.raises(ShapeError, match="value has shape"):
        explain(p, q, value=torch.zeros(3))


def test_the_bfloat16_line_and_kl_div_are_recognized():
    mean, logvar = torch.randn(500, generator=torch.Generator().manual_seed(0)), torch.zeros(500)
    p = Gaussian.from_logvar(1e-2 * mean, 1e-2 * mean)
    half = [x.bfloat16() for x in (1e-2 * mean, 1e-2 * mean)]
    line = (-0.5 * (1 + half[1] - half[0].pow(2) - half[1].exp())).sum().item()
    assert "bfloat16" in str(explain(p, Gaussian.standard(500), value=line))
    q = Gaussian.from_logvar(mean, logvar)
    softmaxed = functional.kl_div((1e-2 * mean).log_softmax(-1), mean.softmax(-1), reduction="sum").item()
    assert "F.kl_div is called on the means, softmaxed" in str(explain(p, q, value=softmaxed))
    raw = functional.kl_div(1e-2 * mean.abs(), mean.abs(), reduction="sum").item()
    a, b = (Gaussian.from_logvar(x.abs(), logvar) for x in (1e-2 * mean, mean))
    assert "F.kl_div is called on the means, as they are" in str(explain(a, b, value=raw))


def test_conditioning_and_digits_are_those_of_the_pair():
    covariance = torch.tensor([[1.0, 0.999], [0.999, 1.0]])
    p = Gaussian.from_covariance(torch.zeros(2), covariance)
    explanation = explain(p, Gaussian.from_covariance(torch.zeros(2), covariance * (1 + 1e-3)))
    assert explanation.condition[0] == pytest.approx(1999.0, rel=1e-4)
    assert explanation.digits < 3
    assert "corrected" in explanation.form
    assert explain(P, Q).digits > 14


@pytest.mark.parametrize("prior", [Gaussian.standard(12), Gaussian.from_std(np.zeros(12), np.ones(12))])
def test_a_mistake_with_the_prior_is_listed_once(prior):
    value = wrong(STD_P, np.ones(12)) + 0.5 * (MEAN_P**2 - DELTA**2).sum()
    explanation = explain(P, prior, value=value)
    assert explanation.mistakes == (("the standard deviations are taken for variances",),)


def test_the_scale_of_the_prior_is_not_misread():
    # A log-variance of 1 would be a variance of e.
    value = wrong(None, np.full(12, np.e)) + 0.5 * (MEAN_P**2 - DELTA**2).sum() / np.e
    assert "of q" in str(explain(P, Gaussian.from_std(np.zeros(12), np.ones(12)), value=value))
    assert "of q" not in str(explain(P, Gaussian.standard(12), value=value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_covariances_have_no_condition_but_a_divergence(dtype):
    rng = np.random.default_rng(0)
    factor, turn = rng.standard_normal((4, 2)), np.linalg.qr(rng.standard_normal((2, 2)))[0]
    p, q = (
        Gaussian.from_factor(torch.zeros(4, dtype=dtype), torch.tensor(x, dtype=dtype), singular=True)
        for x in (factor, 2.0 * factor @ turn)
    )
    # Along their plane, p has half the standard deviation of q in both directions.
    want = 2.0 * (np.log(2.0) + 0.125 - 0.5)
    explanation = explain(p, q, value=want)
    assert explanation.divergence == pytest.approx(want, rel=1e-5)
    assert explanation.right
    assert explanation.condition == (np.inf, np.inf)
    apart = explain(p, Gaussian.standard(4), value=2.0)
    assert (apart.divergence, apart.condition, apart.digits) == (np.inf, (np.inf, 1.0), 0.0)
    assert not apart.right
    assert not apart.mistakes
    root = np.sqrt(np.trace(factor @ factor.T))  # each axis of p is stretched by 2, so the distance is its own length
    assert "the 2-Wasserstein distance" in str(explain(p, q, value=root))
    point = Gaussian.from_factor(torch.zeros(4, dtype=dtype), torch.zeros(4, 2, dtype=dtype), singular=True)
    assert explain(point, point).divergence == 0.0


def test_an_epsilon_beside_the_ratio_of_the_variances_is_found():
    p = Gaussian.from_variance(torch.tensor([0.3, -1.0]).double(), torch.tensor([0.5, 1.1]).double())
    ratio = 0.9 / p.variance
    trace = (p.variance + p.mean.square()) / 0.9 - 1
    for epsilon in (1e-3, 1e-4):
        value = 0.5 * ((ratio + epsilon).log() + trace).sum()
        text = str(explain(p, Gaussian.from_variance(torch.zeros(2).double(), 0.9), float(value)))
        assert f"{epsilon:g} is added to the ratio of the variances in the logarithm" in text
