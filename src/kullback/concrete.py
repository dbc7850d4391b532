"""May this tensor's values be looked at, here and now, at no cost to anybody?"""

import torch
from torch import Tensor


def has_visible_values(x: Tensor) -> bool:
    """True for an ordinary tensor with values, outside compilation, tracing and function transforms."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and type(x) in (Tensor, torch.nn.Parameter)
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and torch._C._len_torch_dispatch_stack() == 0
        and x.device.type != "meta"
    )
