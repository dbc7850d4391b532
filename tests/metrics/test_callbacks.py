"""What callbacks log is the value over all rows of the epoch, or since the last log."""

import copy
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal
from truth.trainers import LightningModule, LightningTrainer, TransformersTrainer

from kullback import Gaussian, kl_divergence
from kullback.metrics import ActiveUnits, GaussianKL, KLPerDimension, LightningCallback, Rate, TransformersCallback

D = 3
X = torch.randn(22, 5, generator=torch.Generator().manual_seed(0))
BATCHES = list(X.split(5))


def encoder():
    torch.manual_seed(1)
    return torch.nn.Linear(5, 2 * D)


def rates(encode, x):
    """The rate of each row, in NumPy."""
    mean, logvar = np.split(encode(x).detach().double().numpy(), 2, axis=-1)
    return 0.5 * (np.exp(logvar) + mean**2 - 1.0 - logvar).sum(1)


class Lightning(LightningModule):
    def __init__(self):
        super().__init__()
        self.encode = encoder()

    def training_step(self, batch, i):
        mu, logvar = self.encode(batch).chunk(2, -1)
        loss = kl_divergence(Gaussian.from_logvar(mu, logvar), Gaussian.standard(D)).mean()
        return {"loss": loss, "mu": mu, "logvar": logvar}

    validation_step = training_step


class Transformers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = encoder()

    def forward(self, batch):
        mu, logvar = self.encode(batch).chunk(2, -1)
        loss = kl_divergence(Gaussian.from_logvar(mu, logvar), Gaussian.standard(D)).mean()
        return {"loss": loss, "mu": mu, "logvar": logvar}


def pairs(outputs):
    std = (0.5 * outputs["logvar"]).exp()
    return Independent(Normal(outputs["mu"], std), 1), Gaussian.standard(D)


def test_lightning_logs_each_stage_over_all_its_rows():
    module, callback = Lightning(), LightningCallback()
    trainer = LightningTrainer([callback, LightningCallback({"again": Rate()})])
    trainer.fit(module, BATCHES)
    trainer.test(module, BATCHES[:2])
    want = rates(module.encode, X).mean()
    for name in ("train/rate", "val/rate", "train/again"):
        assert module.logged[name] == pytest.approx([want] * 2, rel=1e-6)
    assert module.logged["test/rate"] == pytest.approx([rates(module.encode, X[:10]).mean()], rel=1e-6)
    assert module.logged["train/active_units"] == [float(D)] * 2
    # The mean of the means of uneven batches is another number.
    assert abs(np.mean([rates(module.encode, x).mean() for x in BATCHES]) - want) > 1e-3


def test_lightning_logs_several_numbers_by_themselves_and_takes_pairs():
    module = Lightning()
    metrics = {"kl": GaussianKL(), "dimension": KLPerDimension(), "rate": Rate(), "units": ActiveUnits()}
    LightningTrainer([LightningCallback(metrics, read=pairs)], epochs=1).fit(module, BATCHES)
    logged = {name: value for name, (value,) in module.logged.items()}
    assert {name for name in logged if name.startswith("train/dim")} == {f"train/dimension_{i}" for i in range(D)}
    want = rates(module.encode, X).mean()
    assert logged["val/kl"] == pytest.approx(want, rel=1e-5)
    assert sum(logged[f"val/dimension_{i}"] for i in range(D)) == pytest.approx(want, rel=1e-5)
    assert metrics["kl"].rows == 0


def test_steps_that_return_nothing_are_not_counted():
    class Skips(Lightning):
        def training_step(self, batch, i):
            return None if i == 1 else super().training_step(batch, i)

        def validation_step(self, batch, i):
            return None

    module = Skips()
    LightningTrainer([LightningCallback({"rate": Rate()})], epochs=1).fit(module, BATCHES)
    kept = torch.cat([BATCHES[0], *BATCHES[2:]])
    assert module.logged["train/rate"] == pytest.approx([rates(module.encode, kept).mean()], rel=1e-6)
    assert all(map(math.isnan, module.logged["val/rate"]))


def test_a_sampler_that_repeats_rows_is_warned_of():
    class Sampler(torch.utils.data.DistributedSampler):
        pass

    loader = SimpleNamespace(sampler=Sampler(range(5), num_replicas=2, rank=0))
    trainer = LightningTrainer([LightningCallback()], test_dataloaders=[loader])
    with pytest.warns(UserWarning, match="repeats 1 of 6 rows"):
        trainer.test(Lightning(), BATCHES)
    trainer.test_dataloaders = SimpleNamespace(sampler=Sampler(range(6), num_replicas=2, rank=0))
    trainer.test(Lightning(), BATCHES)


