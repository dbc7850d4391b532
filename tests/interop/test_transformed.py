"""Changes of variables on both sides, affine images, wrappers, and distributions that only torch knows."""

from types import SimpleNamespace

import pytest
import torch
from torch import distributions as D
from torch.testing import assert_close
from truth.records import FULL, of

import kullback
from kullback import Gaussian, NoClosedForm, as_gaussian, kl_divergence, kl_estimate, wasserstein2

MEANS, STDS = torch.randn(2, 4, 3).unbind(), (torch.rand(2, 4, 3) + 0.5).unbind()
BASES = [D.Independent(D.Normal(m, s), 1) for m, s in zip(MEANS, STDS, strict=True)]
FULL_BASES = [D.MultivariateNormal(m, torch.diag_embed(s) + 0.2) for m, s in zip(MEANS, STDS, strict=True)]
TRANSFORMS = {
    "tanh": lambda: D.TanhTransform(cache_size=1),
    "exp": D.ExpTransform,
    "affine": lambda: D.AffineTransform(0.3, -2.0),
    "tanh, then affine": lambda: [D.TanhTransform(), D.AffineTransform(torch.ones(3), 2.0)],
    "composed": lambda: D.ComposeTransform([D.SigmoidTransform(), D.AffineTransform(0.0, 3.0)]),
    "stick breaking": D.StickBreakingTransform,
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("bases", [BASES, FULL_BASES])
def test_the_same_change_of_variables_on_both_sides_changes_nothing(name, transform, bases):
    p, q = (D.TransformedDistribution(base, TRANSFORMS[transform]()) for base in bases)
    if name == "wasserstein2":
        if transform != "affine":
            with pytest.raises(NoClosedForm, match="kl_estimate"):
                wasserstein2(p, q)
        return
    assert_close(of(name)(p, q), of(name)(*bases), rtol=0, atol=0)


def test_it_may_lie_inside_an_independent_and_gradients_flow():
    mean = MEANS[0].clone().requires_grad_()
    p, q = (
        D.Independent(D.TransformedDistribution(D.Normal(m, s), D.TanhTransform()), 1)
        for m, s in ((mean, STDS[0]), (MEANS[1], STDS[1]))
    )
    want = kl_divergence(D.Independent(D.Normal(mean, STDS[0]), 1), BASES[1])
    assert_close(kl_divergence(p, q), want, rtol=0, atol=0)
    assert_close(torch.autograd.grad(kl_divergence(p, q).sum(), mean), torch.autograd.grad(want.sum(), mean))


def test_log_normals_are_as_far_apart_as_their_normals():
    p, q = D.LogNormal(torch.tensor(0.0), torch.tensor(1.0)), D.LogNormal(torch.tensor(1.0), torch.tensor(2.0))
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(p, q))
    p, q = (D.LogisticNormal(m, s) for m, s in zip(MEANS, STDS, strict=True))
    assert_close(kl_divergence(p, q), kl_divergence(*BASES))


def test_an_affine_image_of_a_gaussian_is_a_gaussian():
    shift, factor = torch.randn(3), torch.tensor([2.0, -0.5, 1.5])
    chain = [D.AffineTransform(shift, factor), D.ComposeTransform([D.AffineTransform(1.0, 3.0)])]
    for base in (BASES[0], FULL_BASES[0]):
        image, g = as_gaussian(D.TransformedDistribution(base, chain)), as_gaussian(base)
        assert_close(image.mean, 3.0 * (shift + factor * g.mean) + 1.0)
        size = 3.0 * factor
        assert_close(image.covariance_matrix, size[:, None] * g.covariance_matrix * size)
        plain = Gaussian.from_covariance(torch.zeros(3), torch.eye(3))
        assert_close(wasserstein2(D.TransformedDistribution(base, chain), plain), wasserstein2(image, plain))
    logs = as_gaussian(D.TransformedDistribution(D.Normal(torch.zeros(3), torch.ones(3)), D.AffineTransform(0.0, -2.0)))
    assert_close(logs.stddev, torch.full((3,), 2.0))


