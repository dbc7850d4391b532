"""Metrics over batches are those of all rows at once, whatever happens to them in between."""

import copy
import gc
import io
import math
import pickle
import subprocess
import sys
import weakref

import matplotlib as mpl
import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Independent, Laplace, Normal
from torch.testing import assert_close
from torchmetrics import MetricCollection
from torchmetrics.wrappers import Running

from kullback import Gaussian, NoClosedForm, ShapeError, mutual_information_estimate
from kullback.metrics import ActiveUnits, GaussianKL, KLPerDimension, MutualInformation, Rate
from kullback.metrics.base import _home

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
D = 3
SIZES = (7, 0, 1, 4)
ROWS = sum(SIZES)


def latents(n=ROWS, d=D, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mean, logvar = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    # The last dimension carries nothing.
    return (mean * torch.tensor([1.0] * (d - 1) + [1e-3])).to(dtype), (0.5 * logvar).to(dtype)


def posteriors(*args, **named):
    return Gaussian.from_logvar(*latents(*args, **named))


def batches(g):
    return [g[end - n : end] for n, end in zip(SIZES, np.cumsum(SIZES).tolist(), strict=True)]


def per_dimension(mean, logvar):
    """From the standard normal, in NumPy."""
    mean, logvar = mean.double().numpy(), logvar.double().numpy()
    return 0.5 * (np.exp(logvar) + mean**2 - 1.0 - logvar)


class WithPrior:
    """A metric of p and q as one of p."""

    def __init__(self, metric):
        self.metric = metric

    def __call__(self, p):
        return self.metric(p, Gaussian.standard(p.event_shape))


METRICS = {
    "GaussianKL": (GaussianKL, True),
    "KLPerDimension": (KLPerDimension, True),
    "Rate": (Rate, False),
    "ActiveUnits": (ActiveUnits, False),
    "MutualInformation": (lambda **named: MutualInformation(size=8, n=256, **named), False),
}
STATE = {"size": 8, "n": 256}


@pytest.fixture(params=METRICS)
def make(request):
    """What makes a metric, and its update with posteriors alone."""
    build, pairs = METRICS[request.param]

    def update(metric, p):
        metric.update(*((p, Gaussian.standard(p.event_shape)) if pairs else (p,)))

    def forward(metric, p):
        return metric(*((p, Gaussian.standard(p.event_shape)) if pairs else (p,)))

    return build, update, forward


def of_all(make, g=None):
    build, update, _ = make
    metric = build()
    update(metric, posteriors() if g is None else g)
    return metric


def test_values_over_batches_are_those_of_numpy():
    mean, logvar = latents()
    want = per_dimension(mean, logvar)
    metrics = GaussianKL(), KLPerDimension(), Rate(), ActiveUnits()
    for g in batches(Gaussian.from_logvar(mean, logvar)):
        for metric in metrics[:2]:
            metric.update(g, Gaussian.standard(D))
        for metric in metrics[2:]:
            metric.update(g)
    kl, dimensions, rate, active = metrics
    n = len(want)
    for metric in (kl, rate):
        np.testing.assert_allclose(metric.compute().numpy(), want.sum(1).mean(), rtol=1e-13)
        np.testing.assert_allclose(metric.standard_error.numpy(), want.sum(1).std(ddof=1) / math.sqrt(n), rtol=1e-13)
    np.testing.assert_allclose(dimensions.compute().numpy(), want.mean(0), rtol=1e-12)
    np.testing.assert_allclose(dimensions.standard_error.numpy(), want.std(0, ddof=1) / math.sqrt(n), rtol=1e-12)
    mask = mean.numpy().var(0, ddof=1) > 0.01
    assert active.mask.numpy().tolist() == mask.tolist() == [True, True, False]
    assert active.compute() == mask.sum()
    assert all(metric.rows == n for metric in metrics)
    assert all(metric.compute().dtype == torch.float64 for metric in metrics)


def test_means_far_from_zero_keep_their_variance():
    # By sums of squares nothing would be left of it.
    mean = 1e8 + np.array([[0.0], [0.5], [1.0], [0.25]])
    metric = ActiveUnits(threshold=float(mean.var(ddof=1)) * 0.999)
    for row in mean:
        metric.update(Gaussian.from_std(row[None], 1.0))
    assert metric.mask.all()
    assert ActiveUnits.update is not GaussianKL.update


def test_the_mutual_information_is_that_of_the_rows_while_all_are_kept():
    g = posteriors()
    metric = MutualInformation(size=100, n=1024, seed=3)
    for part in batches(g):
        metric.update(part)
    want = mutual_information_estimate(g, n=2**16, seed=11)
    assert abs(float(metric.compute() - want.value)) < 5 * float(metric.standard_error + want.standard_error)
    assert metric.estimate.value == metric.compute()


def test_the_mutual_information_of_posteriors_apart_is_the_logarithm_of_their_number_and_says_so():
    metric = MutualInformation(size=16, n=256)
    metric.update(Gaussian.from_std(100.0 * torch.arange(64.0)[:, None], torch.ones(64, 1)))
    assert float(metric.compute()) == pytest.approx(math.log(16), rel=1e-9)
    assert "log N" in metric.estimate.warnings[0]
    assert metric.rows == 64


def test_one_mutual_information_for_diagonals_however_they_are_given():
    mean, logvar = latents()
    values = []
    for g in (
        Gaussian.from_logvar(mean, logvar),
        Gaussian.from_covariance(mean, logvar.exp().diag_embed()),
        Independent(Normal(mean, (0.5 * logvar).exp()), 1),
    ):
        metric = MutualInformation(n=4096)
        metric.update(g)
        values.append(float(metric.compute()))
    assert values == pytest.approx([values[0]] * 3, abs=5e-3)


def test_batches_of_any_shape_count_their_rows(make):
    build, update, _ = make
    mean, logvar = latents(12)
    flat, shaped = build(), build()
    update(flat, Gaussian.from_logvar(mean, logvar))
    update(shaped, Gaussian.from_logvar(mean.reshape(3, 2, 2, D), logvar.reshape(3, 2, 2, D)))
    assert_close(flat.compute(), shaped.compute(), rtol=1e-14, atol=1e-15)
    single = build()
    for i in range(12):
        update(single, Gaussian.from_logvar(mean[i], logvar[i]))
    assert_close(flat.compute(), single.compute(), rtol=1e-12, atol=1e-15)


def test_events_keep_their_shape():
    mean, logvar = latents(6, 12)
    g = Gaussian.from_logvar(mean.reshape(6, 3, 2, 2), logvar.reshape(6, 3, 2, 2), event_dims=3)
    metric, active = KLPerDimension(), ActiveUnits()
    metric.update(g, Gaussian.standard((3, 2, 2)))
    active.update(g)
    np.testing.assert_allclose(
        metric.compute().numpy(), per_dimension(mean, logvar).mean(0).reshape(3, 2, 2), rtol=1e-12
    )
    assert active.mask.shape == (3, 2, 2)
    assert metric.standard_error.shape == (3, 2, 2)


def test_what_the_divergence_takes_the_metric_takes():
    loc, scale = torch.zeros(4), torch.ones(4)
    kl = GaussianKL()
    # A closed form of torch's own, distributions of SciPy, NumPy arrays.
    assert float(kl(Laplace(loc, scale), Laplace(loc + 1.0, scale))) == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert kl.rows == 4
    kl = GaussianKL()
    assert kl(multivariate_normal(np.zeros(2)), Gaussian.standard(2)) == 0.0
    assert kl(Gaussian.from_covariance(np.ones(2), np.eye(2)), Gaussian.standard(2)) == 1.0
    assert kl.rows == 2
    with pytest.raises(NoClosedForm):
        KLPerDimension()(Gaussian.from_covariance(np.ones(2), np.eye(2)), Gaussian.standard(2))


def test_a_prior_that_is_given():
    prior = Gaussian.from_std([1.0, 0.0], [2.0, 1.0])
    metric = Rate(prior)
    metric.update(Gaussian.from_std(torch.zeros(5, 2), torch.ones(5, 2)))
    want = math.log(2.0) + 2.0 / 8.0 - 0.5
    assert float(metric.compute()) == pytest.approx(want, rel=1e-6)
    with pytest.raises(ShapeError, match="GaussianKL"):
        Rate(Gaussian.from_std(torch.zeros(5, 2), torch.ones(5, 2)))


def test_forward_gives_the_batch_and_counts_it_once(make):
    build, update, forward = make
    metric = build()
    for g in batches(posteriors()):
        if len(g):
            alone = build()
            update(alone, g)
            assert_close(forward(metric, g), alone.compute(), rtol=1e-12, atol=1e-15, equal_nan=True)
    assert metric.rows == sum(SIZES)
    assert_close(metric.compute(), of_all(make).compute(), rtol=1e-12, atol=1e-15)


def test_a_reset_forgets_and_other_events_may_follow(make):
    build, update, _ = make
    metric = of_all(make)
    metric.reset()
    assert metric.rows == 0
    other = posteriors(20, 5, seed=1)
    update(metric, other)
    assert_close(metric.compute(), of_all(make, other).compute(), rtol=0, atol=0)
    assert build() is not metric


def test_batches_without_rows_change_nothing(make):
    build, update, forward = make
    metric = build()
    update(metric, posteriors()[:0])
    assert metric.compute().isnan()
    update(metric, posteriors())
    update(metric, posteriors()[:0])
    assert forward(metric, posteriors()[:0]).isnan()
    assert_close(metric.compute(), of_all(make).compute(), rtol=0, atol=0)


def test_states_have_one_size_however_many_rows(make):
    build, update, _ = make
    metric = build()
    sizes = []
    for seed in range(4):
        update(metric, posteriors(64, seed=seed))
        (state,) = metric.metric_state.values()
        sizes.append(state.numel())
    assert len(set(sizes)) == 1
    d, kept = D, 8
    assert sizes[0] in (3 * max(10, d), (1 + kept) * max(10, 1 + 2 * d))


@pytest.mark.parametrize("way", ["update", "forward"])
@pytest.mark.parametrize("events", [((12,), (11,)), ((5,), (3,)), ((12,), (3, 4))])
def test_a_batch_of_another_event_is_refused_and_changes_nothing(make, way, events):
    build, update, forward = make
    call = {"update": update, "forward": forward}[way]
    batches = [
        Gaussian.from_std(torch.arange(4.0 * math.prod(event)).reshape(4, *event), 1.0, event_dims=len(event))
        for event in events
    ]
    metric = build()
    call(metric, batches[0])
    want = metric.compute()
    with pytest.raises(ShapeError, match=r"rows before have .* reset\(\)"):
        call(metric, batches[1])
    assert metric.rows == 4
    assert_close(metric.compute(), want, rtol=0, atol=0)
    metric.reset()
    call(metric, batches[1])
    assert metric.rows == 4


def test_states_of_different_events_do_not_merge():
    small, large = ActiveUnits(), ActiveUnits()
    small.update(posteriors(4, 3))
    large.update(posteriors(4, 5))
    with pytest.raises(ShapeError, match=r"reset\(\)"):
        small.merge_state(large)
    small.persistent(mode=True)
    again = ActiveUnits()
    again.load_state_dict(small.state_dict())
    with pytest.raises(ShapeError, match=r"rows before have \(3,\)"):
        again.update(posteriors(4, 5))


@pytest.mark.parametrize("metric", [Rate, ActiveUnits, MutualInformation])
def test_a_mean_and_a_scale_are_told_the_constructor(metric):
    mean, logvar = torch.zeros(4, 3), torch.full((4, 3), -1.0)
    for call in (metric().update, metric()):
        with pytest.raises(TypeError, match=r"takes one Gaussian, .* Gaussian.from_logvar\(mu, logvar\)"):
            call(mean, logvar)
    with pytest.raises(TypeError, match="GaussianKL takes p and q"):
        metric().update(posteriors(4, 3), Gaussian.standard(3))


def test_dimensions_are_not_averaged_as_if_they_were_rows(make):
    build, update, _ = make
    normal = Normal(torch.ones(4, 3), torch.ones(4, 3))
    with pytest.raises(ShapeError, match=r"Independent\(Normal\(mean, std\), 1\)"):
        update(build(), normal)
    metric = Rate()
    metric.update(Independent(normal, 1))
    assert metric.rows == 4
    assert metric.compute() == 1.5  # 3 dimensions of mu^2 / 2


def test_the_prior_is_called_so():
    with pytest.raises(ShapeError, match=r"the prior of this Rate has \(3,\)"):
        Rate(Gaussian.from_std(torch.zeros(3), 1.0)).update(posteriors(4, 5))


def test_a_state_of_other_settings_is_not_loaded():
    saved = MutualInformation(size=4)
    saved.persistent(mode=True)
    saved.update(posteriors(4, 3))
    with pytest.raises(ValueError, match="has the state 'sample_of_8_by_seed_0', got 'sample_of_4_by_seed_0'"):
        MutualInformation(size=8).load_state_dict(saved.state_dict())


def test_an_event_has_a_bounded_number_of_dimensions():
    with pytest.raises(ShapeError, match="at most 8 event dimensions"):
        ActiveUnits().update(Gaussian.from_std(torch.zeros([1] * 10), torch.ones([1] * 10), event_dims=9))


@pytest.mark.parametrize("order", [1, -1])
def test_infinite_rows_stay_infinite_and_nan_is_nan(order):
    finite = Gaussian.from_std(torch.zeros(2, 1), torch.ones(2, 1))
    infinite = Gaussian.from_std(torch.full((1, 1), 1e30), torch.ones(1, 1))
    unknown = Gaussian.from_std(torch.full((1, 1), torch.nan), torch.ones(1, 1), validate=False)
    for bad, check in ((infinite, torch.isinf), (unknown, torch.isnan)):
        metrics = GaussianKL(), KLPerDimension(), Rate()
        for g in (finite, bad, finite)[::order]:
            metrics[0].update(g, Gaussian.standard(1))
            metrics[1].update(g, Gaussian.standard(1))
            metrics[2].update(g)
        for metric in metrics:
            assert check(metric.compute()).all()
            assert metric.standard_error.isnan().all()
    for metric in (ActiveUnits(), MutualInformation(size=2, n=256)):
        for g in (unknown, posteriors(50, 1)):
            metric.update(g)
        assert metric.compute().isnan()
    with pytest.raises(ValueError, match="finite"):
        metric.estimate  # noqa: B018


def test_too_few_rows_have_no_variance():
    metric, active = GaussianKL(), ActiveUnits()
    metric.update(posteriors(1), Gaussian.standard(D))
    active.update(posteriors(1))
    assert metric.standard_error.isnan()
    assert active.compute().isnan()
    with pytest.raises(ValueError, match="two rows"):
        active.mask  # noqa: B018


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_halves_are_counted_in_double(make, dtype):
    build, update, _ = make
    metric = build()
    mean, logvar = latents(3000, dtype=dtype)
    update(metric, Gaussian.from_logvar(mean, logvar))
    wide = of_all(make, Gaussian.from_logvar(mean.double(), logvar.double()))
    assert metric.compute().dtype == torch.float64
    assert metric.rows == 3000
    assert_close(metric.compute(), wide.compute(), rtol=1e-6, atol=1e-7)


def test_autocast_changes_nothing(make):
    build, update, _ = make
    metric = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        update(metric, posteriors(dtype=torch.float32))
        inside = metric.compute()
    assert_close(inside, of_all(make, posteriors(dtype=torch.float32)).compute(), rtol=0, atol=0)


def test_no_graph_is_kept_alive(make):
    build, update, forward = make
    metric = build()
    mean, logvar = (x.requires_grad_() for x in latents())
    hidden = mean * 2.0
    node = weakref.ref(hidden)
    value = forward(metric, Gaussian.from_logvar(hidden, logvar))
    update(metric, Gaussian.from_logvar(hidden, logvar))
    assert not value.requires_grad
    assert not any(state.requires_grad for state in metric.metric_state.values())
    del hidden
    gc.collect()
    assert node() is None


def test_a_collection_updates_each_group_once_and_never_mixes_metrics():
    standard = Gaussian.standard(D)
    learned = posteriors(1, seed=5)[0]
    collection = MetricCollection(
        {
            "kl": GaussianKL(),
            "kl again": GaussianKL(),
            "rate": Rate(),
            "rate from another": Rate(Gaussian.from_std([0.0] * D, 2.0)),
            "few": ActiveUnits(),
            "more": ActiveUnits(threshold=1e-9),
            "dimensions": KLPerDimension(),
            "mi": MutualInformation(size=8, n=256),
            "mi of another seed": MutualInformation(size=8, n=256, seed=1),
        }
    )
    # In the first batch the states of many agree: the learned prior is still the standard one, then there are no rows.
    collection.update(p=posteriors()[:0], q=standard)
    collection.update(p=posteriors(), q=standard)
    collection.update(p=posteriors(), q=learned)
    groups = sorted(map(sorted, collection.compute_groups.values()))
    assert ["few", "more"] in groups
    assert ["kl", "kl again"] in groups
    assert len(groups) == 7
    values = collection.compute()
    alone = Rate(learned)
    alone.update(posteriors())
    assert_close(values["kl"], (values["rate"] + alone.compute()) / 2, rtol=1e-12, atol=0)
    assert values["kl again"] == values["kl"]
    assert (values["few"], values["more"]) == (2.0, 3.0)
    assert_close(values["dimensions"].sum(), values["kl"], rtol=1e-12, atol=0)
    collection.reset()
    collection.update(p=posteriors(), q=standard)
    assert_close(collection.compute()["kl"], collection.compute()["rate"], rtol=1e-12, atol=0)


def test_copies_pickles_and_checkpoints_go_on_counting(make):
    build, update, _ = make
    first, second = batches(posteriors())[0], posteriors()[SIZES[0] :]
    metric = build()
    update(metric, first)
    metric.compute()
    assert metric.state_dict() == {}
    metric.persistent(True)
    file = io.BytesIO()
    torch.save(metric.state_dict(), file)
    file.seek(0)
    loaded = build()
    loaded.load_state_dict(torch.load(file, weights_only=True), strict=False)
    # It has rows, so that nothing warns of a value without an update.
    assert_close(loaded.compute(), metric.compute(), rtol=0, atol=0)
    merged = build()
    update(merged, second)
    merged.compute()
    merged.merge_state(metric)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone(), loaded):
        update(other, second)
        assert_close(other.compute(), of_all(make).compute(), rtol=1e-12, atol=1e-15)
    assert_close(merged.compute(), of_all(make).compute(), rtol=1e-12, atol=1e-15)
    assert metric.rows == SIZES[0]
    with pytest.raises(ValueError, match="the same settings"):
        metric.merge_state({"another": torch.zeros(1, 1)})


