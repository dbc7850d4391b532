"""The public names and how they are called: a change here is a change for every user."""

import inspect

import pytest

import kullback
from kullback import Gaussian, approximations, comparison, kernels, losses, metrics
from kullback.divergences.registry import RECORDS

# A star stands before what is given by name only.
FUNCTIONS = {
    "align": "p, q, kind='rotation', *seed=0",
    "as_gaussian": "x, name='x'",
    "augmented": "p, q",
    "bhattacharyya": "p, q",
    "chi_squared": "p, q",
    "compare": "a, b=None, *scale=None, *prior=None, *align=('permutation', 'rotation'), *aggregate=True, "
    "*thresholds=Thresholds(active_variance=0.01, collapsed_nats=0.01, partner_share=0.5), *names=None, "
    "*images=None, *top=10, *on_bad='raise', *engine=None, *progress=None",
    "compare_all": "models, *names=None, *scale=None, *prior=None, *align=('permutation', 'rotation'), "
    "*aggregate=False, *thresholds=Thresholds(active_variance=0.01, collapsed_nats=0.01, partner_share=0.5), "
    "*images=None, *top=10, *on_bad='raise', *engine=None, *progress=None",
    "cross_entropy": "p, q",
    "cross_entropy_bounds": "p, q",
    "cross_entropy_estimate": "p, q, *tolerance=None, *n=None, *seed=None",
    "encode": "encoder, loader, *scale=None, *inputs=None, *device=None, *progress=None",
    "entropy": "p",
    "entropy_bounds": "p",
    "entropy_estimate": "p, *tolerance=None, *n=None, *seed=None",
    "explain": "p, q, value=None",
    "fisher_rao": "p, q, *squared=False",
    "fisher_rao_bounds": "p, q",
    "geometric_jensen_shannon": "p, q, *weight=0.5",
    "hellinger": "p, q, *squared=False",
    "jeffreys": "p, q",
    "jensen_shannon": "p, q, *tolerance=None, *n=None, *seed=None",
    "jensen_shannon_bounds": "p, q",
    "jensen_shannon_estimate": "p, q, *tolerance=None, *n=None, *seed=None",
    "kl_bounds": "p, q",
    "kl_decomposition": "p, q",
    "kl_divergence": "p, q",
    "kl_estimate": "p, q, *tolerance=None, *n=None, *method='auto', *seed=None, *progress=None",
    "kl_per_dimension": "p, q",
    "kl_terms": "p, q",
    "mutual_information": "posteriors, *tolerance=None, *n=None, *seed=None",
    "mutual_information_estimate": "posteriors, *tolerance=None, *n=None, *seed=None",
    "nearest": "p, q, k, divergence='kl'",
    "nearest_diagonal": "p, *direction='forward'",
    "nearest_isotropic": "p, *direction='forward'",
    "pairwise": "p, q, divergence='kl', *out=None, *engine=None",
    "register_with_torch": "",
    "renyi": "p, q, alpha",
    "wasserstein2": "p, q, *squared=False",
}

CLASSES = {
    "Alignment",
    "Augmented",
    "Bounds",
    "Comparison",
    "Estimate",
    "Comparisons",
    "Explanation",
    "Gaussian",
    "KLDecomposition",
    "KLTerms",
    "MeanDivergence",
    "Mixture",
    "Neighbours",
    "NoClosedForm",
    "NotPositiveDefinite",
    "PosteriorFileError",
    "ShapeError",
    "Thresholds",
}

CONSTRUCTORS = {
    "from_std": "mean, std, *event_dims=1, *validate=None",
    "from_variance": "mean, variance, *event_dims=1, *validate=None",
    "from_logvar": "mean, logvar, *event_dims=1, *validate=None",
    "from_covariance": "mean, covariance, *singular=False, *validate=None",
    "from_scale_tril": "mean, scale_tril, *validate=None",
    "from_precision": "mean, precision, *validate=None",
    "from_low_rank": "mean, factor, variance, *validate=None",
    "standard": "d, *dtype=None, *device=None",
    "from_log_std": "mean, log_std, *event_dims=1, *validate=None",
    "from_factor": "mean, factor, *singular=False, *validate=None",
    "from_rotation_scale": "mean, rotation, scale=None, *log_scale=None, *singular=False, *validate=None",
    "from_samples": "x, *structure='diagonal', *batch_dims=None",
    "stack": "gaussians",
}

OF_MODULES = {
    losses: {
        "TotalCorrelationTerms": "class",
        "SumKL": "class",
        "balanced_kl": "p, q, *balance=0.8, *free=0.0, *mask=None",
        "free_bits": "p, q, *per_dimension=None, *per_group=None, *groups=None, *per_row=None, *after_mean=None, "
        "*mask=None",
        "k1": "log_ratio, mask=None",
        "k2": "log_ratio, mask=None",
        "k3": "log_ratio, mask=None",
        "kl_loss": "p, q, weights=None, *mask=None",
        "minibatch_log_prob": "posteriors, z, n_inputs",
        "mixture_prior_kl": "q, prior, *n=16, *generator=None",
        "sum_kl": "posteriors, prior=Gaussian(batch_shape=(), event_shape=(), given as std, dtype and device of what "
        "it meets), *scale='std'",
        "total_correlation_terms": "posteriors, z, n_inputs, *prior=None",
    },
    approximations: {
        "matched": "p, q",
        "moment_matched": "p, q",
        "product": "p, q",
        "unscented": "p, q",
        "variational": "p, q",
    },
    comparison: {
        "OneModel": "class",
    },
    kernels: {
        "Selection": "class",
        "selected": "p, q",
        "use": "name",
    },
    metrics: {
        "ActiveUnits": "class",
        "GaussianKL": "class",
        "KLPerDimension": "class",
        "LightningCallback": "class",
        "MutualInformation": "class",
        "Rate": "class",
        "TransformersCallback": "class",
    },
}


def described(function) -> str:
    def one(x: inspect.Parameter) -> str:
        star = "*" if x.kind is x.KEYWORD_ONLY else ""
        return f"{star}{x.name}" if x.default is x.empty else f"{star}{x.name}={x.default!r}"

    return ", ".join(one(x) for x in inspect.signature(function).parameters.values())


def test_these_are_the_public_names():
    # A new divergence is public by its row in the registry.
    assert set(kullback.__all__) == FUNCTIONS.keys() | CLASSES | {record.name for record in RECORDS}
    assert set(dir(kullback)) >= {*kullback.__all__, "approximations", "kernels", "losses", "metrics"}
    assert all(inspect.isclass(getattr(kullback, name)) for name in CLASSES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_called_like_this(name):
    function = getattr(kullback, name)
    assert described(function) == FUNCTIONS[name]
    assert function.__doc__


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_are_called_like_this(name):
    assert described(getattr(Gaussian, name)) == CONSTRUCTORS[name]


@pytest.mark.parametrize("module", OF_MODULES)
def test_names_of_public_modules_are_called_like_this(module):
    assert set(module.__all__) == OF_MODULES[module].keys()
    for name, wanted in OF_MODULES[module].items():
        value = getattr(module, name)
        assert ("class" if inspect.isclass(value) else described(value)) == wanted


def test_an_estimate_is_returned_by_names_in_estimate_and_their_former_names():
    assert kullback.jensen_shannon is kullback.jensen_shannon_estimate
    assert kullback.mutual_information is kullback.mutual_information_estimate


def test_what_is_no_name_says_so():
    with pytest.raises(AttributeError, match="no attribute 'kl'"):
        kullback.kl  # noqa: B018
