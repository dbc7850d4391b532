"""The actor of a soft actor-critic, with a penalty on the divergence from the actor before the step.

The policy is a Gaussian squashed by tanh. The divergence of two squashed Gaussians is that of the Gaussians, exactly. A
known function stands for the critic.

    python examples/policies/sac.py
"""

import torch
from torch import nn
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from kullback import kl_divergence

STEPS, BATCH, TEMPERATURE, PENALTY = 40, 256, 0.1, 0.2


class Actor(nn.Module):
    """Means and logarithms of standard deviations of actions of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 4))

    def forward(self, state: torch.Tensor) -> TransformedDistribution:
        """The distribution of actions between -1 and 1."""
        mean, log_std = self.net(state).chunk(2, -1)
        return TransformedDistribution(
            Independent(Normal(mean, log_std.clamp(-5, 2).exp()), 1), TanhTransform(cache_size=1)
        )


def critic(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Less the square of the distance from the right action."""
    return -(action - state[:, :2].sin()).square().sum(-1)


def train() -> list[float]:
    """The loss of each step."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    actor, losses = Actor(), []
    optimizer = torch.optim.Adam(actor.parameters(), 3e-3)
    before = Actor()
    for _ in range(STEPS):
        before.load_state_dict(actor.state_dict())
        state = torch.randn(BATCH, 4)
        for _ in range(2):
            policy = actor(state)
            action = policy.rsample()
            with torch.no_grad():
                old = before(state)
            loss = (TEMPERATURE * policy.log_prob(action) - critic(state, action)).mean()
            loss = loss + PENALTY * kl_divergence(old, policy).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    torch.set_default_dtype(torch.float32)
    return losses


if __name__ == "__main__":
    print("\n".join(f"{loss:.6f}" for loss in train()))
