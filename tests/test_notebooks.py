"""What notebooks and loggers get of each result: short, honest and escaped."""

import json

import pytest
import torch

from kullback import Gaussian, Mixture, align, compare, kl_bounds, kl_estimate

G = torch.Generator().manual_seed(0)
P = Gaussian.from_std(torch.randn(40, 3, generator=G), 0.5)
Q = Gaussian.from_std(torch.randn(40, 3, generator=G), 0.7)
ESTIMATE = kl_estimate(Mixture.aggregate(P), Mixture.aggregate(Q), n=64, tolerance=1e-9, seed=0)
BATCH = kl_estimate(P, Q, n=64, seed=0)
SHOWN = {
    "(40,)": P,
    "40, given as std": Mixture.aggregate(P),
    "(3,)": Gaussian.standard(3),
    f"{float(ESTIMATE):.6g} nats": ESTIMATE,
    "this pair has a closed form": BATCH,
    "after rotation": align(P, Q),
    "0 to 0 nats": kl_bounds(P[0], P[0]),
    "Bounds": kl_bounds(P[:, None], Q[:, None]),
    "as they stand": compare(P, Q),
}


@pytest.mark.parametrize("text", SHOWN)
def test_a_notebook_shows_the_result(text):
    page = SHOWN[text]._repr_html_()
    assert text in page
    assert "<script" not in page


def test_few_rows_and_wide_errors_are_shown_as_warnings():
    few = align(Gaussian.from_std(torch.randn(8, 5, generator=G), 1.0), Gaussian.from_std(torch.zeros(8, 5), 1.0))
    assert "fewer rows than dimensions" in few._repr_html_()
    assert "warning 1" in ESTIMATE._repr_html_()
    evil = ESTIMATE._replace(method="<script>alert(1)</script>")
    assert "<script" not in evil._repr_html_()


def test_an_estimate_is_a_number_and_a_dictionary():
    assert float(ESTIMATE) == float(ESTIMATE.value)
    data = json.loads(json.dumps(ESTIMATE.to_dict()))
    assert data["value"] == pytest.approx(float(ESTIMATE))
    assert len(data["interval"]) == 2
    assert data["warnings"] == list(ESTIMATE.warnings)
    assert len(BATCH.to_dict()["value"]) == 40
