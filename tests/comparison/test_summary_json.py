"""Summaries as text and back: every bit, and one line for what is no summary."""

import base64
import hashlib
import json
import math
import re
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch

from kullback import Gaussian
from kullback.alignment.fitting import Plan
from kullback.alignment.maps import Map
from kullback.comparison.leftover import Leftovers
from kullback.comparison.summary import Summary
from kullback.errors import PosteriorFileError
from kullback.io.rows import RowBatch, Skipped

SKIPPED = Skipped(2, ("column 'mu', row 3: nan", "id '\x1b'"))


def batch(*gaussians, ids=None):
    count = len(gaussians[0])
    return RowBatch(torch.arange(count), range(count) if ids is None else ids, gaussians, SKIPPED)


def mean_of(n, d):
    return torch.randn(n, d, dtype=torch.float64)


def diagonal(n, d=3):
    return Gaussian.from_logvar(mean_of(n, d), mean_of(n, d))


KINDS = {
    "logvar": diagonal,
    "images": lambda n: Gaussian.from_std(mean_of(n, 8).reshape(n, 2, 2, 2), 0.5, event_dims=3),
    "float32": lambda n: Gaussian.from_variance(torch.randn(n, 3), torch.rand(n, 3) + 0.1),
    "covariance": lambda n: Gaussian.from_covariance(mean_of(n, 2), torch.eye(2, dtype=torch.float64).repeat(n, 1, 1)),
    "tril": lambda n: Gaussian.from_scale_tril(mean_of(n, 2), torch.eye(2, dtype=torch.float64)),
    "precision": lambda n: Gaussian.from_precision(mean_of(n, 2), 2 * torch.eye(2, dtype=torch.float64)),
    "low rank": lambda n: Gaussian.from_low_rank(mean_of(n, 3), mean_of(n, 6).reshape(n, 3, 2), torch.ones(n, 3)),
    "factor": lambda n: Gaussian.from_factor(mean_of(n, 3), mean_of(n, 3)[:, :, None], singular=True),
    "singular": lambda n: Gaussian.from_covariance(mean_of(n, 2), torch.ones(n, 2, 2).double(), singular=True),
}


