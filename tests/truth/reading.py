"""Models of files with all their rows, as the commands read them."""

from dataclasses import dataclass

from kullback.gaussians.gaussian import Gaussian
from kullback.io.joining import alone
from kullback.io.model import Model
from kullback.io.posteriors import open_posteriors


@dataclass
class Whole:
    """All rows of a model in memory."""

    name: str
    gaussian: Gaussian
    ids: list | None

    def __len__(self):
        return len(self.gaussian)


def whole(model: Model) -> Whole:
    """A model in memory."""
    rows = alone(model)
    batch = rows.together(range(len(rows)))
    return Whole(model.name, batch.gaussians[0], batch.ids.tolist() if model.has_ids else None)


def read(path, scale=None) -> Whole:
    """The only model of a file in memory."""
    return whole(open_posteriors(path).model(scale=scale))
