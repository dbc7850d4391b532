"""Reports of people about files, about one model, and about the shapes that they typed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.testing import assert_close

import kullback
from kullback import Gaussian, ShapeError, compare, kl_divergence
from kullback.cli.app import commands

RNG = np.random.default_rng(0)
MEAN, OTHER = torch.from_numpy(RNG.normal(size=(2, 4, 3)))
COLUMN = torch.from_numpy(RNG.uniform(0.5, 2.0, (4, 1)))


def the_call(error, name="q"):
    """The call that an error writes out for ``name``, made with the tensors ``mean`` and ``std``."""
    found = re.search(rf"each number of {name} stands for several coordinates, it is (.*)\.$", str(error.value))
    assert found
    return lambda **tensors: eval(found[1], {"Gaussian": Gaussian, "np": np}, tensors)


@pytest.mark.parametrize(
    ("shape", "event_dims"),
    [((4,), 1), ((4, 1, 1), 1), ((4, 1, 1), 3), ((4, 1, 1, 1), 1), ((4, 1, 1, 1), 3), ((1, 4, 1, 1), 3), ((4, 1), 1)],
)
def test_A10_one_mean_and_std_for_each_channel_is_told_the_right_call(shape, event_dims):
    posterior = Gaussian.from_logvar(torch.zeros(2, 4, 5, 6), torch.zeros(2, 4, 5, 6), event_dims=3)
    mean, std = torch.arange(4.0).view(shape), torch.ones(shape)
    with pytest.raises(ShapeError) as error:
        kl_divergence(posterior, Gaussian.from_std(mean, std, event_dims=event_dims))
    # Half of 0 + 1 + 4 + 9 for each of 30 pixels.
    assert_close(kl_divergence(posterior, the_call(error)(mean=mean, std=std)), torch.full((2,), 210.0))


def test_A10_volumes_of_channels_and_a_prior_of_one_number():
    posterior = Gaussian.from_logvar(torch.zeros(2, 4, 3, 5, 5), torch.zeros(2, 4, 3, 5, 5), event_dims=4)
    mean, std = torch.arange(4.0).view(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    with pytest.raises(ShapeError, match=r"Gaussian\.from_std\(mean\.expand\(4, 3, 5, 5\), std\.expand") as error:
        kl_divergence(posterior, Gaussian.from_std(mean, std, event_dims=4))
    assert_close(kl_divergence(posterior, the_call(error)(mean=mean, std=std)), torch.full((2,), 75 * 14 / 2))
    with pytest.raises(ShapeError, match=r"np\.broadcast_to\(mean, \(4, 3, 5, 5\)\)") as error:
        kl_divergence(posterior, Gaussian.from_std(mean.numpy(), std.numpy(), event_dims=4))
    of_arrays = the_call(error)(mean=mean.numpy(), std=std.numpy())
    assert_close(kl_divergence(posterior, of_arrays), torch.full((2,), 75 * 14 / 2))
    with pytest.raises(ShapeError, match=r"it is Gaussian\.standard\(\(4, 3, 5, 5\)\)\.$"):
        kl_divergence(posterior, Gaussian.standard(4))
    with pytest.raises(ShapeError, match="event_dims: 4 for p, 1 for q"):
        kl_divergence(posterior, Gaussian.from_std(torch.zeros(7), torch.ones(7)))


def test_A10_a_scale_for_each_channel_is_told_how_to_expand_in_the_constructor():
    for shape, call in (((3,), r"std\.reshape\(3, 1, 1\)\.expand\(3, 5, 6\)"), ((3, 1, 1), r"std\.expand\(3, 5, 6\)")):
        with pytest.raises(ShapeError, match=f"For one std for several coordinates: {call}"):
            Gaussian.from_std(torch.zeros(4, 3, 5, 6), torch.ones(shape), event_dims=3)


@pytest.mark.parametrize("mean", [np.zeros((4, 1)), torch.zeros(4, 1)])
@pytest.mark.parametrize("make", [Gaussian.from_covariance, Gaussian.from_scale_tril, Gaussian.from_precision])
def test_A21_a_mean_that_is_a_column_is_told_to_be_ravelled(mean, make):
    with pytest.raises(ShapeError, match=r"The mean is a column: ravel it, mean\[\.\.\., 0\]"):
        make(mean, np.eye(4))
    assert make(mean[..., 0], np.eye(4)).event_shape == (4,)


@pytest.mark.parametrize("kind", ["std", "variance", "logvar", "log_std"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_scale_for_each_row_is_that_of_each_of_its_coordinates(kind, dtype):
    # The same numbers written out, in everything that is asked of a Gaussian.
    make = getattr(Gaussian, f"from_{kind}")
    mean, other, column = MEAN.to(dtype), OTHER.to(dtype), COLUMN.to(dtype)
    p, whole = make(mean, column), make(mean, column.expand(4, 3).contiguous())
    q = make(other, column.flip(0).expand(4, 3).contiguous())
    for record in kullback.divergences.registry.RECORDS:
        function = getattr(kullback, record.module if record.module != "kl" else "kl_divergence")
        parameters = {parameter.name: 0.4 for parameter in record.parameters if parameter.default is None}
        assert_close(function(p, q, **parameters), function(whole, q, **parameters), rtol=0, atol=0)
        assert_close(function(q, p, **parameters), function(q, whole, **parameters), rtol=0, atol=0)
    assert_close(kullback.entropy(p), kullback.entropy(whole), rtol=0, atol=0)
    assert_close(p.log_prob(other), whole.log_prob(other), rtol=0, atol=0)
    assert_close(p.covariance_matrix, whole.covariance_matrix, rtol=0, atol=0)
    assert_close(p[1:3].stddev, whole[1:3].stddev, rtol=0, atol=0)
    assert_close(kullback.pairwise(p, q), kullback.pairwise(whole, q), rtol=0, atol=0)
    samples = [g.sample(5, generator=torch.Generator().manual_seed(0)) for g in (p, whole)]
    assert_close(*samples, rtol=0, atol=0)


def test_one_scale_for_each_row_has_the_closed_form_of_an_isotropic_gaussian():
    # Of 2 by 2 images, as of the steps of a diffusion: n/2 (s² - 1 - log s²) + |mean|²/2.
    mean, std = torch.from_numpy(RNG.normal(size=(6, 1, 2, 2))), torch.linspace(0.2, 2.0, 6, dtype=torch.float64)
    p = Gaussian.from_std(mean, std.view(6, 1, 1, 1), event_dims=3)
    want = 2.0 * (std**2 - 1.0 - (std**2).log()) + 0.5 * mean.square().flatten(1).sum(1)
    assert_close(kl_divergence(p, Gaussian.standard((1, 2, 2))), want, rtol=1e-14, atol=0)
    low = Gaussian.from_low_rank(mean.flatten(1), torch.zeros(6, 4, 1, dtype=torch.float64), std[:, None] ** 2)
    assert_close(kl_divergence(low, Gaussian.standard(4)), want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_of_one_scale_for_each_row_is_that_of_the_formula(dtype):
    # Of KL from the standard normal by a log-variance that n coordinates share: n/2 (e^logvar - 1).
    logvar = COLUMN.to(dtype).requires_grad_()
    kl_divergence(Gaussian.from_logvar(MEAN.to(dtype), logvar), Gaussian.standard(3)).sum().backward()
    assert_close(logvar.grad, 1.5 * (logvar.detach().exp() - 1.0))
    both = torch.func.vmap(
        torch.func.grad(lambda s, m: kl_divergence(Gaussian.from_logvar(m, s), Gaussian.standard(3)))
    )
    assert_close(both(logvar.detach(), MEAN.to(dtype)), logvar.grad)


@pytest.mark.parametrize(
    ("mean", "std", "ways"),
    [
        ((3,), (3, 1), ["for each coordinate: std[..., 0]", "for each of several Gaussians: std.expand(3, 3)"]),
        ((3,), (8, 1), ["for each of several Gaussians: std.expand(8, 3)"]),
        ((4, 3), (4,), ["for each row: std[:, None]"]),
        ((2, 4, 3), (2, 4), ["for each row: std.reshape(2, 4, 1)"]),
        ((4, 1), (4,), ["for each row: std[:, None]", "one Gaussian of 4 coordinates: mean[..., 0]"]),
    ],
)
def test_a_scale_that_may_mean_several_things_is_refused_with_all_of_them(mean, std, ways):
    with pytest.raises(ShapeError, match="Events do not broadcast") as error:
        Gaussian.from_std(torch.zeros(mean), torch.ones(std))
    assert all(way in str(error.value) for way in ways)


def test_rows_of_scales_that_do_not_fit_the_rows_of_means_are_refused_as_they_were_given():
    with pytest.raises(ShapeError, match=r"batches do not broadcast: mean is \(4, 3\), std is \(5, 1\)"):
        Gaussian.from_std(torch.zeros(4, 3), torch.ones(5, 1))
    with pytest.raises(ValueError, match=r"zeros \(at \[2, 0\]\)"):
        Gaussian.from_std(torch.zeros(4, 3), torch.tensor([[1.0], [1.0], [0.0], [1.0]]))


def test_smaller_things_integers_are_floats_of_the_library_they_come_from():
    # As numpy.mean and torch's division make them.
    for given in ([0, 1], np.array([0, 1]), np.array([0, 1], np.int8)):
        assert Gaussian.from_std(given, [1, 2]).dtype == torch.float64
    assert Gaussian.from_std(torch.tensor([0, 1]), torch.tensor([1, 2])).dtype == torch.float32
    assert kl_divergence(Gaussian.from_std([0, 1], [1, 2]), Gaussian.from_std([0.0, 1.0], [1.0, 2.0])) == 0.0


MU, LOGVAR = RNG.normal(size=(2, 40, 3))
# KL from N(0, I) in closed form, row by row.
RATES = 0.5 * (MU**2 + np.exp(LOGVAR) - 1.0 - LOGVAR).sum(1)


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


def values(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [float(line.split(",")[1]) for line in result.stdout.splitlines()[1:]]


def complaint(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("one.npz", mu=MU, logvar=LOGVAR)
    return tmp_path


@pytest.fixture
def statistics_of_images(folder):
    for i, name in enumerate("ab"):
        np.savez(f"{name}.npz", mu=np.full(4, i), sigma=np.eye(4) * (i + 1))


@pytest.mark.usefixtures("statistics_of_images")
def test_F5_two_files_of_FID_statistics():
    squared = 4 + 4 * (np.sqrt(2) - 1) ** 2
    assert values("wasserstein2", "a.npz", "b.npz") == pytest.approx([np.sqrt(squared)], rel=1e-12)
    assert values("wasserstein2", "a.npz", "b.npz", "--squared") == pytest.approx([squared], rel=1e-12)
    assert run("wasserstein2", "a.npz", "b.npz", "--squared").stdout.startswith("id,wasserstein2_squared\n")
    assert values("wasserstein2", "a.npz", "b.npz", "--mean", "mu", "--covariance", "sigma") == pytest.approx(
        [np.sqrt(squared)], rel=1e-12
    )


@pytest.mark.usefixtures("folder")
def test_every_distance_has_its_square_on_the_command_line():
    np.savez("other.npz", mu=MU + 1, logvar=LOGVAR / 2)
    for name in ("hellinger", "wasserstein2", "fisher_rao"):
        squares = np.square(values(name, "one.npz", "other.npz"))
        assert values(name, "one.npz", "other.npz", "--squared") == pytest.approx(squares, rel=1e-12)
    assert "No such option" in run("kl", "one.npz", "other.npz", "--squared").stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("option", "scale"),
    [
        ("std", np.exp(LOGVAR / 2)),
        ("variance", np.exp(LOGVAR)),
        ("logvar", LOGVAR),
        ("log-std", LOGVAR / 2),
        ("covariance", np.exp(LOGVAR)[..., None] * np.eye(3)),
    ],
)
def test_columns_of_any_name_are_read_by_the_option_of_what_they_hold(option, scale):
    np.savez("x.npz", z_loc=MU, z_ls=scale)
    assert values("kl", "x.npz", "--mean", "z_loc", f"--{option}", "z_ls") == pytest.approx(RATES, rel=1e-12)


@pytest.mark.usefixtures("folder")
def test_arrays_without_names_are_listed_with_the_option_that_reads_them():
    np.savez("x.npz", MU, LOGVAR)
    said = complaint("kl", "x.npz", "one.npz")
    assert "Columns are 'arr_0' (40, 3), 'arr_1' (40, 3)." in said
    command = re.search(r"say which is which: (--mean arr_0 --logvar arr_1) \(or --std, --variance", said)
    assert values("kl", "x.npz", *command[1].split()) == pytest.approx(RATES, rel=1e-12)
    np.savez("z.npz", labels=np.array(["x"]), z_loc=MU, z_ls=LOGVAR)
    assert "'labels', 'z_loc' (40, 3)" in complaint("kl", "z.npz")
    assert "--mean z_loc --logvar z_ls" in complaint("kl", "z.npz")
    np.savez("s.npz", m=MU, latent_std=np.exp(LOGVAR / 2))
    assert "--mean m --std latent_std" in complaint("kl", "s.npz")
    np.savez("c.npz", np.zeros(4), np.eye(4))
    assert "--mean arr_0 --covariance arr_1" in complaint("kl", "c.npz")
    np.savez("n.npz", np.zeros(4))
    assert "--mean arr_0 --logvar NAME" in complaint("kl", "n.npz")


@pytest.mark.usefixtures("folder")
def test_named_columns_may_be_of_two_models_of_one_file_or_of_each_file():
    np.savez("two.npz", m1=MU, s1=LOGVAR, m2=MU + 1.0, s2=LOGVAR)
    np.savez("other.npz", mu=MU + 1.0, logvar=LOGVAR)
    want = values("kl", "one.npz", "other.npz")
    assert values("kl", "two.npz", "--mean", "m1,m2", "--logvar", "s1,s2") == want
    assert values("kl", "one.npz", "two.npz", "--mean", "mu,m2", "--logvar", "logvar,s2") == want
    named = ("--mean", "m1,mu", "--logvar", "s1,logvar")
    told = run("compare", "two.npz", "other.npz", *named, "--no-aggregate", "--align", "none")
    assert f"kl_ab.mean: {np.mean(want):.10g}" in told.stdout
    assert "2 files hold one model each" in complaint(
        "kl", "one.npz", "two.npz", "--mean", "a,b,c", "--logvar", "d,e,f"
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mean", "mu"], "--mean NAME and one of --std, --variance, --logvar, --log-std, --covariance NAME"),
        (["--logvar", "logvar"], "one mean and one scale"),
        (["--mean", "mu", "--logvar", "logvar", "--std", "logvar"], "one mean and one scale"),
        (["--mean", "mu", "--logvar", "logvar", "--scale", "std"], "without --scale"),
        (["--mean", "mu,mu", "--logvar", "logvar"], "each mean needs one scale"),
        (["--mean", "nu", "--logvar", "logvar"], "no column 'nu'. Columns are 'mu' (40, 3), 'logvar' (40, 3)"),
        (["--mean", "mu", "--variance", "logvar"], "is not a valid variance"),
        (["--mean", "mu", "--covariance", "logvar"], "holds no covariances of 'mu'"),
    ],
)
def test_options_that_name_no_mean_and_scale_end_in_one_line(options, says):
    assert says in complaint("kl", "one.npz", *options)


@pytest.mark.usefixtures("folder")
def test_a_tuple_saved_by_torch_is_a_mean_and_the_scale_that_is_stated():
    torch.save((torch.from_numpy(MU), torch.from_numpy(LOGVAR)), "t.pt")
    assert "column '1' may hold" in complaint("kl", "t.pt")
    assert values("kl", "t.pt", "--scale", "logvar") == pytest.approx(RATES, rel=1e-12)
    assert compare("t.pt", scale="logvar", aggregate=False).scalars()["rate_a.mean"] == pytest.approx(RATES.mean())
    torch.save([torch.zeros(40, 5), torch.from_numpy(MU), torch.from_numpy(LOGVAR)], "three.pt")
    assert "'0' (40, 5), '1' (40, 3), '2' (40, 3)" in complaint("kl", "three.pt")
    assert values("kl", "three.pt", "--mean", "1", "--logvar", "2") == pytest.approx(RATES, rel=1e-12)
    torch.save((torch.zeros(4), torch.eye(4)), "statistics.pt")
    assert values("kl", "statistics.pt") == [0.0]


@pytest.mark.usefixtures("folder")
def test_a_pair_of_npy_files_is_one_model():
    np.save("a_mu.npy", MU)
    np.save("a_logvar.npy", LOGVAR)
    np.save("m.npy", MU + 1.0)
    np.save("s.npy", np.exp(LOGVAR / 2))
    Path("run").mkdir()
    for name, array in (("mean", MU), ("logvar", LOGVAR), ("id", np.arange(40))):
        np.save(f"run/{name}.npy", array)
    assert values("kl", "a_mu.npy,a_logvar.npy") == pytest.approx(RATES, rel=1e-12)
    assert values("kl", "a_logvar.npy,a_mu.npy") == pytest.approx(RATES, rel=1e-12)
    assert values("kl", "run") == pytest.approx(RATES, rel=1e-12)
    # Of equal widths: half the squared distance by the variances.
    between = 0.5 * np.exp(-LOGVAR).sum(1)
    assert values("kl", "a_mu.npy,a_logvar.npy", "m.npy,s.npy", "--scale", "std") == pytest.approx(between, rel=1e-9)
    assert values("kl", "run", "m.npy,s.npy", "--scale", "std") == pytest.approx(between, rel=1e-9)
    assert "column '1' may hold standard deviations" in complaint("kl", "m.npy,s.npy")
    assert compare("run", "a_mu.npy,a_logvar.npy", align=(), aggregate=False).scalars()["kl_ab.mean"] == 0.0
    assert "a_mu.npy,a_logvar.npy, or a folder" in complaint("kl", "m.npy")
    Path("empty").mkdir()
    assert "is a folder without files of a known kind" in complaint("kl", "empty")
    assert "no such file" in complaint("kl", "m.npy,nowhere.npy")


@pytest.mark.usefixtures("folder")
def test_a_column_of_one_scale_for_each_row_is_isotropic():
    want = 0.5 * (MU**2 + np.exp(LOGVAR[:, :1]) - 1.0 - LOGVAR[:, :1]).sum(1)
    for scale in (LOGVAR[:, :1], LOGVAR[:, 0]):
        np.savez("x.npz", mu=MU, logvar=scale)
        assert values("kl", "x.npz") == pytest.approx(want, rel=1e-12)
    images = MU.reshape(40, 3, 1, 1)
    np.savez("x.npz", mu=images, logvar=LOGVAR[:, :1].reshape(40, 1, 1, 1))
    assert values("kl", "x.npz") == pytest.approx(want, rel=1e-12)
    # Three scales beside three rows of three dimensions may be of rows or of dimensions.
    np.savez("x.npz", mu=MU[:3], logvar=LOGVAR[:3, 0])
    assert "one scale for each row or for each of 3 dimensions" in complaint("kl", "x.npz")
    np.savez("x.npz", mu=MU, logvar=LOGVAR[0])
    assert "differ in shape, (40, 3) and (3,)" in complaint("kl", "x.npz")


def test_A13_one_model_has_the_finding_of_a_comparison_with_itself():
    a = Gaussian.from_logvar(torch.from_numpy(MU), torch.from_numpy(LOGVAR))
    found = compare(a)
    # The findings of a comparison end with what its models are like by themselves.
    assert found.findings()[0] == compare(a, a, aggregate=False, align=()).findings()[-2]
    scalars = found.scalars()
    assert scalars["rate_a.mean"] == pytest.approx(RATES.mean(), rel=1e-12)
    assert scalars["active_units_a"] == 3
    assert scalars.keys() < compare(a, a).scalars().keys()
    assert found.aggregate.models["a"].total_correlation.value > 0
    assert "Its total correlation" in found.findings()[-1]


@pytest.mark.usefixtures("folder")
def test_A13_one_file_is_described_and_compared_with_the_prior():
    result = run("kl", "one.npz")
    assert "q = N(0, I)" in result.stderr
    assert values("kl", "one.npz") == pytest.approx(RATES, rel=1e-12)
    told = run("explain", "one.npz", "--value", repr(float(RATES.mean())))
    assert told.exit_code == 0
    assert f"{RATES.mean():.6f}" in told.stdout
    command = ("compare", "one.npz", "--names", "vae", "--json", "one.json", "--report", "one.html")
    result = run(*command, "--fail-if", "rate_a.mean > 0")
    assert result.exit_code == 1
    assert "failed: rate_a.mean is" in result.stderr
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert lines["finding.1"].startswith("The rate of vae, its mean KL divergence from the prior N(0, I), is")
    assert float(lines["rate_a.mean"]) == pytest.approx(RATES.mean(), rel=1e-9)
    data = json.loads(Path("one.json").read_text())
    assert data["names"] == ["vae"]
    assert data["rate_a"]["largest"][0] == {"id": int(RATES.argmax()), "kl": pytest.approx(RATES.max(), rel=1e-12)}
    assert data["coordinates"]["reason"].startswith("There is one model")
    assert list(data["aggregate"]["models"]) == ["a"]
    page = Path("one.html").read_text()
    assert all(f'id="figure-{name}"' in page for name in ("rates", "widths", "distribution"))
    assert "kullback compare one.npz --names vae" in page
    assert "There is one model" in complaint("compare", "one.npz", "--no-aggregate", "--fail-if", "kl_ab.mean > 0")
    assert "--names takes one name" in complaint("compare", "one.npz", "--names", "a,b")
    assert run("compare", "one.npz", "--brief", "--no-aggregate").stdout.startswith("The rate of one, ")


@pytest.mark.usefixtures("folder")
def test_A13_one_model_of_a_file_with_several_is_chosen_by_its_label():
    np.savez("two.npz", mu_a=MU, logvar_a=LOGVAR, mu_b=MU + 1.0, logvar_b=LOGVAR)
    assert values("kl", "two.npz", "--models", "a") == pytest.approx(RATES, rel=1e-12)
    assert values("kl", "two.npz", "--models", "b") == pytest.approx(
        0.5 * ((MU + 1.0) ** 2 + np.exp(LOGVAR) - 1.0 - LOGVAR).sum(1), rel=1e-12
    )


def test_A13_what_is_no_model_says_so():
    a = Gaussian.from_logvar(torch.from_numpy(MU), torch.from_numpy(LOGVAR))
    with pytest.raises(ValueError, match="names must be one name, as a tuple, got 'vae'"):
        compare(a, names="vae")
    with pytest.raises(ShapeError, match="for one by itself, compare\\(a\\)"):
        compare(a, Gaussian.standard(3))
    with pytest.raises(ShapeError, match=r"a has 0 rows of event shape \(3,\): there is nothing"):
        compare(a[:0])
    own = compare(a, prior=Gaussian.from_std(torch.ones(3), 2.0), aggregate=False)
    want = 0.5 * (((MU - 1.0) ** 2 + np.exp(LOGVAR)) / 4.0 - 1.0 - LOGVAR + np.log(4.0)).sum(1)
    assert own.statistics("rate_a")["mean"] == pytest.approx(want.mean(), rel=1e-12)
    assert own.findings()[0].startswith("The rate of A, its mean KL divergence from the prior given by the caller")
    standard = compare(Gaussian.from_std(torch.zeros(5, 2), 1.0), aggregate=False)
    assert "Every posterior is the prior." in standard.findings()
    assert "<strong>A</strong>" in standard._repr_html_()
    assert repr(standard) == "OneModel(A, 5 rows, event_shape=(2,))"
