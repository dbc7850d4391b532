"""align: planted maps are found, its numbers are those of kl_divergence, and what cannot be aligned says why."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kullback import Gaussian, Mixture, ShapeError, align, kl_divergence
from kullback.alignment.align import Aligner
from kullback.alignment.fits import KINDS

ROWS = 1200


def planted(d, seed=0):
    """Means, scales that differ by coordinate, and one scale for each row."""
    g = torch.Generator().manual_seed(seed)
    mean = torch.randn(ROWS, d, generator=g, dtype=torch.float64)
    std = 0.1 + 0.5 * torch.rand(ROWS, d, generator=g, dtype=torch.float64)
    return g, mean, std, std[:, :1].expand(ROWS, d)


def orthogonal(d, sign, g):
    matrix = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64))[0]
    if sign * torch.linalg.det(matrix) < 0:
        matrix[0] *= -1
    return matrix


@pytest.mark.parametrize("d", [1, 2, 16, 128])
def test_a_planted_signed_permutation_is_found_exactly(d):
    g, mean, std, _ = planted(d)
    order, signs = torch.randperm(d, generator=g), torch.randn(d, generator=g, dtype=torch.float64).sign()
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean[:, order] * signs, std[:, order])
    alignment = align(p, q, "permutation")
    assert_close(alignment.matrix, torch.eye(d, dtype=torch.float64)[order] * signs[:, None], rtol=0, atol=0)
    assert float(alignment) < 1e-6
    assert float(alignment.aligned_reverse) < 1e-6
    assert alignment.apply(p).scale.is_diagonal
    assert d == 1 or float(alignment.unaligned) > 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("d", [2, 16, 128])
def test_a_planted_rotation_of_isotropic_posteriors_is_found(d, sign):
    g, mean, _, std = planted(d)
    matrix = orthogonal(d, sign, g)
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean @ matrix.mT, std)
    alignment = align(p, q)
    assert_close(alignment.matrix, matrix, rtol=0, atol=1e-4)
    assert float(alignment) < 1e-3 * d
    moved = align(p, Gaussian.from_std(mean @ matrix.mT + 100.0, std), "rotation+shift")
    assert_close(moved.matrix, matrix, rtol=0, atol=1e-4)
    assert_close(moved.shift, torch.full((d,), 100.0, dtype=torch.float64), rtol=1e-4, atol=0)
    assert float(moved) < 1e-3 * d


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("d", [2, 16, 128])
def test_a_planted_affine_map_is_found(d, sign):
    g, mean, _, std = planted(d)
    stretch = 0.3 + 3 * torch.rand(d, generator=g, dtype=torch.float64)
    matrix = stretch[:, None] * orthogonal(d, sign, g)
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean @ matrix.mT - 2.0, std * stretch)
    alignment = align(p, q, "affine")
    assert_close(alignment.matrix, matrix, rtol=0, atol=1e-3)
    assert float(alignment) < 1e-3 * d


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 5])
def test_full_covariances_of_either_side_are_aligned(kind, d):
    g, mean, std, _ = planted(d)
    p = Gaussian.from_std(mean[:300], std[:300])
    matrix = orthogonal(d, -1, g) if "rotation" in kind else torch.eye(d, dtype=torch.float64).flip(0)
    shift = torch.ones(d, dtype=torch.float64) * (kind not in ("permutation", "rotation"))
    if kind == "affine":
        matrix = matrix + 0.5 * torch.randn(d, d, generator=g, dtype=torch.float64)
    q = p.affine(matrix, shift)
    assert not q.scale.is_diagonal
    alignment = align(p, q, kind)
    assert float(alignment) < 1e-6
    assert_close(alignment.matrix, matrix, rtol=0, atol=1e-3)
    back = align(q, p, kind)
    assert float(back) < 1e-6
    low_rank = Gaussian.from_low_rank(mean[:300], std[:300, :, None], std[:300].square())
    assert float(align(low_rank, low_rank.affine(matrix, shift), kind)) < 1e-6


def test_every_number_is_the_mean_divergence_of_the_rows_held_out():
    g, mean, std, _ = planted(3)
    p = Gaussian.from_std(mean, std)
    q = Gaussian.from_std(mean.roll(1, 1) + 0.3 * torch.randn(ROWS, 3, generator=g, dtype=torch.float64), std + 0.1)
    generator = torch.Generator().manual_seed(5)
    rows = torch.randperm(ROWS, generator=generator).tensor_split(2)[1]
    for kind in KINDS:
        alignment = align(p, q, kind, seed=5)
        pushed, target = alignment.apply(p)[rows], q[rows]
        for name, values in {
            "unaligned": kl_divergence(p[rows], target),
            "aligned": kl_divergence(pushed, target),
            "unaligned_reverse": kl_divergence(target, p[rows]),
            "aligned_reverse": kl_divergence(target, pushed),
        }.items():
            mean_divergence = getattr(alignment, name)
            assert float(mean_divergence) == pytest.approx(float(values.mean()), rel=1e-9), (kind, name)
            assert mean_divergence.standard_error == pytest.approx(float(values.std()) / len(rows) ** 0.5, rel=1e-8)
        assert alignment.rows_fitted + alignment.aligned.rows == ROWS


def test_larger_groups_of_maps_fit_no_worse_and_all_beat_chance():
    g, mean, std, _ = planted(6)
    noise = 0.2 * torch.randn(ROWS, 6, generator=g, dtype=torch.float64)
    q = Gaussian.from_std((mean @ orthogonal(6, 1, g).mT + noise) * 1.5 + 1, std)
    results = [align(Gaussian.from_std(mean, std), q, kind) for kind in KINDS]
    values = [float(results[0].unaligned), *map(float, results)]
    assert values == sorted(values, reverse=True)
    assert all(result.beats_chance for result in results[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_unrelated_posteriors_are_no_better_than_chance(kind):
    _, mean, std, _ = planted(8)
    _, other, other_std, _ = planted(8, seed=1)
    alignment = align(Gaussian.from_std(mean, std), Gaussian.from_std(other, other_std), kind)
    assert float(alignment) == pytest.approx(float(alignment.chance), rel=0.1)
    assert not alignment.beats_chance


def test_collapsed_coordinates_do_no_harm():
    g, mean, _, std = planted(4)
    matrix = orthogonal(4, 1, g)
    nothing, one = 1e-3 * torch.randn(2, ROWS, 3, generator=g, dtype=torch.float64), torch.ones(ROWS, 3)
    p = Gaussian.from_std(torch.cat([mean, nothing[0]], 1), torch.cat([std, one], 1))
    q = Gaussian.from_std(torch.cat([nothing[1], mean @ matrix.mT], 1), torch.cat([one, std], 1))
    for kind in ("rotation", "rotation+shift", "affine"):
        assert float(align(p, q, kind)) < 1e-3


def test_image_latents_numpy_and_mixtures_are_taken_as_they_are():
    _, mean, std, _ = planted(6)
    shape = (ROWS, 2, 3)
    p = Gaussian.from_std(mean.reshape(shape), std.reshape(shape), event_dims=2)
    q = Gaussian.from_std(mean.flip(1).reshape(shape), std.flip(1).reshape(shape), event_dims=2)
    alignment = align(p, q, "permutation")
    assert_close(kl_divergence(alignment.apply(p), q), torch.zeros(ROWS, dtype=torch.float64))
    moved = alignment.apply(Mixture.aggregate(p))
    assert isinstance(moved, Mixture)
    assert_close(moved.mean.flatten(), mean.mean(0).flip(0))
    rotation = align(p, q)
    assert_close(rotation.apply(p).mean, mean @ rotation.matrix.mT)
    numpy = align(Gaussian.from_std(mean.numpy(), std.numpy()), Gaussian.from_std(mean.numpy(), std.numpy()))
    assert isinstance(numpy.matrix, np.ndarray)
    assert isinstance(numpy.shift, np.ndarray)
    assert isinstance(numpy.apply(Gaussian.from_std(mean.numpy(), std.numpy())).mean, torch.Tensor)
    single = align(*(Gaussian.from_std(mean.float(), std.float()) for _ in range(2)))
    assert single.apply(Gaussian.from_std(mean.float(), std.float())).dtype == torch.float32
    assert kl_divergence(single.apply(Gaussian.standard(6)), Gaussian.standard(6)) == pytest.approx(0, abs=1e-12)


def test_seeds_determine_everything_and_the_callers_random_numbers_are_left_alone():
    _, mean, std, _ = planted(3)
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean.flip(1) + 0.1, std)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = align(p, q, seed=3), align(p, q, seed=3)
    assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    assert first.to_dict() == second.to_dict()
    json.dumps(first.to_dict(), allow_nan=False)
    assert align(p, q, seed=4).aligned != first.aligned
    with torch.device("meta"), torch.inference_mode():
        again = align(p, q, seed=3)
    assert float(again) == pytest.approx(float(first), rel=1e-9)
    assert_close(again.matrix.clone(), first.matrix, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [4, 5, 20])
def test_no_row_is_its_own_random_partner(rows):
    p = Gaussian.from_std(torch.zeros(rows, 2), 1.0)
    for seed in range(10):
        aligner = Aligner(p, p, seed=seed)
        assert sorted(aligner.q.index.tolist()) == sorted(aligner.partners.index.tolist())
        assert not (aligner.q.index == aligner.partners.index).any()


def test_posteriors_far_narrower_than_their_spread_are_aligned():
    _, mean, _, _ = planted(3)
    line = mean[:, :1].expand(ROWS, 3)
    # Where float64 does not resolve the widths beside the spread, an affine map is no longer found to the last nat.
    degenerate = align(Gaussian.from_std(line, 2e-9), Gaussian.from_std(-line, 2e-9), "affine")
    assert float(degenerate) < 1e-9 * float(degenerate.unaligned)
    matrix = orthogonal(3, 1, torch.Generator().manual_seed(0))
    narrow = Gaussian.from_std(mean, 1e-7), Gaussian.from_std(mean @ matrix.mT, 1e-7)
    assert float(align(*narrow, "rotation+shift")) < 1e-3


def test_fewer_rows_than_dimensions_are_said():
    _, mean, std, _ = planted(16)
    few = align(Gaussian.from_std(mean[:20], std[:20]), Gaussian.from_std(mean[:20], std[:20]))
    assert "10 rows" in few.warnings[0]
    assert not align(Gaussian.from_std(mean, std), Gaussian.from_std(mean, std)).warnings


@pytest.mark.parametrize(
    ("p", "q", "kind", "error", "says"),
    [
        ((9, 2), (9, 3), "rotation", ShapeError, "equal events"),
        ((9, 2), (8, 2), "rotation", ShapeError, "equal events"),
        ((3, 2), (3, 2), "rotation", ShapeError, "at least 4"),
        ((9, 513), (9, 513), "rotation", ShapeError, "at most 512"),
        ((9, 2), (9, 2), "reflection", ValueError, "permutation, rotation, rotation\\+shift, affine"),
    ],
)
def test_what_cannot_be_aligned_says_why(p, q, kind, error, says):
    with pytest.raises(error, match=says):
        align(Gaussian.from_std(torch.zeros(p), 1.0), Gaussian.from_std(torch.zeros(q), 1.0), kind)


def test_numbers_that_are_not_finite_are_refused_and_other_events_too():
    mean = torch.zeros(9, 2)
    p = Gaussian.from_std(mean, 1.0)
    mean = mean.clone()
    mean[3, 1] = torch.nan
    with pytest.raises(ValueError, match="q has a mean or a scale that is not finite"):
        align(p, Gaussian.from_std(mean, 1.0, validate=False))
    alignment = align(p, p)
    with pytest.raises(ShapeError, match="2 coordinates"):
        alignment.apply(Gaussian.standard(3))
    with pytest.raises(TypeError, match="apply takes"):
        alignment.apply(3.0)
