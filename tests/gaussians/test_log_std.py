"""Logarithms of standard deviations: twice them are log-variances, to the last bit."""

import pytest
import torch
from truth.kinds import DIAGONAL, MAKE
from truth.records import FUNCTIONS

import kullback
from kullback import Gaussian, explain, kl_divergence

G = torch.Generator().manual_seed(0)
MEANS = [torch.randn(5, 3, generator=G) for _ in range(2)]
LOG_STDS = [0.2 * torch.randn(5, 3, generator=G) for _ in range(2)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("other", ["log_std", "standard", "number", *DIAGONAL])
def test_every_divergence_and_its_gradients_are_those_of_log_variances(name, other):
    def results(make, factor):
        leaves = [x.clone().requires_grad_() for x in (MEANS[0], LOG_STDS[0], MEANS[1], LOG_STDS[1].abs() + 0.8)]
        p = make(leaves[0], factor * leaves[1])
        if other == "standard":
            q = Gaussian.standard(3)
        elif other == "number":
            q = make(leaves[2], factor * 0.3)
        else:
            q = make(leaves[2], factor * leaves[3]) if other == "log_std" else MAKE[other](leaves[2], leaves[3])
        value = FUNCTIONS[name](p, q)
        return value, *torch.autograd.grad(value.sum(), leaves, materialize_grads=True)

    (value, *found), (want, *truths) = results(Gaussian.from_log_std, 1.0), results(Gaussian.from_logvar, 2.0)
    torch.testing.assert_close(value, want, rtol=0, atol=0)
    for got, truth in zip(found, truths, strict=True):
        # The parts of a gradient may be added up in another order.
        torch.testing.assert_close(got, truth, rtol=1e-6, atol=1e-6 * float(truth.abs().max()))


def test_it_is_kept_as_given():
    p = Gaussian.from_log_std(MEANS[0], LOG_STDS[0])
    assert "given as log_std" in repr(p)
    assert p.scale.value is LOG_STDS[0]
    torch.testing.assert_close(p.stddev, LOG_STDS[0].exp())
    torch.testing.assert_close(p.variance, (2 * LOG_STDS[0]).exp())
    torch.testing.assert_close(p.precision_matrix, (-2 * LOG_STDS[0]).exp().diag_embed())
    assert Gaussian.stack([p, p]).scale.parameterization == "logvar"
    assert float(Gaussian.from_log_std(0.0, 1.0, event_dims=0).stddev) == pytest.approx(2.718281828)


def test_a_std_that_is_no_number_is_an_ordinary_logarithm():
    mean, log_std = torch.zeros(1, 2), torch.tensor([[-110.0, -2.0]])
    value = kl_divergence(Gaussian.from_log_std(mean, log_std), Gaussian.from_log_std(mean, log_std + 0.1))
    # 2 (0.1 + exp(-0.2) / 2 - 1/2); a log std of -110 and its sum with 0.1 are rounded.
    assert float(value) == pytest.approx(0.018730753, rel=1e-4)
    with pytest.raises(ValueError, match="from_log_std got NaN"):
        Gaussian.from_log_std(mean, log_std * torch.nan)


def test_explain_recognizes_it_taken_for_a_log_variance():
    mu, log_std = MEANS[0], LOG_STDS[0]
    pasted = (-0.5 * (1 + log_std - mu**2 - log_std.exp())).sum(1).mean().item()
    for p in (Gaussian.from_log_std(mu, log_std), Gaussian.from_logvar(mu, 2 * log_std)):
        assert "logarithms of standard deviations are taken for log-variances" in str(
            explain(p, Gaussian.standard(3), value=pasted)
        )


def test_files_and_comparisons_take_it(tmp_path):
    import numpy as np

    arrays = [x.numpy() for x in (MEANS[0], LOG_STDS[0])]
    for name in ("log_std", "logstd", "log_sigma", "log_scale"):
        np.savez(tmp_path / "a.npz", mu=arrays[0], **{name: arrays[1]})
        comparison = kullback.compare(tmp_path / "a.npz", Gaussian.from_log_std(MEANS[1], LOG_STDS[1]))
        want = kl_divergence(Gaussian.from_log_std(*arrays), Gaussian.from_log_std(MEANS[1], LOG_STDS[1]))
        assert comparison.scalars()["kl_ab.mean"] == pytest.approx(float(want.mean()), rel=1e-6)
    pair = kullback.compare(arrays, (MEANS[1].numpy(), LOG_STDS[1].numpy()), scale="log_std")
    assert pair.scalars()["kl_ab.mean"] == comparison.scalars()["kl_ab.mean"]
