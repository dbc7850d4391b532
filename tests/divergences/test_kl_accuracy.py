"""kl_divergence against fifty digits. The contract: 4 units in the last place of each element, and of its gradients."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal
from truth import oracle
from truth.kinds import DIAGONAL, MAKE
from truth.oracle import mpf, ulps
from truth.regimes import REGIMES, pair
from truth.scalars import CONTRACT, scalars

from kullback import Gaussian, kl_divergence, kl_per_dimension


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_values_and_gradients_are_within_four_units_in_the_last_place(regime, given, dtype):
    operands = tuple(x.requires_grad_() for x in pair(regime, given, dtype))
    mean_p, scale_p, mean_q, scale_q = operands
    value = kl_divergence(scalars(mean_p, scale_p, given), scalars(mean_q, scale_q, given))
    gradients = torch.autograd.grad(value.sum(), operands)
    truth = oracle.truths(operands, given, given)
    assert ulps(value, [t.value for t in truth]) <= CONTRACT
    for name, gradient in zip(("mean_p", "scale_p", "mean_q"), gradients, strict=False):
        assert ulps(gradient, [getattr(t, name) for t in truth]) <= CONTRACT, name
    # A difference of two parts: no algorithm knows it better than its parts.
    assert ulps(gradients[3], [t.scale_q for t in truth], [t.scale_q_parts for t in truth]) <= CONTRACT


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("given", DIAGONAL)
def test_half_precision_is_computed_in_float32(given, dtype):
    operands = pair("ordinary", given, dtype)
    value = kl_divergence(scalars(operands[0], operands[1], given), scalars(operands[2], operands[3], given))
    assert value.dtype == torch.float32
    assert ulps(value, [t.value for t in oracle.truths(operands, given, given)]) <= CONTRACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("given_p", "given_q"), [(a, b) for a in DIAGONAL for b in DIAGONAL if a != b])
def test_different_parameterizations_cost_no_more_than_the_conversion(given_p, given_q, dtype):
    """At most 4 times the change that half a unit in the last place of the converted scale makes."""
    mean_p, scale_p, _, _ = pair("ordinary", given_p, dtype, seed=1)
    _, _, mean_q, scale_q = pair("ordinary", given_q, dtype, seed=2)
    value = kl_divergence(scalars(mean_p, scale_p, given_p), scalars(mean_q, scale_q, given_q))
    converts = {"std", "variance"} if "logvar" in (given_p, given_q) else {"variance"}
    common = "logvar" if "logvar" in (given_p, given_q) else "std"
    half_ulp = mpf(torch.finfo(dtype).eps) / 2
    for got, mp, sp, mq, sq in zip(*(x.tolist() for x in (value, mean_p, scale_p, mean_q, scale_q)), strict=True):
        var_p, var_q = oracle.variance(sp, given_p), oracle.variance(sq, given_q)
        want = oracle.kl(mpf(mp), var_p, mpf(mq), var_q)
        p_side = given_p in converts
        converted = {"std": lambda v: oracle.mpmath.sqrt(v), "logvar": lambda v: oracle.mpmath.log(v)}[common](
            var_p if p_side else var_q
        )
        back = {"std": lambda s: s * s, "logvar": lambda s: oracle.mpmath.exp(s)}[common]
        change = mpf(0)
        for sign in (-1, 1):
            moved = back(converted * (1 + sign * half_ulp))
            pair_ = (moved, var_q) if p_side else (var_p, moved)
            change = max(change, abs(oracle.kl(mpf(mp), pair_[0], mpf(mq), pair_[1]) - want))
        assert abs(mpf(got) - want) <= 4 * (change + 2 * half_ulp * want)


@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_standard_normal_is_exact_in_any_parameterization(given, dtype):
    mean_p, scale_p, _, _ = operands = pair("nearly collapsed", given, dtype)
    value = kl_divergence(scalars(mean_p, scale_p, given), Gaussian.standard(()))
    assert ulps(value, [t.value for t in oracle.truths(operands, given, given)]) <= CONTRACT


@pytest.mark.parametrize(("dtype", "given"), [(torch.float32, g) for g in DIAGONAL] + [(torch.bfloat16, "logvar")])
def test_a_million_nearly_collapsed_dimensions_lose_no_more_than_the_summation(dtype, given):
    mean_p, scale_p, _, _ = operands = pair("nearly collapsed", given, dtype)
    repeats = 1_000_000 // len(mean_p)
    p = MAKE[given](mean_p.repeat(repeats), scale_p.repeat(repeats))
    want = repeats * sum(t.value for t in oracle.truths(operands, given, given))
    # Pairwise summation of n terms of one sign loses at most log2 n roundings.
    allowed = CONTRACT + math.log2(len(mean_p) * repeats)
    assert ulps(kl_divergence(p, Gaussian.standard(p.event_size)).reshape(1), [want]) <= allowed


def test_nothing_is_lost_where_torch_keeps_two_digits():
    """Standard deviations a few steps of float32 apart: divergences around 1e-10."""
    std_q = torch.linspace(0.5, 2, 150)
    std_p, zero = std_q * (1 + 1e-5), torch.zeros_like(std_q)
    p, q = Normal(zero, std_p), Normal(zero, std_q)
    want = [t.value for t in oracle.truths((zero, std_p, zero, std_q), "std", "std")]
    assert ulps(torch.distributions.kl_divergence(p, q), want) > 0.01 / torch.finfo(torch.float32).eps
    assert ulps(kl_divergence(p, q), want) <= CONTRACT


@pytest.mark.parametrize("given", DIAGONAL)
def test_the_value_is_finite_up_to_the_largest_representable_one(given):
    """Half of a ratio is representable where the ratio itself has overflowed."""
    big = {"std": math.sqrt(6e38), "variance": 6e38 / 4, "logvar": math.log(6e38)}[given]
    small = {"std": 1.0, "variance": 0.25, "logvar": 0.0}[given]
    operands = [torch.tensor([x], dtype=torch.float32) for x in (0.0, big, 0.0, small)]
    value = kl_divergence(scalars(operands[0], operands[1], given), scalars(operands[2], operands[3], given))
    assert ulps(value, [t.value for t in oracle.truths(tuple(operands), given, given)]) <= CONTRACT


EDGES = [
    # given, mean_p, scale_p, mean_q, scale_q: where intermediate results leave float32 and the truth does not.
    ("logvar", 2.5e36, 155.0, 0.0, 155.0),
    ("logvar", -1.14e-41, -158.16, 0.0, -158.16),
    ("std", 0.0, 5.015108475270552e-39, 0.0, 3.401602976702242e-39),
    ("variance", 0.0, 2.2258477041058973e-39, 0.0, 1.4382212775613117e-39),
    ("std", 3.1648e38, 5.207e36, -1.3861e38, 5.279e36),
    # The worst of a few hundred thousand, before the series was split into even and odd powers.
    ("std", 0.0, 4.7923936, 0.0, 3.3820364),
    ("logvar", 0.0, -2.5958199, 0.0, -1.8101868),
    ("variance", -0.7312905788421631, 0.28870901465415955, 1.3401225805282593, 0.25404709577560425),
]


@pytest.mark.parametrize(("given", "numbers"), [(g, numbers) for g, *numbers in EDGES])
def test_gradients_are_right_at_the_edge_of_the_range(given, numbers):
    operands = tuple(torch.tensor([x], requires_grad=True) for x in numbers)
    value = kl_divergence(scalars(*operands[:2], given), scalars(*operands[2:], given))
    (truth,) = oracle.truths(operands, given, given)
    assert ulps(value, [truth.value]) <= CONTRACT
    gradients = torch.autograd.grad(value.sum(), operands)
    for name, gradient in zip(("mean_p", "scale_p", "mean_q", "scale_q"), gradients, strict=True):
        size = truth.scale_q_parts if name == "scale_q" else getattr(truth, name)
        assert ulps(gradient, [getattr(truth, name)], [size]) <= CONTRACT, name


@pytest.mark.parametrize("logvar", [-700.0, -200.0, 200.0, 700.0])
def test_log_variances_far_outside_float32_are_ordinary_inputs(logvar):
    same = Gaussian.from_logvar(torch.zeros(3), torch.full((3,), logvar))
    assert kl_divergence(same, same) == 0
    near = Gaussian.from_logvar(torch.zeros(3), torch.full((3,), logvar) * (1 + 2**-10))
    assert torch.isfinite(kl_divergence(same, near))
    assert torch.isfinite(kl_divergence(near, same))


@pytest.mark.parametrize("given", DIAGONAL)
def test_second_derivatives_are_those_of_the_oracle(given):
    mean_p, scale_p, mean_q, scale_q = (x[:40].requires_grad_() for x in pair("ordinary", given, torch.float64))
    value = kl_divergence(scalars(mean_p, scale_p, given), scalars(mean_q, scale_q, given)).sum()
    (first,) = torch.autograd.grad(value, scale_p, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), scale_p)
    for got, sp, sq in zip(second.tolist(), scale_p.tolist(), scale_q.tolist(), strict=True):
        var_p, var_q, s = oracle.variance(sp, given), oracle.variance(sq, given), mpf(sp)
        want = {
            "std": 1 / var_q + 1 / s**2,
            "variance": 1 / (2 * s**2),
            "logvar": var_p / var_q / 2,
        }[given]
        assert got == pytest.approx(float(want), rel=1e-14)


def test_gradgradcheck_passes_across_every_branch():
    for given in DIAGONAL:
        mean_p, scale_p, mean_q, scale_q = (
            x[:12].double().requires_grad_() for x in pair("ordinary", given, torch.float64, seed=3)
        )

        def f(a, b, c, d, given=given):
            return kl_per_dimension(scalars(a, b, given), scalars(c, d, given))

        assert torch.autograd.gradcheck(f, (mean_p, scale_p, mean_q, scale_q))
        assert torch.autograd.gradgradcheck(f, (mean_p, scale_p, mean_q, scale_q))


def test_a_scale_that_slipped_past_validation_gives_nan_never_a_plausible_number():
    minus = Gaussian.from_std(torch.zeros(2), -torch.ones(2), validate=False)
    plus = Gaussian.from_std(torch.zeros(2), torch.ones(2))
    zero = Gaussian.from_variance(torch.zeros(2), torch.zeros(2), validate=False)
    for p, q in ((minus, plus), (plus, minus), (minus, minus), (zero, plus), (zero, zero), (plus, zero)):
        assert torch.isnan(kl_divergence(p, q)), (p, q)


def test_numpy_arrays_give_a_numpy_array_of_their_dtype():
    p = Gaussian.from_std(np.zeros((5, 3), dtype=np.float32), np.ones((5, 3), dtype=np.float32))
    value = kl_divergence(p, Gaussian.standard(3))
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.float32
    assert value.shape == (5,)
    assert isinstance(kl_divergence(p, Gaussian.from_std(torch.zeros(3), torch.ones(3))), torch.Tensor)
