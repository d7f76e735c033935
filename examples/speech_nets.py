"""CNNs of speech that the papers' notation cannot write: several pools side by side, energy apart.

    config.members.cnn.model = 'flax:examples.speech_nets:CNN'
    config.members.cnn.model_args = {'bands': 8, 'pools': (4, 6, 8), 'energy_apart': True}

Ba & Caruana 2014 take 'the same convolutional architecture as in [6]', an overview of Microsoft's speech
research of 2013. Its CNN of TIMIT is probably the one of Deng, Abdel-Hamid & Yu 2013 ('A deep
convolutional neural network using heterogeneous pooling', 18.7% phone errors), whose filters are pooled
over several widths. Neither the widths nor how filters are shared among them were at hand: three
groups of equal size and pools of 4, 6 and 8 bands are our choice, which leaves the number of parameters
as it is with one pool of 6. `timit_table1.py:heterogeneous` and `:energy` train these nets.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

GLOROT = nn.initializers.glorot_uniform()  # as the notation's nets


class CNN(nn.Module):
    """Filters over all frames and some bands, max pools of several widths, then dense ReLU layers.

    Inputs [B, T, 41, 3]: frames, the log energy and 40 mel bands, static, Δ and ΔΔ. Filters move along
    the bands alone. Logits [B, K].

    Attributes:
      filters, bands: their number, and the bands that each spans.
      pools: widths in bands; filters are divided among them as evenly as they go.
      stride: of every pool, in bands.
      hidden, dropout: units of the dense layers, and the dropout after each.
      energy_apart: the energy is not the first of 41 bands, which a filter would see beside the lowest
        frequencies: filters see the 40 mel bands, and the first dense layer the frames' energies.
    """

    num_classes: int
    filters: int = 150
    bands: int = 8
    pools: Sequence[int] = (4, 6, 8)
    stride: int = 2
    hidden: Sequence[int] = (2000, 2000, 2000)
    dropout: float = 0.5
    energy_apart: bool = False

    @nn.compact
    def __call__(self, inputs, train: bool):
        energy, mel = inputs[:, :, :1], inputs[:, :, 1:]
        window = (inputs.shape[1], self.bands)
        convolve = nn.Conv(self.filters, window, padding='VALID', kernel_init=GLOROT)
        maps = nn.relu(convolve(mel if self.energy_apart else inputs))  # [B, 1, positions, filters]
        ends = [self.filters * part // len(self.pools) for part in range(1, len(self.pools))]
        parts = [
            nn.max_pool(part, (1, width), (1, self.stride))
            for part, width in zip(jnp.split(maps, ends, axis=3), self.pools, strict=True)
        ]
        flat = [part.reshape(inputs.shape[0], -1) for part in parts]
        flat += [energy.reshape(inputs.shape[0], -1)] * self.energy_apart
        outputs = jnp.concatenate(flat, axis=1)
        for units in self.hidden:
            outputs = nn.relu(nn.Dense(units, kernel_init=GLOROT)(outputs))
            outputs = nn.Dropout(self.dropout, deterministic=not train)(outputs)
        return nn.Dense(self.num_classes, kernel_init=GLOROT)(outputs)
