"""The net of a config: one of the papers' notation, or a person's own Flax module."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import jax
import jax.numpy as jnp

from mimic_jax.artifacts import objects
from mimic_jax.errors import UserError
from mimic_jax.models import absorb, counts, flax_net, net
from mimic_jax.models.contract import Net, Size

OWN = (flax_net.PREFIX, objects.PREFIX)  # prefixes of a person's own modules


@dataclasses.dataclass(frozen=True)
class NotationNet:
    """A net of the papers' notation; `make` and `of_spec` check its settings.

    Attributes: as the arguments of `net.build`, and `matmul_precision`, jax's name of the precision of
      float32 products on accelerators; 'default' leaves it as jax has it.
    """

    spec: str
    num_classes: int
    dtype: str = 'float32'
    init_scale: float = 1.0
    input_scale: float = 1.0
    matmul_precision: str = 'default'
    unseen: tuple[str, ...] = ()

    @functools.cached_property
    def module(self) -> net.NotationModule:
        """The Flax module of the spec."""
        scales = self.init_scale, self.input_scale
        return net.build(self.spec, self.num_classes, self.dtype, *scales, self.unseen)

    @property
    def name(self) -> str:
        return self.spec

    @property
    def versions(self) -> dict[str, int]:
        return {'models': net.VERSION}

    def init(self, key, input_shape):
        return self.module.init(key, jnp.zeros((1, *input_shape), jnp.float32))

    @property
    def fits(self) -> bool:
        return False

    def fit(self, variables, inputs):
        return variables

    def apply(self, variables, inputs, train=False, mask=None, rngs=None):
        mutable = ['batch_stats'] if train else False
        chosen = self.matmul_precision != 'default'
        with jax.default_matmul_precision(self.matmul_precision) if chosen else nullcontext():
            return self.module.apply(
                variables, inputs, train=train, mask=mask, rngs=rngs, mutable=mutable
            )

    def describe(self, input_shape) -> Size:
        counted = counts.count(self.spec, input_shape, self.num_classes)
        return Size(counted.params, counted.flops, counted.units, counted.sequential_layers)

    def identity(self) -> dict:
        return {'model': self.spec}

    def absorbed(self) -> 'NotationNet':
        """The net without its bottleneck; `absorb.absorb_variables` gives its variables."""
        return dataclasses.replace(self, spec=absorb.absorbed(self.spec))


def make(
    model: str,
    args: Mapping,
    num_classes: int,
    input_shape: tuple[int, ...],
    dtype: str = 'float32',
    init_scale: float = 1.0,
    input_scale: float = 1.0,
    where: str = 'config',
    matmul_precision: str = 'default',
    unseen: Sequence[str] = (),
) -> Net:
    """The net of a config.

    model: a spec of the papers' notation; 'flax:package.module:Name', a person's own module, or the name
    of one that was passed to the run.
    args: of the own module.  input_shape: of one example.  dtype, init_scale, matmul_precision, unseen:
    of the notation's nets; a module of one's own computes and draws its parameters as it likes.
    where: the net's place in the config, for errors.

    Raises:
      UserError: a bad spec or setting, an own module that is not there or cannot be made.
    """
    if not model.startswith(OWN):
        if args:
            raise UserError(
                f"{where}.model_args is for a model of your own, 'flax:package.module:Name'; "
                f'{model!r} takes none'
            )
        scales = init_scale, input_scale
        return of_spec(model, num_classes, dtype, *scales, matmul_precision, unseen)
    if '?' in model:
        raise UserError(
            f"{where}.model is {model!r}; ? is solved in the papers' notation alone, give the width in "
            'model_args'
        )
    for name, value, default in (
        ('dtype', dtype, 'float32'),
        ('init_scale', init_scale, 1.0),
        ('matmul_precision', matmul_precision, 'default'),
    ):
        if value != default:
            raise UserError(
                f'{where}.train.{name} is {value!r}, but {model} is a module of your own, which sees to '
                f'that itself; leave it at {default!r} and use model_args'
            )
    if unseen:
        raise UserError(
            f"{where}.unseen is for nets of the papers' notation, but {model} is a module of your own; let "
            'it leave inputs out itself'
        )
    return flax_net.load(model, args, int(num_classes), input_shape, float(input_scale), where)


def of_spec(
    spec: str,
    num_classes: int,
    dtype: str = 'float32',
    init_scale: float = 1.0,
    input_scale: float = 1.0,
    matmul_precision: str = 'default',
    unseen: Sequence[str] = (),
) -> NotationNet:
    """The net of a spec of the papers' notation; arguments as of `NotationNet`, errors of `net.build`."""
    scales = float(init_scale), float(input_scale)
    made = NotationNet(spec, int(num_classes), dtype, *scales, matmul_precision, tuple(unseen))
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
