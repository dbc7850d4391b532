"""A batch of Gaussians, built by a ``from_*`` constructor.

Longer than most files because half of it is docstrings: it is the interface that everybody meets first. What
constructors do stands in ``inputs.py``, what scales do in ``scales/``, what indices mean in ``indexing.py``.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.gaussians import inputs
from kullback.gaussians.indexing import batch_index, coordinate_index
from kullback.gaussians.moments import STRUCTURES, check_batch_of_samples, mean_and_scale
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal, Isotropic, Parameterization
from kullback.gaussians.scales.matrix import Dense, Precision, Tril
from kullback.gaussians.scales.stack import stack_scales
from kullback.gaussians.singular import scale_of_covariance, scale_of_factor, with_density
from kullback.gaussians.validation import (
    check_factor,
    check_finite,
    check_positive_definite,
    shape_of,
    triangular,
)
from kullback.numerics.arrays import FLOATING, ArrayKind, common_array_kind, to_callers_type, to_tensor
from kullback.numerics.display import table
from kullback.numerics.immutable import cached, register_pytree
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast, result_dtype


@dataclass(frozen=True, eq=False, repr=False)
class Gaussian:
    r"""A batch of Gaussians :math:`\mathcal N(\mu, \Sigma)`, built by a ``from_*`` constructor.

    Shape:
        The last ``event_dims`` dimensions of the mean are one Gaussian's coordinates (``event_shape``; 1 by default,
        3 for image latents ``(B, C, H, W)``, 0 for independent one-dimensional Gaussians). Everything before is batch,
        and broadcasts; events never do.

    A Gaussian keeps what it was given: means, and scales as standard deviations, variances, logarithms of either,
    covariances, their Cholesky factors, precisions, or low-rank factors. It forms a d × d matrix of nothing else unless
    a formula says so. If everything was NumPy (or lists), results are NumPy arrays. Instances are immutable pytrees of
    torch.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> Gaussian.from_logvar(torch.zeros(32, 64), torch.zeros(32, 64))
        Gaussian(batch_shape=(32,), event_shape=(64,), given as logvar, dtype=float32, device=cpu)
    """

    mean: Tensor
    """The mean, of the shape it was given in."""
    scale: Scale
    event_dims: int = 1
    """The number of event dimensions."""
    array_kind: ArrayKind = ArrayKind.TORCH

    def __post_init__(self) -> None:
        if not hasattr(self.scale, "is_diagonal"):
            raise TypeError(
                "Gaussian(mean, scale)? Say what the scale is: from_std, from_variance, from_logvar or from_covariance."
            )

    @classmethod
    def from_std(cls, mean: Any, std: Any, *, event_dims: int = 1, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and standard deviations.

        Args:
            mean: shape ``(*batch, *event)``. Tensor, NumPy array or list; integers become torch's default dtype in a
                tensor, float64 in an array or a list.
            std: shape ``(*batch, *event)``, positive; a number is one scale for every coordinate, and ``(*batch, 1)``
                (or ``(*batch, 1, 1, 1)`` beside images) is one for every coordinate of each row.
            event_dims: how many of the last dimensions of ``mean`` are one Gaussian's coordinates.
            validate: None checks the values of CPU tensors once; True checks on any device; False never does.

        Raises:
            ShapeError: if the event of ``std`` is not that of ``mean``, or the batches do not broadcast.
            ValueError: if a standard deviation is not positive and finite.

        Example:
            >>> Gaussian.from_std([0.0, 0.0, 0.0], 0.5)
            Gaussian(batch_shape=(), event_shape=(3,), given as std, dtype=float64, device=cpu)
        """
        return _diagonal(mean, std, "std", event_dims, validate=validate)

    @classmethod
    def from_variance(
        cls, mean: Any, variance: Any, *, event_dims: int = 1, validate: bool | None = None
    ) -> "Gaussian":
        """Gaussians from means and variances (squared standard deviations); otherwise as :meth:`from_std`."""
        return _diagonal(mean, variance, "variance", event_dims, validate=validate)

    @classmethod
    def from_logvar(cls, mean: Any, logvar: Any, *, event_dims: int = 1, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and logarithms of variances, as most encoders give them; otherwise as :meth:`from_std`.

        The log-variance is never exponentiated to be taken back: -200 and 200 are ordinary inputs in float32.
        """
        return _diagonal(mean, logvar, "logvar", event_dims, validate=validate)

    @classmethod
    def from_log_std(cls, mean: Any, log_std: Any, *, event_dims: int = 1, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and logarithms of standard deviations, as policies have them; otherwise as
        :meth:`from_logvar`, of twice the logarithms, to the last bit.

        Example:
            >>> from kullback import kl_divergence
            >>> p = Gaussian.from_log_std([0.0], [-1.0])
            >>> kl_divergence(p, Gaussian.from_logvar([0.0], [-2.0]))
            array(0.)
        """
        return _diagonal(mean, log_std, "log_std", event_dims, validate=validate)

    @classmethod
    def from_covariance(
        cls, mean: Any, covariance: Any, *, singular: bool = False, validate: bool | None = None
    ) -> "Gaussian":
        """Gaussians from means and covariance matrices.

        Args:
            mean: shape ``(*batch, d)``. Tensor, NumPy array or list; a number stands for d of them.
            covariance: shape ``(*batch, d, d)``, symmetric and positive definite.
            singular: take positive semidefinite matrices too, such as those of features of fewer images than features.
                If one is singular, the batch is kept as factors W of the covariances W Wᵀ. A pivot of a correlation
                matrix counts as 0 below max(4 d, 32) units of the precision of its dtype.
            validate: None checks the values of CPU tensors once; True checks on any device; False never does.

        Raises:
            ShapeError: if the matrix does not fit the mean, or the batches do not broadcast.
            NotPositiveDefinite: if a matrix is singular or not positive definite, with its index and the pivot;
                with ``singular``, if it is not positive semidefinite.
            ValueError: if a matrix is not symmetric or not finite.

        Example:
            >>> Gaussian.from_covariance([0.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
            Gaussian(batch_shape=(), event_shape=(2,), given as covariance, dtype=float64, device=cpu)
        """
        location, matrix, kind = inputs.mean_and_matrix(mean, covariance, "covariance", validate=validate)
        if singular:
            return Gaussian(location, scale_of_covariance(matrix), 1, kind)
        check_positive_definite(matrix, "covariance", validate=validate)
        return Gaussian(location, Dense(matrix), 1, kind)

    @classmethod
    def from_scale_tril(cls, mean: Any, scale_tril: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and lower Cholesky factors L of the covariance L Lᵀ, ``(*batch, d, d)`` with a positive
        diagonal; otherwise as :meth:`from_covariance`.
        """
        location, matrix, kind = inputs.mean_and_matrix(mean, scale_tril, "scale_tril", validate=validate)
        check_factor(matrix, "scale_tril", validate=validate)
        return Gaussian(location, Tril(matrix), 1, kind)

    @classmethod
    def from_factor(cls, mean: Any, factor: Any, *, singular: bool = False, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and any factors A of the covariance A Aᵀ, such as a rotation times scales.

        The covariance is never formed, which would square the condition of A: of a box of 1000 by 0.01 float32 keeps
        no digit of it. With fewer columns than rows the Gaussian is singular: on a subspace, without a density.

        Args:
            mean: shape ``(*batch, d)``.
            factor: shape ``(*batch, d, r)``; for r at least d of full rank.
            singular: take factors of lower rank too, such as boxes without width.
            validate: as in :meth:`from_covariance`.

        Raises:
            ShapeError: if the factor does not fit the mean, or the batches do not broadcast.
            NotPositiveDefinite: if a row is a linear function of those before it, and not ``singular``.
            ValueError: if a factor is not finite.

        Example:
            >>> from kullback import kl_divergence
            >>> turn, scales = torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.tensor([2.0, 3.0])
            >>> p = Gaussian.from_factor(torch.zeros(2), turn * scales)
            >>> kl_divergence(p, Gaussian.from_std(torch.zeros(2), torch.tensor([3.0, 2.0])))
            tensor(0.)
        """
        location, matrix, kind = inputs.mean_and_matrix(mean, factor, "factor", validate=validate, square=False)
        check_finite(matrix, "factor", validate=validate)
        if singular or matrix.shape[-1] < matrix.shape[-2]:
            return Gaussian(location, scale_of_factor(matrix), 1, kind)
        return Gaussian(location, Tril(triangular(matrix, validate=validate)), 1, kind)

    @classmethod
    def from_rotation_scale(
        cls,
        mean: Any,
        rotation: Any,
        scale: Any = None,
        *,
        log_scale: Any = None,
        singular: bool = False,
        validate: bool | None = None,
    ) -> "Gaussian":
        """Gaussians from means, rotations R and standard deviations s along their axes, as of boxes and splats: of
        the covariance R diag(s²) Rᵀ.

        Args:
            mean: shape ``(*batch, d)``.
            rotation: shape ``(*batch, d, d)``, orthogonal; or for d = 3 quaternions ``(*batch, 4)``, (w, x, y, z) of
                any length but 0.
            scale: shape ``(*batch, d)``, positive; the columns of R are the axes.
            log_scale: its logarithm instead.
            singular: take scales of 0 too, as of surfels.
            validate: as in :meth:`from_factor`, whose errors it shares.

        Example:
            >>> Gaussian.from_rotation_scale(torch.zeros(3), torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.ones(3))
            Gaussian(batch_shape=(), event_shape=(3,), given as scale_tril, dtype=float32, device=cpu)
        """
        factor, kind = inputs.rotation_scale(mean, rotation, scale, log_scale, singular=singular, validate=validate)
        return cls.from_factor(mean, factor, singular=singular, validate=validate).with_array_kind(kind)

    @classmethod
    def from_precision(cls, mean: Any, precision: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and precisions (inverses of covariances), ``(*batch, d, d)``, symmetric and positive
        definite; otherwise as :meth:`from_covariance`. Nothing is inverted before a formula has to.
        """
        location, matrix, kind = inputs.mean_and_matrix(mean, precision, "precision", validate=validate)
        check_positive_definite(matrix, "precision", validate=validate)
        return Gaussian(location, Precision(matrix), 1, kind)

    @classmethod
    def from_low_rank(cls, mean: Any, factor: Any, variance: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians with the covariances diag(variance) + factor factorᵀ, of which no d × d matrix is formed.

        Args:
            mean: shape ``(*batch, d)``.
            factor: shape ``(*batch, d, r)``.
            variance: shape ``(*batch, d)``, positive; a number, or ``(*batch, 1)``, is one for every coordinate. The
                number 0 says that the covariance is singular, as in :meth:`from_factor`.
            validate: as in :meth:`from_covariance`, whose errors it shares.

        Example:
            >>> Gaussian.from_low_rank(torch.zeros(1000), torch.ones(1000, 2), 0.1)
            Gaussian(batch_shape=(), event_shape=(1000,), given as low_rank, dtype=float32, device=cpu)
        """
        location, scale, kind = inputs.low_rank(mean, factor, variance, validate=validate)
        return Gaussian(location, scale, 1, kind)

    @classmethod
    def standard(
        cls, d: int | Sequence[int], *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "Gaussian":
        """The standard normal in ``d`` dimensions (or of event shape ``d``).

        Without a dtype and a device it takes both, and the kind of array, from the Gaussians it meets.

        Example:
            >>> Gaussian.standard(64)
            Gaussian(batch_shape=(), event_shape=(64,), given as std, dtype and device of what it meets)
        """
        event = torch.Size([inputs.whole_number(n, "a dimension") for n in (d if isinstance(d, Sequence) else (d,))])
        standard = NumericGaussian(0.0, _UNIT, event)
        return standard if dtype is None and device is None else standard.to(dtype=dtype, device=device)

    @classmethod
    def from_samples(
        cls,
        x: Any,
        *,
        structure: Literal["diagonal", "full", "low_rank"] = "diagonal",
        batch_dims: int | None = None,
    ) -> "Gaussian":
        """The Gaussian with the mean of samples and their unbiased variances (as standard deviations) or covariance.

        Args:
            x: shape ``(n, *batch, d)``, n at least 2: the rows are the samples. ``(n,)`` are samples of numbers.
            structure: ``"diagonal"``; ``"full"``, which needs more samples than coordinates; or ``"low_rank"``, the
                full covariance of any number of samples, singular or not: the centred samples are its factor.
            batch_dims: how many dimensions ``batch`` has. It has to be said for fewer samples than Gaussians, which may
                be chains and draws.

        Raises:
            ShapeError: for another shape.
            ValueError: if a coordinate does not vary.
            NotPositiveDefinite: if the samples lie in fewer dimensions than they have coordinates, for ``"full"``.

        Example:
            >>> Gaussian.from_samples([[-1.0], [0.0], [1.0]]).stddev
            tensor([1.], dtype=torch.float64)
        """
        if structure not in STRUCTURES:
            raise ValueError(f"structure must be one of {', '.join(map(repr, STRUCTURES))}, got {structure!r}.")
        samples, kind = to_tensor(x, "x")
        if not isinstance(samples, Tensor) or samples.ndim < 1 or samples.shape[0] < 2:
            raise ShapeError(f"from_samples needs x of shape (n, d) with n >= 2, got {shape_of(samples)}.")
        samples = samples.to(compute_dtype([samples]))
        if samples.ndim == 1:
            g = Gaussian(*mean_and_scale(samples.unsqueeze(-1), "diagonal"), 1, kind)
            return Gaussian(g.mean[0], g.scale.map(lambda s, _: s[0]), 0, kind)
        check_batch_of_samples(samples.shape, batch_dims)
        mean, scale = mean_and_scale(samples, structure)
        return Gaussian(mean, scale, 1, kind)

    @classmethod
    def stack(cls, gaussians: Iterable["Gaussian"]) -> "Gaussian":
        """Gaussians of one event shape, and batch shapes that broadcast, along a new first batch dimension.

        The parameterization is kept if all have the same. Diagonals that differ become log-variances if one of them is
        that, else standard deviations; diagonal and low-rank scales become low-rank; others Cholesky factors.

        Raises:
            TypeError: for what is no Gaussian; :func:`kullback.as_gaussian` converts those of other libraries.
            ShapeError: if the events differ or the batches do not broadcast.
            ValueError: if there are none.
        """
        gaussians = [check_gaussian(g, f"gaussians[{i}]") for i, g in enumerate(gaussians)]
        if not gaussians:
            raise ValueError("stack needs at least one Gaussian.")
        event = gaussians[0].event_shape
        for other in gaussians[1:]:
            if other.event_shape != event:
                raise ShapeError(f"stack got event shapes {tuple(event)} and {tuple(other.event_shape)}.")
        tensors = [x for g in gaussians for x in g.tensors()]
        # Half precision is kept where nothing has to be converted.
        alike = len({g.scale.parameterization for g in gaussians}) == 1
        dtype, device = (result_dtype if alike else compute_dtype)(tensors), common_device(tensors)
        shapes = [g.batch_shape for g in gaussians]
        batch = broadcast_shapes(
            *shapes, error=lambda: f"stack got batch shapes that do not broadcast: {_listed(shapes)}."
        )
        means = [g.cast_mean(dtype, device).broadcast_to(batch + event) for g in gaussians]
        scale = stack_scales([g.scale for g in gaussians], dtype, device, batch, event)
        return Gaussian(torch.stack(means), scale, len(event), common_array_kind(g.array_kind for g in gaussians))

    @cached
    def event_shape(self) -> torch.Size:
        """The shape of one Gaussian's coordinates."""
        return self.mean.shape[self.mean.ndim - self.event_dims :]

    @cached
    def event_size(self) -> int:
        """The number of coordinates of one Gaussian: its dimension."""
        return math.prod(self.event_shape)

    @cached
    def batch_shape(self) -> torch.Size:
        """The shape of the batch."""
        mean = self.mean.shape[: self.mean.ndim - self.event_dims]
        shapes = [mean, *[x.shape[: x.ndim - n] for x, n in self.scale.parts(self.event_dims) if x.ndim]]
        if len(shapes) == 2 and shapes[0] == shapes[1]:
            return shapes[0]
        return broadcast_shapes(*shapes)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the numbers given promote to; torch's default if they are Python numbers."""
        return result_dtype(self.tensors())

    @property
    def device(self) -> torch.device:
        """The device of what was given."""
        return common_device(self.tensors())

    @cached
    def uniform_dtype_and_device(self) -> tuple[torch.dtype, torch.device] | None:
        """Those of all tensors that were given, if they agree."""
        kinds = {(x.dtype, x.device) for x in self.tensors()}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def variance(self) -> Tensor:
        """The marginal variances, ``(*batch, *event)``, at least float32."""
        p = self._computed()
        return p.scale.variances(self.event_shape).broadcast_to(self.batch_shape + self.event_shape)

    @property
    def stddev(self) -> Tensor:
        """The marginal standard deviations, ``(*batch, *event)``, at least float32."""
        p = self._computed()
        return p.scale.stds(self.event_shape).broadcast_to(self.batch_shape + self.event_shape)

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrices, ``(*batch, d, d)``, at least float32; d is the number of all coordinates."""
        return self._as_matrices(lambda scale: scale.covariance_matrix(self.event_shape))

    @property
    def precision_matrix(self) -> Tensor:
        """The inverses of the covariance matrices, ``(*batch, d, d)``, at least float32; as given where they were."""
        return self._as_matrices(lambda scale: scale.precision_matrix(self.event_shape))

    def _as_matrices(self, of: Callable[[Scale], Tensor]) -> Tensor:
        return of(self._computed().scale).broadcast_to(*self.batch_shape, self.event_size, self.event_size)

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that were given: the mean, and those of the scale."""
        return self._tensors

    @cached
    def _tensors(self) -> tuple[Tensor, ...]:
        return (self.mean, *[x for x, _ in self.scale.parts(self.event_dims)])

    def flat_parameters(self, *parameterizations: Parameterization) -> tuple[Tensor, ...]:
        """The mean, and the scale in each parameterization, of diagonal Gaussians: each ``(*batch, d)``."""
        assert isinstance(self.scale, Diagonal)
        full, flat = self.batch_shape + self.event_shape, (*self.batch_shape, self.event_size)
        scales = (self.scale.to(kind).value for kind in parameterizations)
        return tuple(x.expand(full).reshape(flat) for x in (self.mean, *scales))

    def to(
        self,
        *targets: torch.dtype | torch.device | str | None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> "Gaussian":
        """The same Gaussians in another dtype, on another device, or both; by name, or in any order."""
        for target in targets:
            if isinstance(target, torch.dtype):
                dtype = target
            elif isinstance(target, str) and isinstance(getattr(torch, target, None), torch.dtype):
                raise TypeError(f"to takes a dtype as torch.{target}, not as the text {target!r}.")
            elif target is not None:
                device = target
        dtype = self.dtype if dtype is None else dtype
        device = self.device if device is None else torch.device(device)
        if dtype not in FLOATING:
            raise TypeError(f"a Gaussian is float16, bfloat16, float32 or float64, not {dtype}.")
        scale = self.scale.map(lambda x, _: x.to(device=device, dtype=dtype), self.event_dims)
        mean = self.cast_mean(dtype, device)
        return Gaussian(mean, scale, self.event_dims, self.array_kind)

    def cast(self, dtype: torch.dtype, device: torch.device) -> "Gaussian":
        """Tensors of this dtype and device, for a formula to compute with; NaN for a scale that is not positive."""
        if self.uniform_dtype_and_device == (dtype, device) and not self.scale.is_diagonal:
            return self
        scale = self.scale.cast(dtype, device)
        return Gaussian(self.cast_mean(dtype, device), scale, self.event_dims, self.array_kind)

    def cast_mean(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The mean in this dtype, on this device."""
        return self.mean.to(device=device, dtype=dtype)

    def _computed(self) -> "Gaussian":
        tensors = self.tensors()
        return self.cast(compute_dtype(tensors), common_device(tensors))

    def with_scale(self, scale: Scale) -> "Gaussian":
        """The same means with another scale."""
        return Gaussian(self.mean, scale, self.event_dims, self.array_kind)

    def with_array_kind(self, kind: ArrayKind) -> "Gaussian":
        """The same Gaussians, for a caller who works with another kind of array."""
        return Gaussian(self.mean, self.scale, self.event_dims, kind)

    def expand(self, batch_shape: Sequence[int]) -> "Gaussian":
        """The same Gaussians broadcast to a batch shape, without copying."""
        mean = self.mean.broadcast_to((*batch_shape, *self.event_shape))
        return Gaussian(mean, self.scale, self.event_dims, self.array_kind)

    def detach(self) -> "Gaussian":
        """The same Gaussians, cut off from the graph of gradients."""
        scale = self.scale.map(lambda x, _: x.detach(), self.event_dims)
        return Gaussian(self.mean.detach(), scale, self.event_dims, self.array_kind)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Any:
        """``n`` samples from each, of shape ``(n, *batch, *event)``; gradients flow through them."""
        n, p = inputs.whole_number(n, "a number of samples"), self._computed()
        shape = torch.Size((n, *self.batch_shape, *self.event_shape))
        return to_callers_type(p.mean + p.scale.draw(shape, p.mean, generator), self.array_kind)

    def log_prob(self, x: Any) -> Any:
        """The log-density at ``x``, of shape ``(..., *event)``; what leads broadcasts with the batch."""
        point, kind = inputs.points(x, self.event_shape)
        dtype = compute_dtype([*self.tensors(), point])
        with no_autocast(point.device):
            p = self.cast(dtype, point.device)
            distance = p.scale.half_mahalanobis(point.to(dtype), p.mean, self.event_shape)
            constant = 0.5 * self.event_size * math.log(2 * math.pi)
            result = -constant - p.scale.half_log_det(self.event_shape) - distance
        return to_callers_type(result, common_array_kind((self.array_kind, kind)))

    def entropy(self) -> Any:
        """The differential entropy in nats, of shape ``batch``."""
        with no_autocast(self.device):
            constant = 0.5 * self.event_size * (1.0 + math.log(2 * math.pi))
            half_log_det = self._computed().scale.half_log_det(self.event_shape)
            result = half_log_det.broadcast_to(self.batch_shape) + constant
        return to_callers_type(result, self.array_kind)

    def to_torch(self) -> torch.distributions.Distribution:
        """As ``torch.distributions``: ``Independent(Normal(mean, std), event_dims)``, or ``Normal`` for none;
        ``LowRankMultivariateNormal``; otherwise ``MultivariateNormal`` by its Cholesky factor.
        """
        p = self._computed()
        return p.scale.to_torch(p.mean.broadcast_to(self.batch_shape + self.event_shape), self.event_dims)

    def marginal(self, dims: int | Sequence[int]) -> "Gaussian":
        """The Gaussian of some coordinates, in the order in which ``dims`` lists them.

        Shape:
            ``(*batch, len(dims))``; one event dimension, also for a single number.

        Diagonal and low-rank scales, and covariances, are indexed. Factors and precisions give a Cholesky factor, of
        orthogonal transformations.

        Args:
            dims: which coordinates, each at most once; negative ones count from the end.

        Raises:
            ShapeError: unless the Gaussian has one event dimension.
            IndexError: for a coordinate that it has not.
            ValueError: for a coordinate that occurs twice.

        Example:
            >>> p = Gaussian.from_covariance([0.0, 1.0, 2.0], [[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
            >>> p.marginal([2, 0]).covariance_matrix
            tensor([[1., 0.],
                    [0., 2.]], dtype=torch.float64)
        """
        index = coordinate_index(dims, self.event_shape)
        return self._marginal(index)

    def _marginal(self, index: list[int]) -> "Gaussian":
        mean = self.mean[..., torch.tensor(index, device=self.mean.device)]
        return Gaussian(mean, with_density(self.scale.marginal(index)), 1, self.array_kind)

    def affine(self, A: Any, b: Any = None) -> "Gaussian":
        r"""The Gaussian of :math:`A x + b` for x of this one.

        A covariance stays one, :math:`A \Sigma A^\top`; anything else gives the Cholesky factor of that, by an
        orthogonal decomposition of A times a factor of :math:`\Sigma`, so that neither is squared.

        Args:
            A: shape ``(*batch, k, d)``, of rank k.
            b: shape ``(*batch, k)``; 0 if not given.

        Raises:
            ShapeError: if A or b do not fit, or the batches do not broadcast.
            NotPositiveDefinite: if k is more than d: then A x has no density.

        Example:
            >>> turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
            >>> Gaussian.from_std(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0])).affine(turn).stddev
            tensor([1., 2.])
        """
        matrix, shift, kind = inputs.affine_map(A, b, self.event_shape, self.batch_shape, self.tensors())
        p = self.cast(matrix.dtype, matrix.device)
        mean = (matrix @ p.mean.unsqueeze(-1)).squeeze(-1)
        mean = mean if shift is None else mean + shift
        return Gaussian(mean, with_density(p.scale.affine(matrix)), 1, common_array_kind((self.array_kind, kind)))

    def __getitem__(self, index: Any) -> "Gaussian":
        """Index the batch, as a tensor of shape ``batch_shape`` is indexed; events stay whole."""
        pick = batch_index(index, self.batch_shape)
        scale = with_density(self.scale.map(pick, self.event_dims))
        return Gaussian(pick(self.mean, self.event_dims), scale, self.event_dims, self.array_kind)

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("a single Gaussian has no length; event_size is its dimension.")
        return self.batch_shape[0]

    def __repr__(self) -> str:
        shapes = f"batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)}"
        return f"Gaussian({shapes}, given as {self.scale.parameterization}, {self._described_dtype()})"

    def _repr_html_(self) -> str:
        return table(
            "Gaussian",
            {
                "batch shape": tuple(self.batch_shape),
                "event shape": tuple(self.event_shape),
                "given as": f"{self.scale.parameterization}, {self._described_dtype()}",
            },
        )

    def _described_dtype(self) -> str:
        return f"dtype={str(self.dtype).removeprefix('torch.')}, device={self.device}"


class NumericGaussian(Gaussian):
    """A Gaussian of Python numbers, such as the standard normal: it takes dtype, device and kind of array from the
    Gaussians it meets.
    """

    number: float  # the mean of every coordinate
    array_kind = ArrayKind.ANY
    batch_shape = torch.Size()

    def __init__(
        self, number: float, scale: Isotropic, event_shape: torch.Size, array_kind: ArrayKind = ArrayKind.ANY
    ) -> None:
        # The kind of array is that of the class; torch.compile of torch 2.8 passes the default of the field.
        del array_kind
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "event_shape", event_shape)
        object.__setattr__(self, "event_dims", len(event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean in torch's default dtype."""
        return torch.full(self.event_shape, self.number)

    def tensors(self) -> tuple[Tensor, ...]:
        """None."""
        return ()

    def cast_mean(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The mean in this dtype, on this device."""
        return torch.full((), self.number, dtype=dtype, device=device).expand(self.event_shape)

    def with_scale(self, scale: Scale) -> Gaussian:
        """The same mean with another number for a scale."""
        assert isinstance(scale, Isotropic)
        return NumericGaussian(self.number, scale, self.event_shape)

    def with_array_kind(self, kind: ArrayKind) -> Gaussian:
        """Itself: it takes the kind of what it meets."""
        return self

    def expand(self, batch_shape: Sequence[int]) -> Gaussian:
        """As tensors of torch's default dtype."""
        return self.to().expand(batch_shape) if batch_shape else self

    def detach(self) -> Gaussian:
        """Itself: numbers have no gradients."""
        return self

    def _marginal(self, index: list[int]) -> Gaussian:
        assert isinstance(self.scale, Isotropic)
        return NumericGaussian(self.number, self.scale, torch.Size([len(index)]))

    def _described_dtype(self) -> str:
        return "dtype and device of what it meets"


_UNIT = Isotropic(1.0, "std")


def check_gaussian(x: Any, name: str) -> Gaussian:
    """``x`` itself; a TypeError unless it is a Gaussian."""
    if isinstance(x, Gaussian):
        return x
    raise TypeError(
        f"{name} must be a Gaussian, got {type(x).__name__}. kullback.as_gaussian converts the Gaussians of other "
        "libraries."
    )


def _diagonal(
    mean: Any, scale: Any, parameterization: Parameterization, event_dims: int, *, validate: bool | None
) -> Gaussian:
    location, kept, kind = inputs.diagonal(mean, scale, parameterization, event_dims, validate=validate)
    if isinstance(location, Tensor):
        return Gaussian(location, kept, min(int(event_dims), location.ndim), kind)
    assert isinstance(kept, Isotropic)
    return NumericGaussian(location, kept, torch.Size())


def _listed(shapes: Iterable[torch.Size]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


register_pytree(
    Gaussian,
    lambda g: {"mean": g.mean, "scale": g.scale},
    lambda g: (g.event_dims, g.array_kind),
    lambda parts, context: Gaussian(*parts, *context),
)
register_pytree(
    NumericGaussian,
    lambda g: {"scale": g.scale},
    lambda g: (g.number, tuple(g.event_shape)),
    lambda parts, context: NumericGaussian(context[0], parts[0], torch.Size(context[1])),
)
