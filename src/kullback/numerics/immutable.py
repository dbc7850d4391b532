"""What the immutable types share: properties computed once, and registration as pytrees of torch."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch.compiler import is_compiling
from torch.utils import _pytree as pytree

T = TypeVar("T")


class cached(Generic[T]):
    """A property of an immutable object that is computed once.

    ``functools.cached_property`` would do if it did not take a lock, which ``torch.compile`` cannot trace.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self  # type: ignore[return-value]
        value = self.function(instance)
        if not is_compiling():  # a graph computes shapes once anyhow
            instance.__dict__[self.name] = value
        return value


def register_pytree(
    cls: type,
    leaves: Callable[[Any], dict[str, Any]],
    context: Callable[[Any], tuple[Any, ...]],
    rebuild: Callable[[list[Any], tuple[Any, ...]], Any],
) -> None:
    """Make instances of ``cls`` pytrees of torch, so that transforms, compilation and export see the tensors inside.

    Args:
        cls: the type.
        leaves: the parts of an instance that are tensors or pytrees, by name.
        context: everything else that describes an instance; comparable.
        rebuild: an instance from leaves and context. A transform may put anything in the place of a tensor, so it
            checks nothing.
    """

    def flatten(x: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return list(leaves(x).values()), context(x)

    def flatten_with_keys(x: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [(pytree.GetAttrKey(name), part) for name, part in leaves(x).items()], context(x)

    pytree.register_pytree_node(
        cls,
        flatten,
        lambda parts, context: rebuild(list(parts), context),
        serialized_type_name=f"kullback.{cls.__name__}",
        flatten_with_keys_fn=flatten_with_keys,
    )