def same(a, b):
    """Whether two objects are the same in every bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if is_dataclass(a):
        return type(a) is type(b) and all(
            # What kind of array a caller of a Gaussian works with is no part of the numbers.
            same(getattr(a, f.name), getattr(b, f.name))
            for f in fields(a)
            if f.name != "array_kind"
        )
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and [*map(type, a)] == [*map(type, b)] and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes() or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


def summary_of(kind, *, align=True):
    a, b = KINDS[kind](12), KINDS[kind](12)
    origins = tuple(g.mean.double().flatten(1).mean(0) for g in (a, b))
    empty = Summary.empty(4, Plan(12, origins) if align else None, 12)
    return empty.update(batch(a, b, ids=[f"é\ud800{i}" for i in range(12)]), Gaussian.standard(a.event_shape))


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_comes_back_to_the_bit_and_goes_on(kind):
    summary = summary_of(kind)
    again = Summary.from_json(summary.to_json())
    assert same(summary, again)
    assert again.to_json() == summary.to_json()
    assert same(again.merge(summary), summary.merge(summary))


def test_numbers_that_json_does_not_have_and_every_kind_of_id():
    mean = torch.tensor([[0.0], [1e200], [-0.0], [torch.nan]], dtype=torch.float64)
    one = Gaussian.from_std(mean, 5e-324, validate=False)
    summary = Summary.empty(4).update(batch(one, ids=[2**63 - 1, -1, 0, 7]), Gaussian.from_std([0.5], 1.0))
    assert {*summary.divergences["rate_a"].largest.values} >= {math.inf}
    assert same(summary, Summary.from_json(summary.to_json()))
    assert same(Summary.empty(), Summary.from_json(Summary.empty().to_json()))


def test_leftovers_come_back_to_the_bit():
    rows = batch(diagonal(20), diagonal(20))
    turn = torch.linalg.qr(mean_of(3, 3))[0]
    maps = {"permutation": Map.identity(3), "rotation+shift": Map(turn, torch.ones(3, dtype=torch.float64))}
    left = Leftovers({}).update(rows, maps, 5, 20)
    assert same(left, Leftovers.from_json(left.to_json()))
    assert same(Leftovers({}), Leftovers.from_json(Leftovers({}).to_json()))
    with pytest.raises(
        PosteriorFileError, match=r"^this text cannot be read as kullback.summary: its format is 'kullb"
    ):
        Summary.from_json(left.to_json())


def test_the_text_is_what_is_documented():
    whole = json.loads(summary_of("logvar").to_json())
    assert (whole["format"], whole["version"]) == ("kullback.summary", 1)
    content = whole["content"]
    text = json.dumps(content, separators=(",", ":"))
    assert whole["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    mean = content["models"]["a"]["means"]["mean"]
    assert len(np.frombuffer(base64.b64decode(mean["float64"]), "<f8")) == mean["shape"][0] == 3
    assert content["skipped"] == {"count": 2, "first": list(SKIPPED.first)}
    assert content["between"]["ab"]["pair"][0]["scale"]["kind"] == "logvar"


def test_a_text_that_is_damaged_is_refused_in_one_line():
    text = summary_of("logvar").to_json()
    for damaged in (text[:-1], text[: len(text) // 2], "", "[]", "null", "{}", '"x"', "[" * 100_000):
        with pytest.raises(PosteriorFileError, match=r"^this text cannot be read as kullback.summary: [^\n]*\.$"):
            Summary.from_json(damaged)
    for place in np.random.default_rng(0).integers(text.index('"sha256"'), len(text), 200).tolist():
        with pytest.raises(PosteriorFileError, match=r"^[^\n]*$"):
            Summary.from_json(text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :])
    later = text.replace('"version":1', '"version":2', 1)
    with pytest.raises(PosteriorFileError, match=r"it has version 2, and kullback \S+ reads version 1\. It was writt"):
        Summary.from_json(later)


@pytest.mark.parametrize(
    ("place", "wrong", "says"),
    [
        (["kept"], True, "content.kept: expected an integer, got True"),
        (["models"], [], "content.models: expected an object, got []"),
        (["between"], {"rate_c": {}}, "content.between: expected keys among ab, ba, rate_a, rate_b, got 'rate_c'"),
        (["skipped"], {"count": 1}, "content.skipped: expected an object with count, first, got ['count']"),
        (["skipped", "first"], [1], "content.skipped.first[0]: expected a string, got 1"),
        (["plan", "origins"], [], "content.plan.origins: expected 2 values, got []"),
        (["between", "ab", "largest", "ids"], [1.5], "content.between.ab.largest.ids[0]: expected an id, got 1.5"),
        (["between", "ab", "values", "unit"], "x", "content.between.ab.values.unit: expected a number, got 'x'"),
        (
            ["models", "a", "means", "mean"],
            {"shape": [3], "float64": "AAAA"},
            "content.models.a.means.mean: expected base64 of 3 numbers of eight bytes, got 'AAAA'",
        ),
        (
            ["reservoir", "templates"],
            [{"event_dims": 1, "mean": {"shape": [0], "float64": ""}, "scale": {"kind": "x", "tensors": []}}],
            "content.reservoir.templates[0].scale: expected a kind among std, ",
        ),
    ],
)
def test_a_text_of_other_types_is_refused_with_the_place(place, wrong, says):
    whole = json.loads(summary_of("logvar").to_json())
    parent = whole["content"]
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = wrong
    digest = hashlib.sha256(json.dumps(whole["content"], separators=(",", ":")).encode()).hexdigest()
    with pytest.raises(PosteriorFileError, match=re.escape(says)) as caught:
        Summary.from_json(json.dumps({**whole, "sha256": digest}))
    assert "\n" not in str(caught.value)
