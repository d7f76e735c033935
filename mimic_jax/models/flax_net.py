"""A net that is a person's own Flax module, Linen or NNX: 'flax:my_nets:ResNet18'."""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.core import unfreeze

from mimic_jax.artifacts import objects, source
from mimic_jax.errors import UserError
from mimic_jax.models import flax_checks, flax_module
from mimic_jax.models.contract import Size

PREFIX = 'flax:'
VERSION = 1  # part of the nets' names; raise it when the same module would train differently


@dataclasses.dataclass(frozen=True)
class FlaxNet:
    """A net by import path; make it with `load`.

    Attributes:
      path: 'flax:package.module:Name', or the name of an object that was passed to the run.
      args: what the factory is given, by name, hashable.
      sha256: of the module's source files and of the person's own modules that they import; empty where
        the name holds it.
      num_classes, input_scale: as in `load`.
      takes: which of 'train', 'deterministic' and 'mask' its `__call__` takes.
      module: the Linen module; for an NNX module, the one that Flax's bridge makes.
      where: the net's place in the config, for errors.
    """

    path: str
    args: tuple[tuple[str, object], ...]
    sha256: str
    num_classes: int
    input_scale: float
    takes: frozenset[str] = dataclasses.field(compare=False, repr=False)
    module: nn.Module = dataclasses.field(compare=False, repr=False)
    where: str = dataclasses.field(compare=False, repr=False)

    @property
    def is_nnx(self) -> bool:
        """Whether the person's module is of NNX."""
        return isinstance(self.module, nnx.bridge.ToLinen)

    @property
    def name(self) -> str:
        args = ', '.join(f'{key}={value!r}' for key, value in self.args)
        return f'{self.path}({args})' if args else self.path

    @property
    def versions(self) -> dict[str, int]:
        return {'flax_net': VERSION}

    def identity(self) -> dict:
        return {'model': self.path, **({'sources': self.sha256} if self.sha256 else {})}

    def init(self, key, input_shape):
        params, dropout = jax.random.split(key)
        inputs = jnp.zeros((1, *input_shape), jnp.float32)
        variables = self.module.init(
            {'params': params, 'dropout': dropout}, inputs, **self._mode(train=False, mask=None)
        )
        return _plain(variables)

    @property
    def fits(self) -> bool:
        return callable(getattr(type(self.module), 'fit', None))

    def fit(self, variables, inputs):
        """The module's own `fit(variables, inputs)`, held to the variables' shapes and types."""
        if not self.fits:
            return variables
        where = f'{self.where}.model'
        scaled = jnp.asarray(inputs, jnp.float32) * self.input_scale
        fitted = flax_module.tried(
            lambda: _plain(self.module.fit(variables, scaled)), where, f'{self.path}.fit fails'
        )
        wanted, found = (jax.tree.map(_kind, tree) for tree in (variables, fitted))
        if wanted != found:
            raise UserError(
                f'{where} is {self.path}, whose fit returns other variables than it was given; let it '
                'keep their names, shapes and types'
            )
        return fitted

    def apply(self, variables, inputs, train=False, mask=None, rngs=None):
        if self.is_nnx:
            variables = _renamed(variables, _number)
        inputs = jnp.asarray(inputs, jnp.float32)
        if self.input_scale != 1:
            inputs = inputs * self.input_scale
        mode = self._mode(train, mask)
        if not train:
            return self._logits(self.module.apply(variables, inputs, **mode))
        kept = [name for name in variables if name != 'params']
        if kept and mask is not None and 'mask' not in self.takes:
            inputs = _padded_by_examples(inputs, mask)
        # Streams of other names draw from 'params', as in Flax.
        streams = {**rngs, 'params': rngs['dropout']} if rngs else None
        outputs, updates = self.module.apply(variables, inputs, **mode, rngs=streams, mutable=kept)
        return self._logits(outputs), _plain(updates)

    def _logits(self, outputs) -> jax.Array:
        if not isinstance(outputs, jax.Array):
            raise UserError(
                f'{self.where}.model: {self.name} gives a {type(outputs).__name__}; it must give logits '
                'alone, [B, classes]'
            )
        return outputs.astype(jnp.float32)

    def describe(self, input_shape) -> Size:
        return flax_checks.size(self, tuple(input_shape))

    def _mode(self, train: bool, mask) -> dict:
        """The keyword arguments of a call: what the module takes of train, deterministic and mask."""
        offered = {'train': train, 'deterministic': not train, 'mask': mask}
        mode = {key: value for key, value in offered.items() if key in self.takes}
        return {'nnx_method': _train if train else _evaluate, **mode} if self.is_nnx else mode


def load(
    path: str,
    args: Mapping,
    num_classes: int,
    input_shape: tuple[int, ...],
    input_scale: float,
    where: str,
) -> FlaxNet:
    """The net at 'flax:package.module:Name': a Flax module, its class, or a function that returns one.

    path: may also be the name of an object (`objects.keep`).  args: keyword arguments of the class or
    function. `num_classes`, `input_shape` (of one example) and NNX's `rngs` are added where it takes them.
    input_scale: a factor on the inputs.  where: the net's place in the config, for errors.

    Raises:
      UserError: no such module or name, arguments that do not fit, or what is no Flax module.
    """
    if path.startswith(objects.PREFIX):
        factory, sha256 = objects.kept(path, f'{where}.model'), ''
    else:
        place = path.removeprefix(PREFIX)
        factory = source.load(place, f'{where}.model')
        sha256 = source.identity(place, f'{where}.model')['sha256']
    known = {'num_classes': num_classes, 'input_shape': tuple(input_shape)}
    module, kind = flax_module.module(factory, args, known, path, where)
    if isinstance(module, nnx.bridge.ToLinen) and callable(getattr(kind, 'fit', None)):
        raise UserError(
            f'{where}.model is {path!r}, an NNX module with a method fit, which only Linen modules may '
            'have; rename it, or write the module in Linen'
        )
    takes = frozenset(flax_module.parameters(kind.__call__)) & {'train', 'deterministic', 'mask'}
    frozen = tuple((key, flax_module.frozen(value)) for key, value in sorted(args.items()))
    return FlaxNet(path, frozen, sha256, num_classes, input_scale, takes, module, where)


def _train(module: nnx.Module, inputs, **mode):
    module.train()
    return module(inputs, **mode)


def _evaluate(module: nnx.Module, inputs, **mode):
    module.eval()
    return module(inputs, **mode)


def _padded_by_examples(inputs: jax.Array, mask: jax.Array) -> jax.Array:
    """A batch [B, ...] whose padding, at its end, repeats the real examples in turn.

    For modules that take no mask: their batch statistics are nearly those of the real examples.
    """
    count = jnp.maximum(jnp.sum(mask > 0), 1)
    rows = jnp.arange(len(inputs))
    return inputs[jnp.where(mask > 0, rows, rows % count)]


def _plain(variables) -> dict:
    """Variables as nested dicts of arrays, without Flax's boxes; every key is a string, as in files."""
    return _renamed(unfreeze(nn.meta.unbox(variables)), str)


def _kind(leaf) -> tuple:
    return jnp.shape(leaf), jnp.result_type(leaf)


def _renamed(tree, rename: Callable):
    """A tree of dicts with every key renamed."""
    if not isinstance(tree, Mapping):
        return tree
    return {rename(key): _renamed(item, rename) for key, item in tree.items()}


def _number(key: str) -> int | str:
    """A key as NNX has it: the place in a list is an int."""
    return int(key) if key.isdigit() else key