def test_different_transforms_have_no_closed_form_and_estimates_are_named():
    squashed = D.TransformedDistribution(BASES[0], D.TanhTransform())
    for other in (BASES[1], D.TransformedDistribution(BASES[1], D.SigmoidTransform())):
        with pytest.raises(NoClosedForm, match="kl_estimate"):
            kl_divergence(squashed, other)
    # What folds is no change of variables: torch has its own form of it.
    p, q = D.HalfNormal(torch.tensor(1.0)), D.HalfNormal(torch.tensor(2.0))
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(p, q))
    with pytest.raises(NoClosedForm):
        kullback.jeffreys(p, q)


def test_an_estimate_of_squashed_densities_is_that_of_what_is_under_them():
    p, q = (D.TransformedDistribution(D.Independent(D.Normal(torch.full((2,), m), 1.0), 1), D.TanhTransform())
            for m in (3.0, 4.0))  # fmt: skip
    estimate = kl_estimate(p, q, seed=0, n=256)
    # Where tanh rounds to 1 there would be nothing left to estimate from.
    assert abs(float(estimate.value) - 1.0) < 5 * float(estimate.standard_error) < 0.1


class DiagGaussian:
    """As Stable-Baselines3's: log-densities are summed over actions."""

    def __init__(self, mean, log_std):
        self.distribution = D.Normal(mean, log_std.exp())

    def log_prob(self, actions):
        return self.distribution.log_prob(actions).sum(-1)


class Squashed(DiagGaussian):
    def log_prob(self, actions):
        gaussian = torch.atanh(actions.clamp(-0.999, 0.999))
        return super().log_prob(gaussian) - torch.log1p(-actions.clamp(-0.999, 0.999).square()).sum(-1)


class OfCategorical:
    def __init__(self, logits):
        self.distribution = D.Categorical(logits=logits)

    def log_prob(self, action):
        return self.distribution.log_prob(action)


def test_objects_that_hold_a_distribution_are_opened():
    before = torch.get_rng_state()
    p, q = (DiagGaussian(m, s.log()) for m, s in zip(MEANS, STDS, strict=True))
    assert_close(kl_divergence(p, q), kl_divergence(*BASES))
    assert_close(kl_divergence(p, Gaussian.standard(3)), kl_divergence(BASES[0], Gaussian.standard(3)))
    assert_close(kl_divergence(p, BASES[1]), kl_divergence(*BASES))
    squashed = [Squashed(m, s.log()) for m, s in zip(MEANS, STDS, strict=True)]
    assert_close(kl_divergence(*squashed), kl_divergence(*BASES))
    for other in (p, BASES[1]):
        with pytest.raises(NoClosedForm, match="changes the variables"):
            kl_divergence(squashed[0], other)
    assert torch.equal(torch.get_rng_state(), before)
    logits = torch.randn(2, 4, 6).unbind()
    want = torch.distributions.kl_divergence(*(D.Categorical(logits=x) for x in logits))
    assert_close(kl_divergence(*(OfCategorical(x) for x in logits)), want)


@pytest.mark.parametrize(
    "pair",
    [
        lambda: [D.Categorical(logits=x) for x in torch.randn(2, 4, 6)],
        lambda: [D.Independent(D.Bernoulli(x), 1) for x in torch.rand(2, 4, 6)],
        lambda: [D.Beta(x, x + 1) for x in torch.rand(2, 4) + 0.5],
        lambda: [D.Gamma(x, x + 1) for x in torch.rand(2, 4) + 0.5],
        lambda: [D.Dirichlet(x) for x in torch.rand(2, 4, 3) + 0.5],
        lambda: [D.Laplace(x, x + 1) for x in torch.rand(2, 4) + 0.5],
        lambda: [D.Normal(torch.zeros(3), 1.0), D.Laplace(torch.zeros(3), 1.0)],
    ],
)
def test_torch_answers_for_what_only_torch_knows(pair):
    p, q = pair()
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(p, q), rtol=0, atol=0)


def test_what_nobody_knows_says_how_to_estimate_it():
    for pair in ((D.Laplace(0.0, 1.0), D.Cauchy(0.0, 1.0)), (D.Cauchy(0.0, 1.0), Gaussian.standard(1))):
        with pytest.raises(NoClosedForm, match="kl_estimate"):
            kl_divergence(*pair)


