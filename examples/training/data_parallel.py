"""A VAE trained by several processes whose batches differ in size: losses and metrics are those of all rows.

python examples/training/data_parallel.py --processes 2
"""

import argparse
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torchmetrics import MetricCollection

from kullback import Gaussian
from kullback.losses import kl_loss
from kullback.metrics import ActiveUnits, Rate

LATENTS = 2


class VAE(nn.Module):
    """Returns the mean squared error, and the posteriors as means and log-variances."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(width, 2 * LATENTS), nn.Linear(LATENTS, width)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of a batch, with the noise of its latents."""
        mean, logvar = self.encoder(x).chunk(2, -1)
        z = mean + (0.5 * logvar).exp() * noise
        return (self.decoder(z) - x).square().sum(-1).mean(), mean, logvar


def work(rank: int, processes: int, folder: str, epochs: int) -> None:
    """Train in one of the processes, and leave what each epoch gave in the folder."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes)
    torch.manual_seed(0)
    model = DistributedDataParallel(VAE(6).double())
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    metrics = MetricCollection({"rate": Rate(), "active_units": ActiveUnits()})
    # 23 rows, in batches of 8 for all processes together; each row is in one process alone.
    rows, noise = torch.randn(23, 6, dtype=torch.float64), torch.randn(epochs, 23, LATENTS, dtype=torch.float64)
    rows[:, :3] += rows[:, 3:] * 2.0
    history = []
    for epoch in range(epochs):
        for batch in torch.arange(len(rows)).split(8):
            own = batch[rank::processes]
            error, mean, logvar = model(rows[own], noise[epoch, own])
            posteriors = Gaussian.from_logvar(mean, logvar)
            loss = error + kl_loss(posteriors, Gaussian.standard(LATENTS))
            # The processes' gradients are averaged: a mean over more rows has to count for more.
            optimizer.zero_grad()
            (loss * (len(own) * processes / len(batch))).backward()
            optimizer.step()
            metrics.update(p=posteriors)
        # Over the rows of all processes; each of them has to ask.
        history.append({name: float(value) for name, value in metrics.compute().items()})
        metrics.reset()
    if rank == 0:
        torch.save(history, Path(folder) / "history.pt")
    dist.destroy_process_group()


def train(processes: int = 2, epochs: int = 10) -> list[dict[str, float]]:
    """The metrics of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (processes, folder, epochs), nprocs=processes)
        history: list[dict[str, float]] = torch.load(Path(folder) / "history.pt")
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    for epoch, values in enumerate(train(options.processes, options.epochs)):
        print(f"epoch {epoch}: rate {values['rate']:.6f} nats, {values['active_units']:.0f} active dimensions")