def test_transformers_adds_metrics_since_the_last_log_and_of_evaluations():
    model, callback, heard = Transformers(), TransformersCallback(), []
    reporter = TransformersCallback({"other": Rate()})
    trainer = TransformersTrainer(model, BATCHES, [callback, reporter], logging_steps=len(BATCHES))
    # What a model is asked outside of the trainer is no evaluation.
    model.eval()
    model(X + 100.0)
    trainer.train()
    heard = trainer.state.log_history
    want = rates(model.encode, X).mean()
    training = [x for x in heard if "loss" in x]
    assert [x["rate"] for x in training] == pytest.approx([want] * 2, rel=1e-6)
    assert [x["other"] for x in training] == [x["rate"] for x in training]
    assert [x["eval_rate"] for x in heard if "eval_loss" in x] == pytest.approx([want] * 2, rel=1e-6)
    assert [x["eval_active_units"] for x in heard if "eval_loss" in x] == [float(D)] * 2
    assert "rate" not in heard[-1]
    assert not any(name.endswith("rate") for name in heard[-1])
    assert trainer.evaluate()["eval_rate"] == pytest.approx(want, rel=1e-6)
    assert trainer.predict()["test_rate"] == pytest.approx(want, rel=1e-6)
    assert trainer.evaluate("eval_other")["eval_other_rate"] == pytest.approx(want, rel=1e-6)
    trainer.log({"something": 1.0})
    assert "rate" not in trainer.state.log_history[-1]


def test_an_evaluation_that_is_not_logged_has_its_metrics_too():
    class Quiet(TransformersTrainer):
        def log(self, logs):
            pass

    model = Transformers()
    trainer = Quiet(model, BATCHES, [TransformersCallback({"rate": Rate()}, read=pairs)])
    assert trainer.evaluate()["eval_rate"] == pytest.approx(rates(model.encode, X).mean(), rel=1e-5)


@pytest.mark.parametrize("outputs", [dict, lambda x: tuple(x.values())])
def test_rows_that_make_batches_even_are_left_out_of_an_evaluation(outputs):
    """Two processes with batches of 4: in the last batch the second has 2 rows of its own, and 2 that are repeated."""

    class Model(Transformers):
        def forward(self, batch):
            return outputs(super().forward(batch))

    model, found = Model(), {}
    for rank, batches in ((0, [X[:4], X[8:12], X[16:20]]), (1, [X[4:8], X[12:16], torch.cat([X[20:], X[:2]])])):
        loader = SimpleNamespace(remainder=6, total_batch_size=8)
        read = {"read": lambda o: Gaussian.from_logvar(*o[-2:])} if outputs is not dict else {}
        callback = TransformersCallback({"rate": Rate()}, **read)
        trainer = TransformersTrainer(model, batches, [callback], world_size=2, process_index=rank, loader=loader)
        found[rank] = trainer.evaluate()["eval_rate"]
    assert found[0] == pytest.approx(rates(model.encode, torch.cat([X[:4], X[8:12], X[16:20]])).mean(), rel=1e-6)
    assert found[1] == pytest.approx(rates(model.encode, torch.cat([X[4:8], X[12:16], X[20:]])).mean(), rel=1e-6)


def test_another_model_is_listened_to_instead():
    callback, first, second = TransformersCallback(), Transformers(), Transformers()
    TransformersTrainer(first, BATCHES, [callback])
    trainer = TransformersTrainer(second, BATCHES, [callback])
    trainer.evaluate()
    assert not first._forward_hooks
    assert len(second._forward_hooks) == 1


def test_replicas_that_run_at_once_are_refused():
    callback, model = TransformersCallback(), Transformers()
    TransformersTrainer(model, BATCHES, [callback])
    with pytest.raises(RuntimeError, match="torchrun"):
        model._replicate_for_data_parallel()(BATCHES[0])


@pytest.mark.parametrize("callback", [LightningCallback, TransformersCallback])
def test_arguments_are_checked_at_once(callback):
    with pytest.raises(TypeError, match="needs p and q"):
        callback({"kl": GaussianKL()})
    with pytest.raises(TypeError, match="read is a function"):
        callback(read="mu")
    with pytest.raises(AttributeError):
        callback().something  # noqa: B018
    assert not hasattr(callback(), "__len__")
    copy.deepcopy(callback())
    pickle.loads(pickle.dumps(callback(read=pairs)))


@pytest.mark.parametrize("outputs", [{"loss": 1.0, "z_mean": 2.0}, torch.zeros(()), (1.0, 2.0)])
def test_what_has_no_posteriors_is_an_error_that_says_what_it_has(outputs):
    callback = LightningCallback()
    with pytest.raises(KeyError, match="no 'mu' in what the model returned"):
        callback.on_validation_batch_end(None, Lightning(), outputs, None, 0)
    named = LightningCallback({"rate": Rate()}, mu="z_mean", logvar="z_logvar", event_dims=3)
    latents = SimpleNamespace(z_mean=torch.ones(2, 1, 2, 2), z_logvar=torch.zeros(2, 1, 2, 2))
    module = Lightning()
    named.on_validation_batch_end(None, module, latents, None, 0)
    named.on_validation_epoch_end(None, module)
    assert module.logged == {"val/rate": [2.0]}
    with pytest.raises(ValueError, match="got 3 values"):
        LightningCallback(read=lambda o: (1, 2, 3)).on_test_batch_end(None, module, outputs, None, 0)
