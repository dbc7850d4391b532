"""The objectives of an alignment: one number however it is computed, its derivatives, and moments that add up."""

import functools
import itertools

import pytest
import torch
from torch.testing import assert_close

from kullback import Gaussian, kl_divergence
from kullback.alignment import objectives
from kullback.alignment.moments import Moments
from kullback.alignment.objectives import FromDiagonalRows, FromMoments, FromRows, objective
from kullback.alignment.rows import Rows

D = 4


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    p_mean, q_mean = 3 + torch.randn(2, 60, D, generator=g, dtype=torch.float64)
    p_std, q_std = 0.1 + torch.rand(2, 60, D, generator=g, dtype=torch.float64)
    return Gaussian.from_std(p_mean, p_std), Gaussian.from_std(q_mean, q_std)


@pytest.fixture
def maps():
    g = torch.Generator().manual_seed(1)
    return [(torch.randn(D, D, generator=g).double(), torch.randn(D, generator=g).double()) for _ in range(3)]


def forms(p, q):
    return [FromMoments(Moments.of(p, q)), FromDiagonalRows(p, q), FromRows(p, q)]


def test_every_form_is_the_mean_divergence_but_for_a_constant_and_the_determinant(pair, maps):
    p, q = pair
    for form in forms(p, q):
        rests = []
        for matrix, shift in maps:
            offset = shift + matrix @ form.origin_p - form.origin_q
            value = form.value_and_gradients(matrix, offset)[0]
            want = kl_divergence(p.affine(matrix, shift), q).mean() + torch.linalg.slogdet(matrix)[1]
            rests.append(value - want)
        assert_close(torch.stack(rests), rests[0].expand(3), rtol=1e-9, atol=1e-9)


def test_the_derivatives_are_those_of_the_value(pair, maps):
    h = 1e-6
    for form in forms(*pair):
        matrix, offset = maps[0]
        _, by_matrix, by_offset = form.value_and_gradients(matrix, offset)
        linear = form.linear(matrix)[1]
        for i in range(D):
            unit = h * torch.eye(D, dtype=torch.float64)[i]
            low, high = (form.value_and_gradients(matrix, offset + s * unit)[0] for s in (-1, 1))
            assert float(high - low) / (2 * h) == pytest.approx(float(by_offset[i]), rel=1e-6)
            for j in range(D):
                step = torch.zeros_like(matrix)
                step[i, j] = h
                low, high = (form.value_and_gradients(matrix + s * step, offset)[0] for s in (-1, 1))
                assert float(high - low) / (2 * h) == pytest.approx(float(by_matrix[i, j]), rel=1e-6, abs=1e-6)
                low, high = (form.linear(matrix + s * step)[0] for s in (-1, 1))
                assert float(high - low) / (2 * h) == pytest.approx(float(linear[i, j]), rel=1e-6, abs=1e-6)


def test_all_forms_agree_on_curvatures_and_scales(pair):
    first, *others = forms(*pair)
    for form in others:
        assert_close(form.curvatures(), first.curvatures())
        assert_close(form.scales()[1], first.scales()[1])
        # The moments weight each row by its precisions: the covariance is of the same size, not the same.
        assert_close(form.scales()[0].diagonal(), first.scales()[0].diagonal(), rtol=0.5, atol=0)


@pytest.mark.parametrize("full", [False, True])
def test_moments_of_seven_parts_are_those_of_the_whole(pair, full):
    p, q = pair
    if full:
        p = p.affine(torch.eye(D, dtype=torch.float64) + 0.3)
    whole = Moments.of(p, q)
    cuts = [0, 1, 5, 6, 20, 33, 50, 60]
    parts = [Moments.of(p[a:b], q[a:b]) for a, b in itertools.pairwise(cuts)]
    for order in (parts, parts[::-1]):
        merged = functools.reduce(Moments.merge, order)._from_origin(whole.origin_p, whole.origin_q)
        assert merged.count == 60
        assert_close(merged.second, whole.second, rtol=1e-10, atol=1e-10)
        assert_close(merged.linear, whole.linear, rtol=1e-10, atol=1e-10)


def test_means_far_from_zero_lose_no_digits(pair, maps):
    p, q = pair
    far = 1e6
    moved = [Gaussian.from_std(g.mean + far, g.scale.value) for g in pair]
    for matrix, offset in maps:
        want = FromMoments(Moments.of(p, q)).value_and_gradients(matrix, offset)[0]
        assert_close(FromMoments(Moments.of(*moved)).value_and_gradients(matrix, offset)[0], want, rtol=1e-7, atol=0)


def test_of_many_rows_or_dimensions_as_many_rows_are_used_as_suffice(pair, monkeypatch):
    rows = [Rows(g, torch.arange(60)) for g in pair]
    assert isinstance(objective(*rows), FromMoments)
    assert objective(*rows).count == 60
    monkeypatch.setattr(objectives, "_MAX_PRODUCTS", 0)
    assert objective(Rows(pair[0], torch.arange(60).repeat(2)), Rows(pair[1], torch.arange(60).repeat(2))).count == 64
    monkeypatch.setattr(objectives, "_MAX_MOMENTS", 3)
    assert isinstance(objective(*rows), FromDiagonalRows)
    assert objective(*rows).count == 32
    full = Rows(pair[1].affine(torch.eye(D, dtype=torch.float64)), torch.arange(60))
    assert isinstance(objective(rows[0], full), FromRows)
