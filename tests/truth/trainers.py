"""The loops of Lightning's and of transformers' ``Trainer``, as they call their callbacks, and nothing else of them."""

from types import SimpleNamespace

import torch

LIGHTNING_HOOKS = (
    "setup",
    "on_fit_start",
    "on_sanity_check_start",
    "on_sanity_check_end",
    "on_train_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_exception",
    "on_save_checkpoint",
    "on_load_checkpoint",
    "on_train_end",
    "on_fit_end",
    "teardown",
)


class LightningModule(torch.nn.Module):
    """A module that logs."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.logged = {}

    def log(self, name, value, *, sync_dist=False):
        """Lightning takes single numbers and turns them into float32 tensors."""
        value = value if isinstance(value, torch.Tensor) else torch.tensor(value)
        assert value.numel() == 1, "log takes a single number"
        assert not value.requires_grad
        self.logged.setdefault(name, []).append(float(value))


class LightningTrainer:
    """``fit`` with a sanity check, validation amid each epoch, and ``test``."""

    def __init__(self, callbacks, epochs=2, **named):
        keys = [callback.state_key for callback in callbacks]
        assert len(set(keys)) == len(keys), "state keys are unique"
        self.callbacks, self.epochs = callbacks, epochs
        self.__dict__.update(named)

    def call(self, hook, *args):
        for callback in self.callbacks:
            function = getattr(callback, hook)
            if callable(function):
                function(self, self.module, *args)

    def evaluate(self, stage, step, batches):
        self.call(f"on_{stage}_start")
        self.call(f"on_{stage}_epoch_start")
        with torch.no_grad():
            for i, batch in enumerate(batches):
                self.call(f"on_{stage}_batch_start", batch, i, 0)
                self.call(f"on_{stage}_batch_end", step(batch, i), batch, i, 0)
        self.call(f"on_{stage}_epoch_end")
        self.call(f"on_{stage}_end")

    def fit(self, module, batches):
        self.module = module
        for hook in LIGHTNING_HOOKS:
            self.call(hook)
        self.evaluate("validation", module.validation_step, batches[:1])
        module.logged.clear()
        for _ in range(self.epochs):
            self.call("on_train_epoch_start")
            for i, batch in enumerate(batches):
                self.call("on_train_batch_start", batch, i)
                outputs = module.training_step(batch, i)
                # Automatic optimization detaches all but the loss, and passes {} for a step that was skipped.
                outputs = outputs or {}
                if "loss" in outputs:
                    outputs["loss"].backward()
                detached = {k: x.detach() if isinstance(x, torch.Tensor) else x for k, x in outputs.items()}
                self.call("on_train_batch_end", detached, batch, i)
                if i == len(batches) // 2:
                    self.evaluate("validation", module.validation_step, batches)
            self.call("on_train_epoch_end")
        for callback in self.callbacks:
            assert not callback.state_dict()
            callback.load_state_dict({})

    def test(self, module, batches):
        self.module = module
        self.evaluate("test", module.validation_step, batches)


EVENTS = ("on_epoch_begin", "on_step_begin", "on_pre_optimizer_step", "on_optimizer_step", "on_substep_end", "on_save")


class TransformersTrainer:
    """``train`` with a log every few steps and evaluation after each epoch, ``evaluate`` and ``predict``."""

    def __init__(self, model, batches, callbacks, logging_steps=2, world_size=1, process_index=0, loader=None):
        self.model, self.batches, self.callbacks = model, batches, callbacks
        self.args = SimpleNamespace(world_size=world_size, process_index=process_index)
        self.state, self.control = SimpleNamespace(log_history=[], global_step=0), SimpleNamespace()
        self.logging_steps, self.loader = logging_steps, loader or SimpleNamespace()
        self.event("on_init_end")

    def event(self, name, **named):
        named = {"model": self.model, "eval_dataloader": self.loader, "optimizer": None, **named}
        for callback in self.callbacks:
            result = getattr(callback, name)(self.args, self.state, self.control, **named)
            if result is not None:
                self.control = result

    def log(self, logs):
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.event("on_log", logs=logs)

    def train(self, epochs=2):
        self.event("on_train_begin")
        losses = []
        for _ in range(epochs):
            for batch in self.batches:
                self.model.train()
                for name in EVENTS:
                    self.event(name)
                loss = self.model(batch)["loss"]
                loss.backward()
                losses.append(float(loss.detach()))
                self.state.global_step += 1
                self.event("on_step_end")
                if self.state.global_step % self.logging_steps == 0:
                    self.log({"loss": sum(losses) / len(losses), "epoch": 0.0})
                    losses.clear()
            self.event("on_epoch_end")
            self.evaluate()
        self.log({"train_runtime": 1.0, "train_loss": 0.0})
        self.event("on_train_end")

    def _loop(self, prefix):
        self.model.eval()
        with torch.no_grad():
            for i, batch in enumerate(self.batches):
                self.loader.end_of_dataloader = i == len(self.batches) - 1
                self.model(batch)
                self.event("on_prediction_step")
        return {f"{prefix}_loss": 0.0, f"{prefix}_runtime": 1.0}

    def evaluate(self, prefix="eval"):
        metrics = self._loop(prefix)
        self.log(metrics)
        self.event("on_evaluate", metrics=metrics)
        return metrics

    def predict(self):
        metrics = self._loop("test")
        self.event("on_predict", metrics=metrics)
        return metrics
