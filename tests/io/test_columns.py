"""What columns hold, by their names; no file is read."""

from typing import get_args

import pytest

from kullback import PosteriorFileError
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.columns import NAMES, SCALE_KINDS, SCALES, ModelColumns, id_column, models, role, scale_column

ROLES = {
    "mean": ["mu", "Mean", "means", "loc", "z_mean", "encoder.mu", "q/loc", "mu_1", "mu1", "scvi_latent_qzm", "qz_m"],
    "logvar": ["logvar", "log_var", "log-vars", "logvariance", "log_variance", "z_log_var", "LogVar", "encoder.logvar"],
    "std": ["std", "stds", "stddev", "StdDev", "scale", "q.std", "std_2"],
    "variance": ["var", "vars", "variance", "variances", "posterior/var", "scvi_latent_qzv", "qz_v"],
    "sigma": ["sigma", "sigmas", "z_sigma"],
    "id": ["id", "ids", "row_id", "rowid", "key", "index", "image_id"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in ROLES.items() for name in names])
def test_names_people_use_have_the_role_that_they_say(kind, name):
    assert role(name)[0] == kind


@pytest.mark.parametrize(
    "name", ["mug", "scaled", "label", "mutual", "variant", "idea", "latents", "z", "", "mu2logvarx"]
)
def test_a_role_is_a_whole_word(name):
    assert role(name) is None


@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("mu", "mean", ""),
        ("mu_1", "mean", "1"),
        ("mu1", "mean", "1"),
        ("z_log_var", "logvar", "z"),
        ("encoder.logvar", "logvar", "encoder"),
        ("mean_teacher.mu", "mean", "mean_teacher"),
        ("scale_model/std", "std", "scale_model"),
        ("Plain_Mu", "mean", "Plain"),
    ],
)
def test_the_last_word_is_the_role_and_the_rest_the_label(name, kind, label):
    assert role(name) == (kind, label)


@pytest.mark.parametrize(
    ("name", "kind"), [("std_dev", "std"), ("std-dev", "std"), ("sigma_sq", "sigma"), ("sigma_squared", "sigma")]
)
def test_a_role_of_two_words_leaves_no_label(name, kind):
    assert role(name) == (kind, "")


def test_models_are_found_in_the_order_of_the_file():
    found = models(["id", "std_b", "mu_b", "other", "logvar_a", "mu_a", "std_a"])
    assert found == [
        ModelColumns("b", "mu_b", {"std": "std_b"}),
        ModelColumns("a", "mu_a", {"logvar": "logvar_a", "std": "std_a"}),
    ]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["encoder.weight", "mu", "std"], "weights of a model"),
        (["mu", "mean", "std"], "columns 'mu' and 'mean' are both named as a mean"),
        (["mu"], "there is no scale"),
        (["std"], "there is no mean"),
        (["mu_a", "std_b"], "no mean and scale of one label"),
        ([], "Columns are none"),
        ([f"x{i}" for i in range(20)], "'x11', …"),
    ],
)
def test_columns_that_hold_no_posteriors_say_what_is_missing(names, says):
    with pytest.raises(PosteriorFileError, match=says):
        models(names)


def test_one_scale_needs_no_choice_and_several_or_sigma_need_one():
    one = ModelColumns("", "mu", {"std": "scale"})
    for asked in (None, "std", "variance"):
        assert scale_column(one, asked) == ("scale", "std")
    several = ModelColumns("", "mu", {"logvar": "log_var", "std": "scale"})
    assert scale_column(several, "logvar") == ("log_var", "logvar")
    for asked in (None, "variance"):
        with pytest.raises(PosteriorFileError, match=r"\('scale', 'log_var'\)\. Choose one: --scale std\|logvar"):
            scale_column(several, asked)
    sigma = ModelColumns("", "mu", {"sigma": "sigma"})
    assert scale_column(sigma, "variance") == ("sigma", "variance")
    with pytest.raises(PosteriorFileError, match=r"'sigma' may hold .*--scale std\|variance\|logvar"):
        scale_column(sigma, None)


def test_the_id_of_the_model_comes_before_id_and_id_before_others():
    for names, own in ((["image_id", "id", "id_a", "id_b"], "id_a"), (["image_id", "ID", "id_b"], "ID")):
        with pytest.warns(UserWarning, match=f"rows are identified by '{own}', not by 'image_id'"):
            assert id_column(names, "a", ["a", "b"]) == own
    assert id_column(["image_id", "id_b"], "a", ["a", "b"]) == "image_id"
    assert id_column(["id_b", "mu_a"], "a", ["a", "b"]) is None
    with pytest.raises(PosteriorFileError, match="'image_id', 'index' may all identify the rows"):
        id_column(["image_id", "index"], "a", ["a", "b"])


def test_the_names_that_are_listed_are_understood():
    for kind, names in NAMES.items():
        assert {role(name) for name in names} == {(kind, "")}
    assert set(NAMES) == {"mean", *SCALE_KINDS}
    assert set(get_args(Parameterization)) == set(SCALES)