class Bounded(Squashed):
    """Actions between bounds of its own."""

    def __init__(self, mean, log_std, bound):
        super().__init__(mean, log_std)
        self.bound = bound

    def log_prob(self, actions):
        return super().log_prob(actions / self.bound) - 3 * torch.tensor(self.bound).log()


def test_wrappers_with_other_settings_change_the_variables_differently():
    same, other = Bounded(MEANS[1], STDS[1].log(), 2.0), Bounded(MEANS[1], STDS[1].log(), 3.0)
    p = Bounded(MEANS[0], STDS[0].log(), 2.0)
    assert_close(kl_divergence(p, same), kl_divergence(*BASES))
    with pytest.raises(NoClosedForm, match="same type and settings"):
        kl_divergence(p, other)


def test_an_affine_image_by_factors_of_every_row_is_a_gaussian():
    factor = torch.rand(4, 3) + 0.5
    for base in (BASES[0], FULL_BASES[0]):
        image, g = as_gaussian(D.TransformedDistribution(base, D.AffineTransform(0.0, factor))), as_gaussian(base)
        assert_close(image.covariance_matrix, factor[:, :, None] * g.covariance_matrix * factor[:, None, :])


@pytest.mark.parametrize(
    "transform",
    [
        D.AbsTransform(),
        D.PowerTransform(2.0),
        D.PowerTransform(torch.tensor(3.0)),
        D.AffineTransform(0.0, 0.0),
        D.AffineTransform(0.0, torch.tensor(0.0)),
        D.ComposeTransform([D.ExpTransform(), D.AffineTransform(-1.0, 1.0), D.PowerTransform(2.0)]),
        D.ComposeTransform([D.ExpTransform(), D.PowerTransform(0.0)]),
        D.CatTransform([D.AffineTransform(0.0, 0.0)], lengths=[1]),
    ],
)
def test_what_maps_many_points_to_one_is_no_change_of_variables(transform):
    # |x| of N(1, 1/4) and of N(-1, 1/4) are alike; torch gives 8, the divergence of what is under them.
    p, q = (D.TransformedDistribution(D.Normal(torch.tensor([m]), torch.tensor([0.5])), transform) for m in (1.0, -1.0))
    with pytest.raises(NoClosedForm, match="one-to-one"):
        kl_divergence(p, q)
    with pytest.raises(NoClosedForm, match="one-to-one"):
        kl_divergence(D.Independent(p, 1), D.Independent(q, 1))
    with pytest.raises(NoClosedForm, match="one-to-one"):
        kl_estimate(p, q)
    softmax = [D.TransformedDistribution(D.Normal(torch.full((2,), m), 1.0), D.SoftmaxTransform()) for m in (0.0, 3.0)]
    with pytest.raises(NoClosedForm, match="one-to-one"):
        kl_divergence(*softmax)


def test_powers_of_positive_numbers_are_changes_of_variables():
    normals = [D.Normal(m, s) for m, s in zip(MEANS, STDS, strict=True)]
    for chain in (
        [D.ExpTransform(), D.PowerTransform(-2.0)],
        [D.SigmoidTransform(), D.PowerTransform(2.0), D.AffineTransform(1.0, -0.5), D.PowerTransform(3.0)],
    ):
        p, q = (D.TransformedDistribution(x, chain) for x in normals)
        assert_close(kl_divergence(p, q), kl_divergence(*normals), rtol=0, atol=0)
    uniform = D.TransformedDistribution(D.Uniform(0.0, 1.0), [D.ExpTransform().inv, D.AffineTransform(0.0, -1.0)])
    assert kullback.interop.changes.split(D.TransformedDistribution(uniform, D.ExpTransform().inv)) is not None
    for make in (D.Weibull, D.InverseGamma, D.Kumaraswamy):
        p, q = (make(torch.tensor(a), torch.tensor(b)) for a, b in ((2.0, 1.0), (3.0, 1.5)))
        assert kullback.interop.changes.split(p) is not None
        assert abs(float(kl_estimate(p, p, seed=0).value)) < 1e-6


