"""Proximal policy optimization with a Gaussian and a categorical head, and a penalty on how far a policy moves.

A bandit with contexts stands for the environment: an action of two numbers should point where the context does, and one
of three choices is right. Both heads are distributions of torch; ``kl_divergence`` takes either.

    python examples/policies/ppo.py
"""

import torch
from torch import nn
from torch.distributions import Categorical, Independent, Normal

from kullback import kl_divergence

STEPS, EPOCHS, BATCH, PENALTY = 12, 4, 256, 0.5


class Policy(nn.Module):
    """Two heads on one body; the spread of the Gaussian one is a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 32), nn.Tanh())
        self.mean, self.logits = nn.Linear(32, 2), nn.Linear(32, 3)
        self.log_std = nn.Parameter(torch.zeros(2))

    def forward(self, context: torch.Tensor) -> tuple[Independent, Categorical]:
        """The distributions of both actions."""
        hidden = self.body(context)
        gaussian = Independent(Normal(self.mean(hidden), self.log_std.exp()), 1)
        return gaussian, Categorical(logits=self.logits(hidden))


def reward(context: torch.Tensor, action: torch.Tensor, choice: torch.Tensor) -> torch.Tensor:
    """One for the right choice, less the square of the distance from the right action."""
    return (choice == context[:, :3].argmax(-1)).to(context) - (action - context[:, 2:]).square().sum(-1)


def train() -> list[float]:
    """The loss after each epoch."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    policy, losses = Policy(), []
    optimizer = torch.optim.Adam(policy.parameters(), 3e-3)
    for _ in range(STEPS):
        context = torch.randn(BATCH, 4)
        with torch.no_grad():
            old = policy(context)
            drawn = [head.sample() for head in old]
            before = [head.log_prob(x) for head, x in zip(old, drawn, strict=True)]
            gain = reward(context, *drawn)
            advantage = (gain - gain.mean()) / gain.std()
        for _ in range(EPOCHS):
            new = policy(context)
            log_ratio = sum(head.log_prob(x) - b for head, x, b in zip(new, drawn, before, strict=True))
            ratio = log_ratio.exp()
            surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
            penalty = sum(kl_divergence(p, q).mean() for p, q in zip(old, new, strict=True))
            loss = PENALTY * penalty - surrogate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    torch.set_default_dtype(torch.float32)
    return losses


if __name__ == "__main__":
    print("\n".join(f"{loss:.6f}" for loss in train()))
