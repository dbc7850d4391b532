"""The images of the inputs that differ most: from arrays, from columns of files, and as a page shows them."""

import base64
import io

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from kullback import Gaussian, ShapeError, compare
from kullback.comparison.images import as_image
from kullback.comparison.report.images import addresses

RNG = np.random.default_rng(0)
N = 12
MEAN = RNG.standard_normal((N, 2))
IMAGES = RNG.integers(0, 256, (N, 5, 6)).astype(np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def pixels_of(address):
    kind, content = address.split(";base64,")
    assert kind == "data:image/png"
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(content)), format="png")


def pair():
    return Gaussian.from_std(MEAN, 1.0), Gaussian.from_std(MEAN + np.arange(N)[:, None], 1.0)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((4, 5), (4, 5)), ((4, 5, 1), (4, 5)), ((1, 4, 5), (4, 5)), ((4, 5, 3), (4, 5, 3)), ((3, 4, 5), (4, 5, 3)),
     ((4, 5, 4), (4, 5, 4)), ((64,), (8, 8)), ((3 * 64,), (8, 8, 3)), ((5, 6, 2), None), ((65,), None), ((), None),
     ((2, 2, 2, 2), None), ((0, 4), None), ((1,), None)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [np.array, torch.from_numpy])
def test_arrays_of_many_shapes_are_images(shape, shown, kind):
    x = RNG.random(shape)
    image = as_image(kind(np.asarray(x)))
    assert (None if image is None else image.shape) == shown
    if shape == (3, 4, 5):
        np.testing.assert_array_equal(image[..., 1], x[1])
    if shape == (192,):
        np.testing.assert_array_equal(image[..., 2], x[128:].reshape(8, 8))


@pytest.mark.parametrize(
    "other", ["0001.png", b"text", None, 7, {"path": "x.png"}, np.array(["a"]), np.datetime64("now")]
)
def test_anything_else_is_none(other):
    assert as_image(other) is None


def test_encoded_files_are_kept_as_they_are():
    encoded = png(IMAGES[0])
    assert as_image(encoded) == as_image({"bytes": encoded, "path": None}) == encoded
    assert addresses({0: encoded})[0] == f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def test_the_numbers_of_all_images_share_one_scale():
    shown = addresses({"dark": np.array([[0.0, 4.0]]), "light": np.array([[8.0, 16.0]])})
    np.testing.assert_allclose(pixels_of(shown["dark"])[..., 0], [[0, 0.25]], atol=0.01)
    np.testing.assert_allclose(pixels_of(shown["light"])[..., 0], [[0.5, 1]], atol=0.01)
    centred = addresses({0: np.array([[-1.0, 0.0, 1.0]])})[0]
    np.testing.assert_allclose(pixels_of(centred)[..., 0], [[0, 0.5, 1]], atol=0.01)
    flat = addresses({0: np.zeros((2, 2))})[0]
    assert not pixels_of(flat)[..., :3].any()
    odd = addresses({0: as_image(np.array([[np.nan, np.inf], [1.0, 0.0]]))})[0]
    np.testing.assert_allclose(pixels_of(odd)[..., 0], [[0, 0], [1, 0]], atol=0.01)


@pytest.mark.parametrize("top", [1, 3])
def test_images_in_memory_are_those_of_the_inputs_that_are_listed(top):
    comparison = compare(*pair(), images=IMAGES, top=top, aggregate=False)
    assert comparison.summary.divergences["ab"].largest.ids == tuple(range(N - 1, N - 1 - top, -1))
    assert N - 1 in comparison.images
    assert len(comparison.images) <= 3 * top
    for row, image in comparison.images.items():
        np.testing.assert_array_equal(image, IMAGES[row])


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_images_of_either_file_follow_its_ids(side, suffix, tmp_path):
    ids, order = np.arange(N) + 100, RNG.permutation(N)
    p, q = ({"mu": g.mean, "std": np.ones((N, 2)), "id": ids} for g in pair())
    q = {name: column[order] for name, column in q.items()}
    if side == "a":
        p["image"] = IMAGES
    else:
        q["image"] = IMAGES[order]
    for name, columns in (("a", p), ("b", q)):
        if suffix == "npz":
            np.savez(tmp_path / f"{name}.npz", **columns)
            continue
        table = {key: np.asarray(column).tolist() for key, column in columns.items()}
        if "image" in table:
            table["image"] = [png(image) for image in columns["image"]]
        pyarrow.parquet.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    comparison = compare(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}", top=4, aggregate=False)
    assert set(comparison.images) >= set(comparison.summary.divergences["ab"].largest.ids)
    for row, image in comparison.images.items():
        want = IMAGES[row - 100]
        np.testing.assert_array_equal(image, want if suffix == "npz" else png(want))
    comparison.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count('<img src="data:image/png;base64,') >= 4
    assert 'alt="input 111"' in text


def test_a_column_of_names_is_no_image(tmp_path):
    for name, g in zip("ab", pair(), strict=True):
        np.savez(tmp_path / f"{name}.npz", mu=g.mean, std=np.ones((N, 2)), image=[f"{i}.png" for i in range(N)])
    assert compare(tmp_path / "a.npz", tmp_path / "b.npz", aggregate=False).images == {}


class Bomb:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    "column", [np.array([Bomb()] * N), IMAGES[:5], np.float64(3.0)], ids=["pickled", "short", "one"]
)
def test_a_column_that_is_no_column_of_images_is_no_reason_to_fail(column, tmp_path, capfd):
    for name, g in zip("ab", pair(), strict=True):
        np.savez(tmp_path / f"{name}.npz", mu=g.mean, std=np.ones((N, 2)), image=column)
    assert compare(tmp_path / "a.npz", tmp_path / "b.npz", aggregate=False).images == {}
    assert "unpickled" not in capfd.readouterr().out


@pytest.mark.parametrize("images", [IMAGES[:5], np.zeros(N), np.zeros((N, 2, 2, 2, 2)), 3.0])
def test_what_is_no_array_of_images_says_so(images):
    with pytest.raises(ShapeError, match="one image for each of 12 rows"):
        compare(*pair(), images=images)


@pytest.mark.parametrize("top", [0, -1, 2.5])
def test_top_is_a_positive_number_of_inputs(top):
    with pytest.raises(ValueError, match="top is how many"):
        compare(*pair(), top=top)
