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


def wrong(var_p=None, var_q=None, *, sign=1.0, d=1.0, half=0.5):
    """The textbook formula with the mistakes asked for, written out."""
    var_p, var_q = (STD_P**2 if var_p is None else var_p), (STD_Q**2 if var_q is None else var_q)
    return half * (
        sign * np.log(var_q / var_p).sum() - d * 12 + (var_p / var_q).sum() + ((MEAN_P - MEAN_Q) ** 2 / var_q).sum()
    )


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
}


@pytest.mark.parametrize("said", MISTAKES)
def test_the_mistake_is_named(said):
    explanation = explain(P, Q, value=MISTAKES[said])
    assert not explanation.right
    assert len(explanation.mistakes[0]) == 1
    assert any(said in mistakes[0] for mistakes in explanation.mistakes)
    assert said in str(explanation)


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
