"""encode: the same numbers as one pass of the encoder in eval mode, and a module that is left as it was."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Gamma, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.testing import assert_close
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from kullback import Gaussian, NoClosedForm, ShapeError, compare, encode

assert_same = functools.partial(assert_close, rtol=0, atol=0)
# A pass over all rows and a pass over a batch differ in the rounding of matrix products.
assert_near = functools.partial(assert_close, rtol=1e-5, atol=1e-6)


class Encoder(nn.Module):
    """The mean and the log-variance; its dropout and batch norm differ between train and eval mode."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 8))

    def forward(self, x):
        return self.layers(x).chunk(2, -1)


INPUTS = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))


def loader(*columns, batch_size=16, **options):
    return DataLoader(TensorDataset(*(columns or (INPUTS,))), batch_size=batch_size, **options)


def in_eval_mode(encoder, x=INPUTS):
    with torch.no_grad():
        return copy.deepcopy(encoder).eval()(x)


def test_outputs_are_those_of_eval_mode_and_the_module_stays_as_it_was():
    encoder = Encoder()
    encoder.layers[1].eval()
    modes = [part.training for part in encoder.modules()]
    assert modes == [True, True, True, False, True, True, True]
    state = copy.deepcopy(encoder.state_dict())
    want_mean, want_logvar = in_eval_mode(encoder)
    found = encode(encoder, loader(), scale="logvar")
    assert (found.batch_shape, found.event_shape) == ((50,), (4,))
    assert found.scale.parameterization == "logvar"
    assert_near(found.mean, want_mean)
    assert_near(found.scale.value, want_logvar)
    assert [part.training for part in encoder.modules()] == modes
    assert_same(encoder.state_dict(), state)


def test_modes_are_restored_if_the_encoder_fails():
    encoder = Encoder()
    encoder.layers[3].eval()
    modes = [part.training for part in encoder.modules()]
    with pytest.raises(RuntimeError):
        encode(encoder, [INPUTS, INPUTS[:, :2]], scale="logvar")
    assert [part.training for part in encoder.modules()] == modes
    assert torch.is_grad_enabled()


def test_modules_that_do_something_on_train_and_eval_are_told_of_both():
    class Merging(nn.Linear):
        """As an adapter that is merged into the weights in eval mode."""

        merged = False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

    inner = Merging(6, 6)
    merged = []

    def record(x):
        merged.append(inner.merged)
        return x, x

    encoder = nn.Sequential(inner)
    encoder.forward = record
    encode(encoder, [INPUTS], scale="logvar")
    assert merged == [True]
    assert inner.training
    assert not inner.merged


@pytest.mark.parametrize(
    "called", [lambda model: model.encode, lambda model: functools.partial(model.encode, factor=1.0)]
)
def test_the_module_of_a_method_is_found(called):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = Encoder()

        def encode(self, x, factor=1.0):
            return [factor * part for part in self.encoder(x)]

    model = Model()
    want_mean, _ = in_eval_mode(model.encoder)
    assert_near(encode(called(model), loader(), scale="logvar").mean, want_mean)
    assert all(part.training for part in model.modules())


def test_outputs_are_ordinary_tensors_without_gradients():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.logvar = nn.Parameter(torch.zeros(6))

        def forward(self, x):
            return x, self.logvar

    outer, inner = Encoder(), torch.inference_mode()(Encoder())
    with torch.inference_mode():
        outside = encode(outer, loader(), scale="logvar")
    for found in (outside, encode(inner, loader(), scale="logvar"), encode(Learned(), loader(), scale="logvar")):
        for x in found.tensors():
            assert not x.is_inference()
            assert not x.requires_grad
    assert not any(x.is_inference() for x in outer.parameters())


def test_two_encoders_are_compared():
    a, b = Encoder(), Encoder()
    comparison = compare(encode(a, loader(), scale="logvar"), encode(b, loader(), scale="logvar"), align=())
    p, q = (Independent(Normal(mean, (0.5 * logvar).exp()), 1) for mean, logvar in map(in_eval_mode, (a, b)))
    want = torch.distributions.kl_divergence(p, q).mean().item()
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-4)


STD = INPUTS.abs() + 0.1
FACTOR, NOISE = torch.randn(6, 2), torch.rand(6) + 0.1
TRIL = torch.randn(6, 6).tril(-1) + torch.eye(6)


def diffusers_output(x):
    vae = pytest.importorskip("diffusers.models.autoencoders.vae")
    outputs = pytest.importorskip("diffusers.models.modeling_outputs")
    parameters = torch.cat([x, x.abs()], 1)[:, :, None, None]
    return outputs.AutoencoderKLOutput(latent_dist=vae.DiagonalGaussianDistribution(parameters))