def test_a_loaded_state_replaces_a_value_that_was_computed():
    metric, other = Rate(), Rate()
    metric.update(posteriors())
    other.update(posteriors(50, seed=1))
    other.compute()
    metric.persistent(True)
    other.load_state_dict(metric.state_dict())
    assert other.compute() == metric.compute()


def test_a_running_window():
    running = Running(GaussianKL(), window=2)
    for g in batches(posteriors()):
        running.update(g, Gaussian.standard(D))
    mean, logvar = (x[-5:] for x in latents())
    np.testing.assert_allclose(running.compute().numpy(), per_dimension(mean, logvar).sum(1).mean(), rtol=1e-12)


def test_only_the_device_of_states_changes(make):
    build, update, _ = make
    holder = torch.nn.ModuleDict({"metric": build()})
    for change in (
        lambda m: m.half(),
        lambda m: m.bfloat16(),
        lambda m: m.to(torch.float16),
        lambda m: m.to("cpu", torch.float32),
    ):
        update(holder["metric"], posteriors())
        holder = change(holder)
        (state,) = holder["metric"].metric_state.values()
        assert state.dtype == torch.float64
    holder["metric"].reset()
    assert next(iter(holder["metric"].metric_state.values())).dtype == torch.float64
    with pytest.raises(TypeError, match="float64"):
        build().set_dtype(torch.float16)


