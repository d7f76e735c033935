"""Accelerators that programs are compiled for ahead of time, on a machine that need not have one."""

import dataclasses
import math
import os
import re
from collections.abc import Mapping

import numpy as np
from jax.experimental import topologies
from jax.sharding import AbstractMesh, AxisType, Mesh

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import sharding
from mimic_jax.runtime.interrupt import Interrupted

GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Chip:
    """A chip's figures, as its vendor states them.

    memory: bytes.  products: FLOP/s of dense matrix products, by the type that is computed in.
    bandwidth: of its memory, bytes/s.  links: to other chips, bytes/s, all directions together.
    options: of its topology's description.
    """

    platform: str
    memory: float
    products: Mapping[str, float]
    bandwidth: float
    links: float
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


def _tpu(gib: float, bfloat16: float, bandwidth: float, links: float, **options) -> Chip:
    # A float32 product of the default precision is one product of bfloat16.
    products = {'bfloat16': bfloat16 * 1e12, 'float32': bfloat16 * 1e12}
    return Chip('tpu', gib * GIB, products, bandwidth * 1e9, links * 1e9, options)


def _gpu(gigabytes: float, bfloat16: float, tf32: float, bandwidth: float, links: float) -> Chip:
    # A float32 product of the default precision is computed in TF32.
    products = {'bfloat16': bfloat16 * 1e12, 'float32': tf32 * 1e12}
    return Chip('cuda', gigabytes * 1e9, products, bandwidth * 1e9, links * 1e9)


# TPUs: the system architecture pages of Google Cloud's documentation. GPUs: Nvidia's data sheets, SXM.
CHIPS = {
    'v4': _tpu(32, 275, 1228, 300, chip_config_name='megacore'),
    'v5e': _tpu(16, 197, 819, 200),
    'v5p': _tpu(95, 459, 2765, 600),
    'v6e': _tpu(32, 918, 1640, 448),
    'a100': _gpu(80, 312, 156, 2039, 600),
    'h100': _gpu(80, 989, 494, 3350, 900),
    'h200': _gpu(141, 989, 494, 4800, 900),
}
_ONE_HOST = 8  # chips of v5e and v6e that one host may hold


@dataclasses.dataclass(frozen=True)
class Target:
    """Chips of one kind.  name: as --compile_for has it.  shape: how they are arranged."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def chip(self) -> Chip:
        return CHIPS[self.kind]

    @property
    def backend(self) -> str:
        """The name that `mimic_jax.runtime.backend` has for it."""
        return 'tpu' if self.chip.platform == 'tpu' else 'gpu'

    @property
    def chips(self) -> int:
        return math.prod(self.shape)

    def mesh(self, model_axis: int = 1) -> Mesh | AbstractMesh:
        """A mesh of its devices. For GPUs it is abstract, because programs are only lowered for them.

        Raises:
          UserError: the chips cannot be divided so, or libtpu is not installed.
        """
        if self.chip.platform == 'tpu':
            return sharding.make_mesh(model_axis, self._tpu_devices())
        return self.abstract_mesh(model_axis)

    def abstract_mesh(self, model_axis: int = 1) -> AbstractMesh:
        """A mesh of its shape without devices: programs can be lowered for it, not compiled."""
        shape = sharding.mesh_shape(self.chips, model_axis)
        return AbstractMesh(shape, sharding.AXES, axis_types=(AxisType.Auto,) * 2)

    def _tpu_devices(self) -> np.ndarray:
        # Otherwise libtpu looks for chips on this machine and prints at length that there are none.
        quiet = {'TPU_SKIP_MDS_QUERY': '1', 'TPU_MIN_LOG_LEVEL': '3', 'TPU_STDERR_LOG_LEVEL': '3'}
        for key, value in {**quiet, 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}.items():
            os.environ.setdefault(key, value)
        options, sides = dict(self.chip.options), len(self.shape)
        if self.chips == 1 or (self.kind in ('v5e', 'v6e') and self.chips <= _ONE_HOST):
            options['chips_per_host_bounds'] = (*self.shape, *(1,) * (3 - sides))
        layout = f'{self.kind}:{"x".join(map(str, self.shape))}'
        try:
            found = topologies.get_topology_desc(layout, 'tpu', **options)
        except Interrupted:
            raise
        except Exception as error:  # jax's own types differ between versions
            if 'libtpu' in str(error) or isinstance(error, ImportError | AssertionError):
                cure = "needs libtpu, which is not installed; run pip install -e '.[aot]'"
            else:
                said = first_line(error)
                cure = f'is no layout of these chips ({said}); write another, as tpu:{_EXAMPLE}'
            raise UserError(f'--compile_for={self.name} {cure}') from None
        return np.asarray(found.devices)


_EXAMPLE = 'v5e:2x4'


def parse(name: str) -> Target:
    """'tpu:v5e:2x4', 'cuda:h100' or 'cuda:h100:8' as a target.

    Raises:
      UserError: another form, or chips that are not in `CHIPS`.
    """
    platform, _, rest = name.partition(':')
    kind, _, layout = rest.partition(':')
    known = [f'{chip.platform}:{each}' for each, chip in CHIPS.items() if chip.platform == platform]
    if not known:
        raise UserError(f'--compile_for={name}: write tpu:{_EXAMPLE}, cuda:h100 or the like')
    if f'{platform}:{kind}' not in known:
        raise UserError(f'--compile_for={name}: the chips known are {", ".join(known)}')
    flat = platform == 'cuda' or kind in ('v5e', 'v6e')
    default = '1' if platform == 'cuda' else 'x'.join('1' * (2 if flat else 3))
    sides = re.findall(r'\d+', layout or default)
    written = 'x'.join(sides) == (layout or default) and all(int(side) for side in sides)
    if not written or len(sides) != (1 if platform == 'cuda' else 2 if flat else 3):
        form = 'cuda:h100:8' if platform == 'cuda' else f'tpu:{kind}:{"2x4" if flat else "2x2x1"}'
        raise UserError(f'--compile_for={name}: write the number of chips as in {form}')
    return Target(name, kind, tuple(map(int, sides)))