class Truncated(D.Normal):
    """To positive numbers."""

    def log_prob(self, x):
        return super().log_prob(x) - torch.special.log_ndtr(self.loc / self.scale)


class TruncatedMultivariate(D.MultivariateNormal):
    def log_prob(self, x):
        return super().log_prob(x) + 1.0


def test_what_is_derived_from_a_normal_and_has_its_own_density_is_none():
    p, q = (Truncated(torch.tensor([m]), torch.tensor([1.0])) for m in (0.0, 1.0))
    two = [TruncatedMultivariate(torch.full((2,), m), torch.eye(2)) for m in (0.0, 1.0)]
    transformed = [D.TransformedDistribution(x, D.ExpTransform()) for x in (p, q)]
    for pair in ((p, q), (D.Independent(p, 1), D.Independent(q, 1)), two, transformed, (D.Normal(0.0, 1.0), q)):
        with pytest.raises(NoClosedForm, match="kl_estimate"):
            kl_divergence(*pair)
    with pytest.raises(NoClosedForm, match="log_prob of its own"):
        as_gaussian(p)


class Named(D.Normal):
    """What leaves the density as it is."""


def test_what_is_derived_from_a_normal_without_a_density_of_its_own_is_one():
    p, q = (Named(m, s) for m, s in zip(MEANS, STDS, strict=True))
    assert_close(kl_divergence(p, q), kl_divergence(D.Normal(MEANS[0], STDS[0]), D.Normal(MEANS[1], STDS[1])))


class Scaled(DiagGaussian):
    """Actions in units of their own, which a tensor says, or an object."""

    def __init__(self, mean, log_std, unit):
        super().__init__(mean, log_std)
        self.unit, self.drawn = unit, None

    def sample(self):
        self.drawn = self.distribution.sample() * self.factor()
        return self.drawn

    def factor(self):
        return self.unit if isinstance(self.unit, torch.Tensor) else self.unit.factor

    def log_prob(self, actions):
        return super().log_prob(actions / self.factor()) - 3 * self.factor().log()


@pytest.mark.parametrize("unit", [lambda k: torch.tensor(k), lambda k: SimpleNamespace(factor=torch.tensor(k))])
def test_wrappers_whose_settings_are_tensors_are_told_apart_by_them(unit):
    p, same, other = (Scaled(MEANS[i], STDS[i].log(), unit(k)) for i, k in ((0, 2.0), (1, 2.0), (1, 3.0)))
    p.sample()  # What was drawn last is no setting.
    last = p.drawn
    assert_close(kl_divergence(p, same), kl_divergence(*BASES), rtol=0, atol=0)
    assert p.drawn is last
    assert same.drawn is None
    with pytest.raises(NoClosedForm, match="same type and settings"):
        kl_divergence(p, other)


class Validating(DiagGaussian):
    """atanh of what lies outside of (-1, 1) is NaN, which a Normal that validates refuses."""

    def log_prob(self, actions):
        return super().log_prob(torch.atanh(actions)) - torch.log1p(-actions.square()).sum(-1)


def test_wrappers_whose_base_validates_are_opened():
    p, q = (Validating(m + 3.0, s.log()) for m, s in zip(MEANS, STDS, strict=True))
    assert_close(kl_divergence(p, q), kl_divergence(*BASES))
    with pytest.raises(NoClosedForm, match="changes the variables"):
        kl_divergence(p, BASES[1])
    q.log_prob = p.log_prob = lambda actions: None
    with pytest.raises(NoClosedForm, match="no tensor"):
        as_gaussian(p)


class Several:
    """As Stable-Baselines3's MultiCategorical."""

    def __init__(self, logits):
        self.distribution = [D.Categorical(logits=x) for x in logits]

    def log_prob(self, actions):
        return sum(d.log_prob(a) for d, a in zip(self.distribution, actions.unbind(-1), strict=True))


def test_lists_of_distributions_say_what_to_add_up():
    p, q = Several(torch.randn(2, 4)), Several(torch.randn(2, 4))
    with pytest.raises(NoClosedForm, match=r"zip\(p.distribution, q.distribution\)"):
        kl_divergence(p, q)