def test_a_metric_of_a_model_that_is_built_on_no_device_starts_empty(make):
    _, update, _ = make
    with torch.device("meta"):
        metric = make[0]()
    metric = torch.nn.ModuleDict({"metric": metric}).to_empty(device="cpu")["metric"]
    update(metric, posteriors())
    assert_close(metric.compute(), of_all(make).compute(), rtol=0, atol=0)


def test_where_there_is_no_double_the_state_stays_on_the_cpu():
    assert _home(torch.device("mps")) == torch.device("cpu")
    assert _home(torch.device("cuda", 1)) == torch.device("cuda", 1)


def test_states_on_a_gpu_where_there_is_one(make):
    build, update, _ = make
    metric = build().to(DEVICE)
    mean, logvar = latents()
    update(metric, Gaussian.from_logvar(mean.to(DEVICE), logvar.to(DEVICE)))
    # What lies elsewhere is brought there.
    update(metric, posteriors()[:0])
    assert metric.compute().device.type == DEVICE
    assert_close(metric.compute().cpu(), of_all(make).compute(), rtol=1e-12, atol=1e-9)


def test_plots(make):
    mpl.use("Agg")
    metric = of_all(make)
    figure, axes = metric.plot()
    assert axes is not None
    mpl.pyplot.close(figure)
    figure, _ = metric.plot([metric.compute(), metric.compute()])
    mpl.pyplot.close(figure)
    images = KLPerDimension()
    mean, logvar = latents(6, 4)
    images.update(
        Gaussian.from_logvar(mean.reshape(6, 2, 2), logvar.reshape(6, 2, 2), event_dims=2), Gaussian.standard((2, 2))
    )
    figure, _ = images.plot()
    mpl.pyplot.close(figure)


@pytest.mark.parametrize("threshold", [-0.1, math.nan, True, "0.01"])
def test_a_threshold_is_a_variance(threshold):
    with pytest.raises(ValueError, match="threshold"):
        ActiveUnits(threshold)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"n": 0}, {"seed": -1}, {"size": 2.5}, {"seed": True}])
def test_settings_of_a_sample_are_whole_numbers(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MutualInformation(**wrong)


def test_without_torchmetrics_one_line_says_what_to_install():
    code = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "import kullback\n"
        "try: kullback.metrics\n"
        "except ModuleNotFoundError as error: print(error)\n"
        "import builtins; print('torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line, _ = result.stdout.strip().splitlines()
    assert line.endswith("pip install 'kullback[metrics]'")
    light = "import sys, kullback; print('torch' in sys.modules, 'torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True).stdout == (
        "False False\n"
    )
