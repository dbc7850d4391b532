"""Train four VAEs on scikit-learn's handwritten digits, and write down their posteriors.

All are small multilayer perceptrons on the 1,797 images of 8 x 8 pixels, with ten latent dimensions. The second
differs from the first in its seed alone, the third also in the weight of the KL term (4 instead of 1), the fourth in
its seed and the width of its hidden layers. Their latent coordinates need not correspond.

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
MODELS = {
    "standard": {"beta": 1.0, "width": 1, "seed": 1},
    "reseeded": {"beta": 1.0, "width": 1, "seed": 3},
    "beta": {"beta": 4.0, "width": 1, "seed": 2},
    "wide": {"beta": 1.0, "width": 2, "seed": 4},
}


class VAE(nn.Module):
    """An encoder to means and log-variances, and a decoder to the means of Gaussian pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        outer, inner = 256 * width, 128 * width
        self.encoder = nn.Sequential(nn.Linear(64, outer), nn.ReLU(), nn.Linear(outer, inner), nn.ReLU())
        self.mean = nn.Linear(inner, LATENT)
        self.logvar = nn.Linear(inner, LATENT)
        self.decoder = nn.Sequential(nn.Linear(LATENT, inner), nn.ReLU(), nn.Linear(inner, outer), nn.ReLU())
        self.pixels = nn.Linear(outer, 64)

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


def train(images: Tensor, *, beta: float, width: int, seed: int, epochs: int) -> VAE:
    """A VAE trained on the images from this seed."""
    torch.manual_seed(seed)
    model = VAE(width)
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
            loss_per_image = total / len(images)
            print(f"beta {beta:g}, seed {seed}, epoch {epoch + 1}: {loss_per_image:.2f} nats an image", flush=True)
    return model


def main() -> None:
    """Train the models and write their posteriors over all images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder for their .npz files")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which ones to train")
    parser.add_argument("--epochs", type=int, default=200)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = torch.from_numpy(digits.data).float() / 16
    for name in arguments.models:
        model = train(images, epochs=arguments.epochs, **MODELS[name])
        with torch.no_grad():
            posterior = model.encode(images)
        path = arguments.out / f"{name}.npz"
        columns = {"mu": posterior.mean.numpy(), "logvar": posterior.scale.value.numpy()}
        if name == next(iter(MODELS)):  # One file with the images is enough to show those that differ most.
            columns["image"] = digits.images.astype(np.uint8)
        np.savez_compressed(path, **columns)
        print(f"{path}: posteriors of {len(images)} images in {LATENT} dimensions")


if __name__ == "__main__":
    main()