@pytest.mark.parametrize(
    ("encoder", "event", "parameterization", "variance"),
    [
        (lambda x: Gaussian.from_std(x, x.abs() + 0.1), (6,), "std", STD**2),
        (lambda x: Gaussian.from_variance(x, 0.5), (6,), "variance", torch.full((50, 6), 0.5)),
        (lambda x: Gaussian.from_std(x, torch.tensor(0.5)), (6,), "std", torch.full((50, 6), 0.25)),
        (lambda x: Gaussian.from_logvar(x, torch.arange(6.0)), (6,), "logvar", torch.arange(6.0).exp().expand(50, 6)),
        (lambda x: Gaussian.from_std(x[:1] * 0, x.abs() + 0.1), (6,), "std", STD**2),
        (lambda x: Independent(Normal(x, x.abs() + 0.1), 1), (6,), "std", STD**2),
        (lambda x: Normal(x, x.abs() + 0.1), (), "std", STD**2),
        (lambda x: MultivariateNormal(x, scale_tril=TRIL), (6,), "scale_tril", (TRIL**2).sum(1).expand(50, 6)),
        (
            lambda x: LowRankMultivariateNormal(x, FACTOR, NOISE),
            (6,),
            "low_rank",
            ((FACTOR**2).sum(1) + NOISE).expand(50, 6),
        ),
        (lambda x: {"embedding": x, "log_covariance": x.abs()}, (6,), "logvar", INPUTS.abs().exp()),
        (diffusers_output, (6, 1, 1), "logvar", INPUTS.abs().exp()[:, :, None, None]),
    ],
)
def test_whatever_stands_for_gaussians_is_joined_and_keeps_its_parameterization(
    encoder, event, parameterization, variance
):
    found = encode(encoder, loader())
    assert found.event_shape == event
    assert found.batch_shape + found.event_shape == variance.shape
    assert found.scale.parameterization == parameterization
    assert_near(found.variance, variance)


def test_every_tensor_keeps_its_dtype():
    found = encode(lambda x: Gaussian.from_std(x.double(), x.abs() + 0.1), loader())
    assert [x.dtype for x in found.tensors()] == [torch.float64, torch.float32]


def test_numpy_goes_in_and_comes_out():
    batches = [INPUTS[:30].numpy(), INPUTS[30:].numpy()]
    found = encode(lambda x: (x, np.exp(x)), batches, scale="variance")
    np.testing.assert_array_equal(found.mean, INPUTS.numpy())
    assert isinstance(found.entropy(), np.ndarray)


def test_image_latents_keep_their_shape():
    images = torch.randn(20, 3, 8, 8)
    encoder = nn.Conv2d(3, 4, 3, stride=2)
    found = encode(lambda x: encoder(x).chunk(2, 1), loader(images), scale="logvar")
    assert (found.batch_shape, found.event_shape) == ((20,), (2, 3, 3))
    assert_near(found.mean, encoder(images)[:, :2].detach())


def test_an_encoder_may_use_its_memory_again():
    memory = torch.empty(2, 25, 6)

    def encoder(x):
        memory[0], memory[1] = x, x.abs()
        return memory[0], memory[1]

    found = encode(encoder, loader(batch_size=25), scale="logvar")
    assert_same(found.mean, INPUTS)
    assert_same(found.scale.value, INPUTS.abs())


def twice(x):
    return x, x.abs()


LABELS = torch.arange(50)
ROWS = [{"image": image, "label": label} for image, label in zip(INPUTS, LABELS, strict=True)]


@pytest.mark.parametrize(
    ("batches", "inputs"),
    [
        (loader(INPUTS, LABELS), None),
        (loader(LABELS, INPUTS), 1),
        (DataLoader(ROWS, batch_size=16), "image"),
        (DataLoader(ROWS, batch_size=16), lambda batch: batch["image"]),
        ([(INPUTS[:20], LABELS[:20]), (INPUTS[20:], LABELS[20:])], None),
        (DataLoader(INPUTS, batch_size=16), None),
    ],
)
def test_the_input_is_picked_from_a_batch(batches, inputs):
    assert_same(encode(twice, batches, scale="logvar", inputs=inputs).mean, INPUTS)


@pytest.mark.parametrize("device", [None, "meta"])
def test_batches_are_moved_to_the_parameters_of_the_module_or_to_the_device_that_is_named(device):
    class Recording(nn.Linear):
        def forward(self, x):
            seen.append((x["image"].device.type, x["names"]))
            return torch.zeros(4, 2), torch.zeros(4, 2)

    seen = []
    batch = {"image": torch.zeros(4, 6), "names": ["a", "b"]}
    module = Recording(6, 2, device="cpu" if device else "meta")
    encode(module, [batch], scale="logvar", inputs=lambda x: x, device=device)
    assert seen == [("meta", ["a", "b"])]


