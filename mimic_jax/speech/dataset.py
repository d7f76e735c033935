"""Speech as a data set: every frame is an example, given to nets in its context."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mimic_jax.data.dataset import Dataset, drawn_part
from mimic_jax.ops import context
from mimic_jax.speech import facts, fbank, phones
from mimic_jax.speech.corpora import Speech

# The names of nets' classes: each phone's three states, one after another.
STATES = tuple(f'{phone}_{part}' for phone in phones.PHONES for part in range(phones.PARTS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechDataset(Dataset):
    """Frames of a corpus, and the utterances of each split.

    inputs: [N, 123] frames.  labels: [N] states.
    utterances: the positions [n] int32 of each split's utterances in `speech.utterances`; the split's
    examples are their frames, one utterance after another.
    split: how the corpus was divided, `config.data.split`.
    """

    speech: Speech
    utterances: Mapping[str, np.ndarray]
    split: str = ''

    unit: ClassVar[str] = 'frames'
    images: ClassVar[bool] = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (2 * context.WIDTH + 1, fbank.BANDS, fbank.CHANNELS)

    @functools.cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        first, last = context.edges(self.speech.bounds)
        return {'inputs': self.inputs, 'labels': self.labels, 'first': first, 'last': last}

    @property
    def fitted_inputs(self) -> np.ndarray:
        """[N, 41, 3], so that a feature has one mean at every position in a window."""
        return self.inputs.reshape(-1, fbank.BANDS, fbank.CHANNELS)

    def facts(self) -> dict:
        return facts.facts(self.speech, self.utterances, self.split)

    def drawn(self, part: float, seed: int) -> np.ndarray:
        """All frames of a part of the training utterances."""
        if part == 1:
            return self.splits['train']
        return self.speech.rows(drawn_part(self.utterances['train'], part, seed))
