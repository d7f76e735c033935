"""The phones of a person's recordings, from an exported net's answers and a finished tuning."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.ops import context
from mimic_jax.runtime import files
from mimic_jax.speech import decoded_files, decoding, fbank, phones, timit_files
from mimic_jax.speech.decode import phone_model
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.decoding import FRAME_SECONDS, Decoded, Decoder
from mimic_jax.training.session import Session

FRAMES = 128  # frames at a time; their windows are 15 times as large
_SMALLEST = 1e-37  # the least probability whose logarithm is taken, near float32's smallest number


class Transcribed(NamedTuple):
    """Predictions of a net of speech (`export.predictions.Predictions`).

    names: [N], of the recordings.  phones: [N] lists.  starts: [N] lists, in seconds.
    """

    names: Sequence[str]
    phones: Sequence[Sequence[str]]
    starts: Sequence[Sequence[float]]

    def lines(self) -> Iterable[str]:
        for name, spoken in zip(self.names, self.phones, strict=True):
            yield f'{name}  {" ".join(spoken)}'

    def arrays(self) -> dict[str, np.ndarray]:
        """A phone a row, of one recording after another."""
        rows = list(self.table())[1:]
        return {
            'names': np.array([name for name, _, _ in rows], str),
            'starts': np.array([start for _, start, _ in rows], np.float32),
            'phones': np.array([phone for _, _, phone in rows], str),
        }

    def table(self) -> Iterable[Sequence]:
        yield ('input', 'start', 'phone')
        for name, spoken, starts in zip(self.names, self.phones, self.starts, strict=True):
            for phone, start in zip(spoken, starts, strict=True):
                yield (name, round(start, 3), phone)


def run(
    session: Session,
    plan: DecodePlan | None,
    probabilities: Callable[[np.ndarray], np.ndarray],
    source: Path,
) -> Transcribed:
    """The phones of each recording.

    plan: the decoding of the student's answers to the test utterances.
    probabilities: from windows of frames [n, 15, 41, 3] to [n, S].  source: see `recordings`.

    Raises:
      UserError: no plan, a decoding that is not made yet, or an unreadable file.
    """
    if plan is None:
        raise UserError(
            'this student has no row in config.report, so its decoding was not tuned; add a row of '
            'it and run --phase=decode'
        )
    decode = _tuned(session, plan)
    count, found = recordings(source)
    names, spoken, starts = [], [], []
    for number, (name, samples) in enumerate(found, 1):
        likely = _of_frames(probabilities, fbank.features(samples))
        heard = decode(np.log(np.maximum(likely, _SMALLEST)))
        names.append(name)
        spoken.append([phones.PHONES[phone] for phone in heard.phones])
        starts.append((heard.starts * FRAME_SECONDS).tolist())
        session.progress.count('transcribing', number, count)
    return Transcribed(names, spoken, starts)


def recordings(path: Path) -> tuple[int, Iterator[tuple[str, np.ndarray]]]:
    """The number of recordings at `path`, and an iterator of their names and samples [n].

    path: a file, or a folder with all .wav files below it.  Samples: as `timit_files.read_audio` gives
    them.

    Raises:
      UserError: here or while iterating: no recordings, or a named file that cannot be read.
    """
    found = files.below(path)
    if path.is_dir():
        found = {name: file for name, file in found.items() if file.suffix.lower() == '.wav'}
    if not found:
        raise UserError(f'{path} holds no .wav files; give a folder of recordings, or one')
    return len(found), ((name, _samples(file)) for name, file in found.items())


def _tuned(session: Session, plan: DecodePlan) -> Callable[[np.ndarray], Decoded]:
    """`decode(logits)` of an utterance [T, S], with the scale and penalty of a finished tuning.

    Raises:
      UserError: the decode artifact is not there yet.
    """
    folder = store.require(session.workdir, plan.recipe, f'the decoding of {plan.name}', 'decode')
    choice = decoded_files.read_choice(folder)
    model = phone_model(session, plan.settings.language_model)

    def decode(logits: np.ndarray) -> Decoded:
        likelihoods = decoding.scaled_likelihoods(logits, model.log_priors)
        decoder = Decoder([likelihoods], model, plan.settings.batch_size)
        (found,) = decoder(choice['lm_scale'], choice['insertion_penalty'])
        return found

    return decode


def _samples(path: Path) -> np.ndarray:
    try:
        return timit_files.read_audio(path)
    except timit_files.BadUtterance as error:  # its advice names a setting of the corpus
        raise UserError(f'{str(error).rpartition(";")[0]}; repair it or leave it out') from None


def _of_frames(probabilities: Callable, frames: np.ndarray) -> np.ndarray:
    """Probabilities [T, S] of a recording's frames [T, 123]."""
    first, last = context.edges(np.array([0, len(frames)]))
    parts = []
    for start in range(0, len(frames), FRAMES):
        rows = np.arange(start, min(start + FRAMES, len(frames)))
        parts.append(probabilities(context.windows(frames, first[rows], last[rows], rows)))
    return np.concatenate(parts)
