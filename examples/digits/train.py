"""Train a standard VAE and a beta-VAE on scikit-learn's handwritten digits, and write down their posteriors.

Both are small multilayer perceptrons on the 1,797 images of 8 x 8 pixels, with ten latent dimensions; they differ in
the weight of the KL term (1 and 4) and in their seed, so their latent coordinates need not correspond.

    python examples/digits/train.py --out trained
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from kullback import Gaussian, kl_divergence

LATENT = 10
PIXEL_STD = 0.2
MODELS = {"standard": {"beta": 1.0, "seed": 1}, "beta": {"beta": 4.0, "seed": 2}}


class VAE(nn.Module):
    """An encoder to means and log-variances, and a decoder to the means of Gaussian pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
        self.mean = nn.Linear(128, LATENT)
        self.logvar = nn.Linear(128, LATENT)
        self.decoder = nn.Sequential(nn.Linear(LATENT, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU())
        self.pixels = nn.Linear(256, 64)

    def encode(self, x: Tensor) -> Gaussian:
        """The posteriors of a batch of images."""
        hidden = self.encoder(x)
        return Gaussian.from_logvar(self.mean(hidden), self.logvar(hidden))

    def loss(self, x: Tensor, beta: float) -> Tensor:
        """The negative evidence lower bound, with the KL term weighted by beta."""
        posterior = self.encode(x)
        z = posterior.sample(1)[0]
        pixels = Gaussian.from_std(self.pixels(self.decoder(z)), PIXEL_STD)
        return (beta * kl_divergence(posterior, Gaussian.standard(LATENT)) - pixels.log_prob(x)).mean()


def train(images: Tensor, *, beta: float, seed: int, epochs: int) -> VAE:
    """A VAE trained on the images from this seed."""
    torch.manual_seed(seed)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            loss = model.loss(images[batch], beta)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        if (epoch + 1) % 50 == 0:
            print(f"beta {beta:g}, epoch {epoch + 1}: loss {total / len(images):.2f} nats an image", flush=True)
    return model


def main() -> None:
    """Train both and write their posteriors over all images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder for standard.npz and beta.npz")
    parser.add_argument("--epochs", type=int, default=200)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    images = torch.from_numpy(load_digits().data).float() / 16
    for name, settings in MODELS.items():
        model = train(images, epochs=arguments.epochs, **settings)
        with torch.no_grad():
            posterior = model.encode(images)
        path = arguments.out / f"{name}.npz"
        np.savez_compressed(path, mu=posterior.mean.numpy(), logvar=posterior.scale.value.numpy())
        print(f"{path}: posteriors of {len(images)} images in {LATENT} dimensions")


if __name__ == "__main__":
    main()
