"""What processes that train together do with metrics and distributed tensors; ``workers.py`` runs it."""

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torchmetrics import MetricCollection

from kullback import Gaussian, hellinger, jeffreys, kl_divergence, kl_per_dimension, pairwise, wasserstein2
from kullback.losses import balanced_kl, free_bits, kl_loss, sum_kl
from kullback.metrics import ActiveUnits, GaussianKL, KLPerDimension, MutualInformation, Rate

ROWS, D = 23, 3
STANDARD = Gaussian.standard(D)


def parameters(n=ROWS, dtype=torch.float64):
    """Means and log-variances of a few rows."""
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, n, D, generator=generator, dtype=torch.float64).to(dtype)
    return mean * torch.tensor([1.0, 1.0, 1e-3], dtype=dtype), logvar


def batches(rank, world):
    """The batches of one process, the last of them shorter: the last rank has 4 rows less, in batches of 5."""
    per_rank = -(-ROWS // world)
    g = Gaussian.from_logvar(*parameters())[rank * per_rank : (rank + 1) * per_rank]
    return [g[i : i + 5] for i in range(0, len(g), 5)]


def build(**settings):
    """Each metric once, and the group of two that share a state."""
    metrics = {
        "kl": GaussianKL(**settings),
        "dimensions": KLPerDimension(**settings),
        "rate": Rate(**settings),
        "few": ActiveUnits(**settings),
        "many": ActiveUnits(threshold=1e-9, **settings),
        "mi": MutualInformation(size=9, n=256, **settings),
    }
    return MetricCollection(metrics)


def results(metrics):
    """All that metrics tell."""
    values = metrics.compute()
    errors = {f"{name} error": metrics[name].standard_error for name in ("kl", "dimensions", "rate", "mi")}
    return {**values, **errors, "mask": metrics["few"].mask, "rows": metrics["kl"].rows}


def epochs(rank, world):
    """Two epochs, by update and by forward; values are asked for amid an epoch too, which counts nothing twice."""
    metrics, found = build(), []
    for call in (metrics.update, metrics):
        for batch in batches(rank, world):
            call(p=batch, q=STANDARD)
        metrics.compute()
        metrics.compute()
        found.append(results(metrics))
        metrics.reset()
    return found


def one_rank_has_no_rows(rank, world):
    """Rank 0 has all rows."""
    metrics = build()
    for batch in batches(0, 1):
        metrics.update(p=batch if rank == 0 else batch[:0], q=STANDARD)
    return results(metrics)


def no_rank_has_rows(rank, world):
    """Batches without rows."""
    metrics = build()
    metrics.update(p=batches(0, 1)[0][:0], q=STANDARD)
    return metrics.compute()


def each_step(rank, world):
    """Values of each step over both processes, and a checkpoint of all rows, loaded by one process."""
    metrics = build(dist_sync_on_step=True)
    first, rest = batches(rank, world)[0], batches(rank, world)[1:]
    step = metrics(p=first, q=STANDARD)
    rate = Rate()
    rate.persistent(True)
    rate.update(first)
    with rate.sync_context():
        saved = rate.state_dict()
    resumed = Rate()
    if rank == 0:
        resumed.load_state_dict(saved, strict=False)
    else:
        resumed.update(first[:0])
    for batch in rest:
        metrics.update(p=batch, q=STANDARD)
        resumed.update(batch)
    return {"step": step, "all": metrics.compute(), "resumed": resumed.compute()}


def refused(function):
    """The message of an error."""
    try:
        function()
    except (TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def distributed_tensors(rank, world):
    """Divergences of distributed tensors, in full, by placement; and what is refused."""
    mesh = init_device_mesh("cpu", (world,))
    found = {}
    # Five rows do not divide.
    mean, logvar = parameters(5)
    for name, placement in (("rows", Shard(0)), ("dimensions", Shard(1)), ("replicated", Replicate())):
        leaves = [distribute_tensor(x, mesh, [placement]).requires_grad_() for x in (mean, logvar)]
        g = Gaussian.from_logvar(*leaves)
        divergences = (kl_divergence, kl_per_dimension, jeffreys, hellinger, wasserstein2)
        values = {f.__name__: f(g, STANDARD) for f in divergences}
        values["both"] = kl_divergence(g, Gaussian.from_std(torch.zeros_like(g.mean), torch.ones_like(g.mean)))
        values["pairwise"] = pairwise(g, g)
        values["kl_loss"] = kl_loss(g, STANDARD)
        values["free_bits"] = free_bits(g, STANDARD, per_dimension=0.5)
        values["balanced_kl"] = balanced_kl(g, STANDARD)
        values["sum_kl"] = sum_kl({"weight": g}).total
        gradients = torch.autograd.grad(values["kl_loss"], leaves)
        assert all(isinstance(x, DTensor) for x in (*values.values(), *gradients))
        found[name] = {key: x.full_tensor().detach() for key, x in values.items()}
        found[name] |= {"grad mean": gradients[0].full_tensor(), "grad logvar": gradients[1].full_tensor()}
    partial = DTensor.from_local(mean / world, mesh, [Partial()])
    rows = Gaussian.from_logvar(partial, distribute_tensor(logvar, mesh, [Replicate()]))
    found["partial"] = kl_divergence(rows, STANDARD).full_tensor()
    local = Gaussian.from_std(torch.zeros(5, D, dtype=torch.float64), 1.0)
    tril = torch.eye(D, dtype=torch.float64).expand(5, D, D).contiguous()
    full = Gaussian.from_scale_tril(rows.mean, distribute_tensor(tril, mesh, [Replicate()]))
    found["refused"] = {
        "mixed": refused(lambda: kl_divergence(rows, local)),
        "mixed in one": refused(lambda: kl_divergence(Gaussian.from_logvar(mean, rows.scale.value), STANDARD)),
        "full": refused(lambda: kl_divergence(full, STANDARD)),
        "metric": refused(lambda: GaussianKL().update(rows, STANDARD)),
        "sample": refused(lambda: MutualInformation().update(rows)),
        "units": refused(lambda: ActiveUnits().update(rows)),
    }
    return found


def everything(rank, world):
    """All of these in one start of the processes, which takes longest."""
    parts = (epochs, one_rank_has_no_rows, no_rank_has_rows, each_step, distributed_tensors)
    return {part.__name__: part(rank, world) for part in parts}