def test_a_module_without_parameters_takes_batches_where_they_are():
    assert_same(encode(nn.Identity(), [INPUTS], scale="logvar", inputs=lambda x: (x, x)).mean, INPUTS)


def test_progress_counts_rows():
    done = []
    encode(twice, loader(), scale="logvar", progress=lambda rows, total: done.append((rows, total)))
    assert done == [(16, None), (32, None), (48, None), (50, None)]


SHUFFLED = TensorDataset(INPUTS)


@pytest.mark.parametrize(
    "batches",
    [
        loader(shuffle=True),
        loader(sampler=SubsetRandomSampler(range(50))),
        loader(sampler=WeightedRandomSampler([1.0] * 50, 50)),
        DataLoader(SHUFFLED, batch_sampler=BatchSampler(RandomSampler(SHUFFLED), 16, drop_last=False)),
    ],
)
def test_rows_in_random_order_are_refused(batches):
    with pytest.raises(ValueError, match=r"random order \(\w*RandomSampler\).*shuffle=False"):
        encode(twice, batches, scale="logvar")


SPENT = iter([])


@pytest.mark.parametrize(
    ("encoder", "batches", "options", "error", "says"),
    [
        (twice, SPENT, {"scale": "logvar"}, ValueError, "loader is empty.*A generator is empty once it has been used"),
        (twice, [INPUTS], {}, ValueError, "encoder for batch 0 is two arrays.*State what the second one is"),
        (twice, [INPUTS], {"scale": "log"}, ValueError, "got 'log'"),
        (lambda x: x, [INPUTS], {}, TypeError, "output of the encoder for batch 0 must be a Gaussian.*got Tensor"),
        (lambda x: Gamma(1.0, 1.0), [INPUTS], {}, NoClosedForm, "output of the encoder for batch 0 is .*Gamma"),
        (
            lambda x: Gaussian.from_std(x[0], 1.0),
            [INPUTS],
            {},
            ShapeError,
            r"for batch 0 has no batch dimension: it is one Gaussian of event shape \(6,\)",
        ),
        (
            twice,
            [INPUTS, INPUTS[:, :4]],
            {"scale": "logvar"},
            ShapeError,
            r"for batch 1 has batch shape \(50,\) and event shape \(4,\), that for batch 0 has \(50,\) and \(6,\)",
        ),
        (
            lambda x: Normal(x, 1.0),
            [INPUTS, INPUTS[:, :4]],
            {},
            ShapeError,
            r"for batch 1 has batch shape \(50, 4\) and event shape \(\), that for batch 0 has \(50, 6\)",
        ),
        (
            lambda x: Gaussian.from_std(x, x.exp()) if len(x) > 20 else Gaussian.from_logvar(x, x),
            [INPUTS, INPUTS[:10]],
            {},
            ValueError,
            "for batch 1 is given as logvar, that for batch 0 as std",
        ),
        (twice, [{"image": INPUTS, "label": LABELS}], {}, ValueError, "keys 'image', 'label'.*inputs= takes a key"),
        (twice, [{"image": INPUTS}], {"inputs": "x"}, ValueError, "inputs='x' picks nothing.* the keys 'image'"),
        (twice, [(INPUTS, LABELS)], {"inputs": 2}, ValueError, "inputs=2 picks nothing from batch 0.* type tuple"),
        (twice, [[INPUTS]], {"inputs": "image"}, ValueError, "inputs='image' picks nothing from batch 0.* type list"),
        (twice, [[]], {}, ValueError, "inputs=0 picks nothing from batch 0.* type list"),
        (
            lambda x: (x, x),
            [INPUTS.abs() + 1, INPUTS],
            {"scale": "variance"},
            ValueError,
            "^the output of the encoder for batch 1: from_variance got negative values",
        ),
    ],
)
def test_what_cannot_be_encoded_says_why(encoder, batches, options, error, says):
    with pytest.raises(error, match=says):
        encode(encoder, batches, **options)


def test_the_encoder_of_diffusers_is_run_through_its_method():
    diffusers = pytest.importorskip("diffusers")
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8,), norm_num_groups=4, latent_channels=2, layers_per_block=1, sample_size=8
    )
    images = torch.randn(6, 3, 8, 8)
    found = encode(vae.encode, loader(images, batch_size=4))
    with torch.no_grad():
        want = copy.deepcopy(vae).eval().encode(images).latent_dist
    assert found.event_shape == (2, 8, 8)
    assert_close(found.mean, want.mean, rtol=1e-4, atol=1e-5)
    assert_close(found.scale.value, want.logvar, rtol=1e-4, atol=1e-5)
    assert found.scale.parameterization == "logvar"
