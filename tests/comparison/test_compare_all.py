"""compare_all: planted families of models, models that were trained, and what is refused."""

import functools
import itertools
import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import is_valid_linkage
from torch.testing import assert_close

from kullback import Gaussian, PosteriorFileError, ShapeError, compare, compare_all
from kullback.comparison.report.several_figures import draw

DIGITS = files("kullback") / "data" / "digits"
TRAINED = ("standard", "reseeded", "beta", "wide")


def turned(g, seed):
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
    return Gaussian.from_std(g.mean @ turn.mT, 0.1)


@functools.cache
def families():
    """Two models, each three times in other coordinates, as repeats of a training are."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 300, 4, generator=generator, dtype=torch.float64)
    x, y = Gaussian.from_std(one, 0.1), Gaussian.from_std(other, 0.1)
    models = {f"x{i}": turned(x, i) for i in range(3)} | {f"y{i}": turned(y, 3 + i) for i in range(3)}
    return models, compare_all(models)


@functools.cache
def trained():
    return compare_all([str(DIGITS / f"{name}.npz") for name in TRAINED])


def test_repeats_of_one_model_are_one_group():
    _, found = families()
    assert found.groups == [("x0", "x1", "x2"), ("y0", "y1", "y2")]
    assert is_valid_linkage(found.linkage)
    # Repeats are joined at hardly anything, the families at much more.
    assert (found.linkage[:4, 2] < 1e-3).all()
    assert found.linkage[4, 2] > 10
    text = found.findings()
    assert "6 models over 300 inputs" in text[0]
    assert "x0, x1 and x2; y0, y1 and y2" in text[2]
    assert "No better than chance" in text[3]
    assert "x0 and y0" in text[3]
    points, share = found.embedding
    assert share > 0.9
    within = torch.cdist(points[:3], points[:3]).max() + torch.cdist(points[3:], points[3:]).max()
    assert within < 0.25 * torch.cdist(points[:3], points[3:]).min()


def test_each_entry_is_that_of_its_own_comparison():
    models, found = families()
    for i, j in itertools.combinations(range(6), 2):
        a, b = (list(models)[k] for k in (i, j))
        alone = compare(models[a], models[b], aggregate=False).coordinates.best
        pair = found[a, b]
        assert found[b, a] is pair
        assert pair.names == (a, b)
        assert (found.aligned[i, j], found.aligned[j, i]) == (alone.aligned.mean, alone.aligned_reverse.mean)
        assert (found.unaligned[i, j], found.unaligned[j, i]) == (alone.unaligned.mean, alone.unaligned_reverse.mean)
        assert found.distances[i, j] == found.distances[j, i] == 0.5 * (found.aligned[i, j] + found.aligned[j, i])
    assert not found.distances.diagonal().any()


def test_squared_distances_in_the_plane_are_those_of_points_that_lie_in_one():
    # Of equal isotropic covariances the divergence is half a squared distance, so that two dimensions suffice.
    places = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [5.0, 5.0]], dtype=torch.float64)
    found = compare_all([Gaussian.from_std(place.expand(6, 2), 1.0) for place in places], align=())
    points, share = found.embedding
    assert share == pytest.approx(1.0, rel=1e-9)
    assert_close(torch.cdist(points, points).square(), 0.5 * torch.cdist(places, places).square())
    assert_close(found.distances, 0.5 * torch.cdist(places, places).square())


def test_the_story_that_training_made_true():
    found = trained()
    assert found.names == TRAINED
    assert found.groups == [("standard", "reseeded", "wide"), ("beta",)]
    assert (found.aligned < found.unaligned)[~torch.eye(4, dtype=torch.bool)].all()
    # A beta-VAE is wider, so that others are nearer to it than it is to them.
    assert (found.aligned[[0, 1, 3], 2] < 0.3 * found.aligned[2, [0, 1, 3]]).all()
    assert found["standard", "beta"].names == ("standard", "beta")


def test_everything_is_in_the_dictionary_and_in_the_text():
    found = trained()
    data = json.loads(found.to_json())
    assert data["schema"] == 1
    assert data["names"] == list(TRAINED)
    assert np.array(data["aligned"]) == pytest.approx(found.aligned.numpy())
    assert len(data["pairs"]) == 6
    assert data["pairs"][0] == found["standard", "reseeded"].to_dict()
    lines = dict(line.split(": ", 1) for line in str(found).splitlines())
    assert float(lines["aligned.3.1"]) == pytest.approx(float(found.aligned[2, 0]))
    assert lines["group_2"] == "beta"
    assert repr(found) == "Comparisons(standard, reseeded, beta, wide)"


def test_names_of_files_in_folders_of_arrays_and_of_mappings(tmp_path):
    mean = np.random.default_rng(0).standard_normal((30, 2))
    paths = []
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "posteriors.npz")
        np.savez(paths[-1], mu=mean, std=np.ones((30, 2)), id=np.arange(30))
    options = {"align": (), "aggregate": False}
    assert compare_all(paths, **options).names == ("one/posteriors", "two/posteriors", "three/posteriors")
    arrays = (mean, np.ones((30, 2)))
    assert compare_all([arrays, arrays, paths[0]], scale="std", **options).names == ("A", "B", "C")
    assert compare_all({"x": arrays, "y": arrays}, scale="std", **options).names == ("x", "y")
    assert compare_all([arrays] * 2, names=("x", "y"), scale="std", **options).names == ("x", "y")


def test_rows_of_files_are_joined_by_their_ids(tmp_path):
    rng = np.random.default_rng(0)
    mean, std = rng.standard_normal((30, 2)), 0.1 + rng.random((30, 2))
    for i in range(3):
        order = rng.permutation(30)
        np.savez(tmp_path / f"{i}.npz", mu=mean[order], std=std[order], id=order)
    found = compare_all([tmp_path / f"{i}.npz" for i in range(3)], align=())
    assert not found.unaligned.any()
    np.savez(tmp_path / "3.npz", mu=mean, std=std, id=np.arange(30) + 1)
    with pytest.raises(PosteriorFileError, match="lacks 1 of the ids"):
        compare_all([tmp_path / f"{i}.npz" for i in (0, 3)])


def test_images_of_one_file_serve_all_pairs(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    for i in range(4):
        order = rng.permutation(20)
        columns = {"image": images[order]} if i == 2 else {}
        np.savez(tmp_path / f"{i}.npz", mu=rng.standard_normal((20, 2)), std=np.ones((20, 2)), id=order, **columns)
    for by_ids in (True, False):
        models = [tmp_path / f"{i}.npz" for i in range(4)]
        if not by_ids:
            models = [(rng.standard_normal((20, 2)), np.ones((20, 2))) for _ in range(3)]
        found = compare_all(models, scale="std", images=None if by_ids else images, align=())
        for comparison in found.pairs.values():
            assert comparison.images
            for row, image in comparison.images.items():
                np.testing.assert_array_equal(image, images[row])


def test_progress_reaches_the_end_and_never_returns():
    steps = []
    models = [Gaussian.from_std(torch.randn(20, 2, dtype=torch.float64), 1.0) for _ in range(3)]
    compare_all(models, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)
    assert len({total for _, total in steps}) == 1


def test_what_is_not_finite_leaves_out_what_needs_distances():
    wide = Gaussian.from_logvar(torch.zeros(9, 2), 800.0 * torch.ones(9, 2))
    narrow = Gaussian.from_logvar(torch.ones(9, 2), -800.0 * torch.ones(9, 2))
    found = compare_all([wide, narrow, wide], align=())
    assert found.linkage is None
    assert found.embedding is None
    assert found.groups == [("A",), ("B",), ("C",)]
    assert draw(found) == {}
    assert json.loads(found.to_json())["unaligned"][0][1] is None
    assert any("No alignment was asked for" in finding for finding in found.findings())
    assert "infinity" in found._repr_html_()


P = Gaussian.from_std(torch.zeros(5, 3), 1.0)


@pytest.mark.parametrize(
    ("models", "options", "error", "says"),
    [
        ([P], {}, ValueError, "two models or more"),
        ("model.npz", {}, ValueError, "two models or more"),
        ([P, P], {"names": ("x", "x")}, ValueError, "2 different names"),
        ([P, P], {"names": "xy"}, ValueError, "2 different names"),
        ([P, P], {"names": ("x", "y", "z")}, ValueError, "2 different names"),
        ({"x": P, "y": P}, {"names": ("x", "y")}, ValueError, "omit names"),
        ([P, Gaussian.standard(3)], {}, ShapeError, r"models\[1\] has batch shape"),
        ([P, P, Gaussian.from_std(torch.zeros(4, 3), 1.0)], {}, ShapeError, r"models\[2\] has 4 rows"),
        ([P, torch.zeros(5, 3)], {}, TypeError, "samples"),
    ],
)
def test_what_cannot_be_compared_says_why(models, options, error, says):
    with pytest.raises(error, match=says):
        compare_all(models, **options)


def test_two_models_are_a_pair():
    a, b = (Gaussian.from_std(torch.randn(20, 2, dtype=torch.float64), 1.0) for _ in range(2))
    found = compare_all([a, b])
    assert found["A", "B"].scalars() == compare(a, b, aggregate=False).scalars()
    with pytest.raises(KeyError, match="two of the names A, B"):
        found["A", "C"]
    assert len(found.figures()) == 2
