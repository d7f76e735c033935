"""What speech adds to a report: phone error rates, its phases, figures and pictures."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.speech import answers, figures
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.plan import AlignmentPlan
from mimic_jax.training.session import Session


class SpeechPart:
    """The part of a report for speech (`reporting/part.py`)."""

    captions = figures.CAPTIONS
    seen = 'A picture shows the mel bands of a frame and its neighbours, low bands below.'

    def __init__(
        self,
        session: Session,
        alignments: Sequence[AlignmentPlan],
        decodings: Mapping[str, Sequence[DecodePlan]],
    ):
        """decodings: by the row's source, one a seed."""
        self._session, self._decodings = session, decodings
        aligned = [
            found
            for each in alignments
            for found in ((each.net.name, each.net.recipe), (each.name, each.recipe))
        ]
        self.before = {'align': aligned} if aligned else {}
        decoded = [(f'phones of {each.name}', each.recipe) for each in self._decoded()]
        self.after = {'decode': decoded} if decoded else {}
        self.trained = {'align': [each.net for each in alignments]}

    def _decoded(self) -> Iterator[DecodePlan]:
        for seeds in self._decodings.values():
            yield from seeds

    def check(self) -> None:
        """Raises UserError where a row's logits are not decoded yet."""
        for each in self._decoded():
            store.require(
                self._session.workdir, each.recipe, f'the decoding of {each.name}', 'decode'
            )

    def rows(self, row: dict, source, outputs: Sequence[np.ndarray]) -> list[dict]:
        """Phone error rate where the row's logits are decoded, and frame accuracy.

        source: the row in the config.  outputs: logits [n, K] of the test frames, one a seed.
        """
        of_frames = answers.frame_row(row, outputs, self._session.data)
        decodings = () if source.absorbed else self._decodings.get(source.source, ())
        folders = [self._session.workdir / each.recipe.name for each in decodings]
        return [answers.per_row(row, folders), of_frames] if folders else [of_frames]

    def timing(self, source) -> dict:
        """Viterbi's real-time factor, the mean over the seeds, where the row's logits are decoded."""
        factors = [
            store.manifest(self._session.workdir / each.recipe.name)['real_time_factor']
            for each in self._decodings.get(source.source, ())
        ]
        return {'real_time_factor': sum(factors) / len(factors)} if factors else {}

    def draw(self) -> Iterator[tuple[str, object]]:
        return figures.draw(self._session, self._decodings)

    def picture(self, example: np.ndarray) -> np.ndarray:
        return figures.window(example)
