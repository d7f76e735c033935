"""The net of a config: one of the papers' notation, or a person's own Flax module."""

import dataclasses
import functools

import jax.numpy as jnp

from mimic_jax.errors import UserError
from mimic_jax.models import absorb, counts, net
from mimic_jax.models.contract import Net, Size


@dataclasses.dataclass(frozen=True)
class NotationNet:
    """A net of the papers' notation; `make` and `of_spec` check its settings.

    Attributes: as the arguments of `net.build`.
    """

    spec: str
    num_classes: int
    dtype: str = 'float32'
    init_scale: float = 1.0
    input_scale: float = 1.0

    @functools.cached_property
    def module(self) -> net.Net:
        """The Flax module of the spec."""
        return net.build(self.spec, self.num_classes, self.dtype, self.init_scale, self.input_scale)

    @property
    def name(self) -> str:
        return self.spec

    @property
    def versions(self) -> dict[str, int]:
        return {'models': net.VERSION}

    def init(self, key, input_shape):
        return self.module.init(key, jnp.zeros((1, *input_shape), jnp.float32))

    def apply(self, variables, inputs, train=False, mask=None, rngs=None):
        mutable = ['batch_stats'] if train else False
        return self.module.apply(
            variables, inputs, train=train, mask=mask, rngs=rngs, mutable=mutable
        )

    def describe(self, input_shape) -> Size:
        counted = counts.count(self.spec, input_shape, self.num_classes)
        return Size(counted.params, counted.flops, counted.units)

    def identity(self) -> dict:
        return {'model': self.spec}

    def absorbed(self) -> 'NotationNet':
        """The net without its bottleneck; `absorb.absorb_variables` gives its variables."""
        return dataclasses.replace(self, spec=absorb.absorbed(self.spec))


def of_spec(
    spec: str,
    num_classes: int,
    dtype: str = 'float32',
    init_scale: float = 1.0,
    input_scale: float = 1.0,
) -> NotationNet:
    """The net of a spec of the papers' notation; arguments and errors as of `net.build`."""
    made = NotationNet(spec, int(num_classes), dtype, float(init_scale), float(input_scale))
    made.module  # noqa: B018  checks every argument
    return made


def notation_only(found: Net, what: str) -> NotationNet:
    """The net where it is one of the papers' notation.

    what: what only such a net has, for the error: 'a bottleneck to absorb'.

    Raises:
      UserError: the net is a person's own module.
    """
    if not isinstance(found, NotationNet):
        raise UserError(
            f"{found.name} is a module of your own; only nets of the papers' notation have {what}"
        )
    return found
