"""Real processes: metrics over rows that are divided among them, and divergences of distributed tensors."""

import pytest
import torch
from torch.testing import assert_close
from truth import data_parallel as work
from truth.workers import together

from kullback import Gaussian, hellinger, jeffreys, kl_divergence, kl_per_dimension, pairwise, wasserstein2
from kullback.losses import balanced_kl, free_bits, kl_loss, sum_kl


def all_rows_at_once():
    metrics = work.build()
    metrics.update(p=Gaussian.from_logvar(*work.parameters()), q=work.STANDARD)
    return work.results(metrics)


def check(found, want):
    assert found.keys() == want.keys()
    for name in want.keys() - {"rows"}:
        assert_close(found[name], want[name], rtol=1e-12, atol=1e-12)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of two processes found."""
    return together("truth.data_parallel", "everything", tmp_path_factory.mktemp("processes"))


@pytest.fixture
def distributed(processes):
    return [found["distributed_tensors"] for found in processes]


def test_the_value_of_uneven_processes_is_that_of_all_rows_in_one(processes):
    want = all_rows_at_once()
    for rank, rows in ((0, 12), (1, 11)):
        assert sum(map(len, work.batches(rank, 2))) == rows
        for epoch in processes[rank]["epochs"]:
            check(epoch, want)
            # Asking for the value has left each with its own rows.
            assert epoch["rows"] == rows


def test_a_process_without_rows(processes):
    found = [each["one_rank_has_no_rows"] for each in processes]
    for each in found:
        check(each, all_rows_at_once())
    assert [each["rows"] for each in found] == [work.ROWS, 0]


def test_no_rows_in_any_process_are_nan(processes):
    for found in processes:
        assert all(x.isnan() for x in found["no_rank_has_rows"].values())


def test_values_of_each_step_and_checkpoints(processes):
    want, step = all_rows_at_once(), work.build()
    step.update(p=Gaussian.from_logvar(*work.parameters())[[*range(5), *range(12, 17)]], q=work.STANDARD)
    for found in processes:
        each = found["each_step"]
        check(each["all"], {name: want[name] for name in each["all"]})
        check(each["step"], step.compute())
        assert_close(each["resumed"], want["rate"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("placement", ["rows", "dimensions", "replicated"])
def test_divergences_of_distributed_tensors_are_those_of_plain_ones(distributed, placement):
    leaves = [x.requires_grad_() for x in work.parameters(5)]
    g, prior = Gaussian.from_logvar(*leaves), work.STANDARD
    divergences = (kl_divergence, kl_per_dimension, jeffreys, hellinger, wasserstein2)
    want = {f.__name__: f(g, prior) for f in divergences}
    want["both"] = want["kl_divergence"]
    want |= {"pairwise": pairwise(g, g), "kl_loss": kl_loss(g, prior), "balanced_kl": balanced_kl(g, prior)}
    want["sum_kl"] = sum_kl({"weight": g}).total
    want["free_bits"] = free_bits(g, prior, per_dimension=0.5)
    want["grad mean"], want["grad logvar"] = torch.autograd.grad(want["kl_loss"], leaves)
    for found in distributed:
        assert found[placement].keys() == want.keys()
        for name, x in want.items():
            assert_close(found[placement][name], x.detach(), rtol=1e-12, atol=1e-12)


def test_sums_that_are_pending_are_taken_first(distributed):
    want = kl_divergence(Gaussian.from_logvar(*work.parameters(5)), work.STANDARD)
    for found in distributed:
        assert_close(found["partial"], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("mixed", "TypeError: p and q mix a DTensor of shape"),
        ("mixed in one", "distribute_tensor, or take to_local"),
        ("full", "only diagonal Gaussians are compared"),
        ("metric", "GaussianKL counts the rows of this process"),
        ("sample", "MutualInformation counts the rows of this process"),
        ("units", "ActiveUnits counts the rows of this process"),
    ],
)
def test_what_would_be_ambiguous_is_refused(distributed, case, message):
    for found in distributed:
        assert message in found["refused"][case]
        assert "\n" not in found["refused"][case]
