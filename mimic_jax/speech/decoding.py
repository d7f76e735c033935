"""From the logits of frames to phones: scaled likelihoods, a phone bigram, Viterbi, and its tuning.

It follows Mohamed et al. 2012: a net's posteriors divided by the states' priors stand in for
likelihoods, and a bigram over the 61 phones comes from the training labels. The bigram's weight and
the cost of a phone are chosen on validation utterances by phone error rate.

Letters: T frames of an utterance, S states, P phones, S = 3 P.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from mimic_jax.ops import padding
from mimic_jax.runtime.progress import Watch
from mimic_jax.speech import per, phones, state_statistics, viterbi
from mimic_jax.speech.bigram import Bigram, free_loop, witten_bell

FRAME_SECONDS = 0.01
LANGUAGE_MODELS = ('bigram', 'none')


class PhoneModel(NamedTuple):
    """What decoding reads besides the logits; logarithms of probabilities, see `viterbi`.

    log_priors, stay, advance: [S].  bigram: over P phones.
    """

    log_priors: np.ndarray
    stay: np.ndarray
    advance: np.ndarray
    bigram: Bigram


class Decoded(NamedTuple):
    """The phones of an utterance, [L] int32, and the frame at which each starts, [L] int32."""

    phones: np.ndarray
    starts: np.ndarray


class Trial(NamedTuple):
    """A pair that was tried on the validation utterances, with its errors and its time."""

    lm_scale: float
    insertion_penalty: float
    counts: per.EditCounts
    seconds: float


def estimate(
    paths: Sequence[np.ndarray],
    sequences: Iterable[np.ndarray],
    num_phones: int,
    language_model: str = 'bigram',
) -> PhoneModel:
    """State priors and transitions of the training targets, and the bigram of the spoken phones.

    paths: the targets of each utterance, [T] int.  sequences: the phones of each, [L] int.
    language_model: 'bigram', or 'none' for a loop of phones without one.

    Raises:
      ValueError: no utterances, a state or a phone out of range, or no such language model.
    """
    if language_model not in LANGUAGE_MODELS:
        raise ValueError(f'the language model is {language_model!r}; known are {LANGUAGE_MODELS}')
    states = viterbi.PARTS * num_phones
    stay, advance = state_statistics.log_transitions(paths, states)
    return PhoneModel(
        log_priors=state_statistics.log_priors(paths, states),
        stay=stay,
        advance=advance,
        bigram=(
            witten_bell(sequences, num_phones)
            if language_model == 'bigram'
            else free_loop(num_phones)
        ),
    )


def scaled_likelihoods(logits: np.ndarray, log_priors: np.ndarray) -> np.ndarray:
    """log p(s|x) − log p(s), [T, S] float32: log p(x|s) up to a term that depends on the frame alone.

    logits: [T, S].  log_priors: [S].
    """
    logits = np.asarray(logits, np.float32)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_posteriors = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_posteriors - np.asarray(log_priors, np.float32)


class Decoder:
    """Utterances that are padded and placed once, and decoded with every pair that is tried."""

    def __init__(self, likelihoods: Sequence[np.ndarray], model: PhoneModel, batch_size: int):
        """likelihoods: [T, S] of each utterance, scaled.  batch_size: the most utterances in a batch."""
        self._count, self._model = len(likelihoods), model
        batches = -(-len(likelihoods) // batch_size)
        self._batches = [
            (indices, *map(jnp.asarray, padding.pad(likelihoods, indices, padded_length)))
            for indices, padded_length in padding.batches_by_length(
                [len(utterance) for utterance in likelihoods], -(-len(likelihoods) // batches)
            )
        ]

    def __call__(self, lm_scale: float, insertion_penalty: float) -> list[Decoded]:
        """The best phones of every utterance; an utterance too short for a phone has none."""
        found = [None] * self._count
        model = self._model
        for indices, likelihoods, lengths in self._batches:
            paths, _ = viterbi.decode(
                likelihoods,
                lengths,
                *model.bigram,
                model.stay,
                model.advance,
                np.float32(lm_scale),
                np.float32(insertion_penalty),
            )
            for index, path in zip(indices, np.asarray(paths), strict=True):
                if index >= 0:
                    found[index] = Decoded(*viterbi.segments(path)[:2])
        return found


def tune(
    decode: Callable[[float, float], Sequence[Decoded]],
    references: Sequence[np.ndarray],
    lm_scales: Sequence[float],
    penalties: Sequence[float],
    watch: Watch = lambda done, total: None,
) -> list[Trial]:
    """Tries every pair, then pairs half-way to the best one's neighbours; the trials, best first.

    The finer pairs form a 3 × 3 grid around the best one, at half the distance to the next value on
    each side. A side without a next value uses half the distance to the value on the other side. A
    scale stays at 0 or more. The best pair has the fewest errors, in the folded classes and by unit
    costs; the first one tried wins a tie.

    decode: as `Decoder`.  references: the phones of each utterance, [L] int, before folding.
    watch: called after every pair.
    """
    references = [phones.fold_numbers(reference) for reference in references]
    trials: list[Trial] = []

    def attempt(pairs):
        for pair in pairs:
            began = time.perf_counter()
            decoded = decode(*pair)
            seconds = time.perf_counter() - began
            counts = sum(score(references, decoded), per.EditCounts())
            trials.append(Trial(*pair, counts, seconds))
            watch(len(trials), len(lm_scales) * len(penalties) + 8)

    attempt([(scale, penalty) for scale in lm_scales for penalty in penalties])
    best = min(trials, key=_errors)
    done = {trial[:2] for trial in trials}
    finer = [
        (max(scale, 0.0), penalty)
        for scale in _around(lm_scales, best.lm_scale)
        for penalty in _around(penalties, best.insertion_penalty)
    ]
    attempt([pair for pair in dict.fromkeys(finer) if pair not in done])
    return sorted(trials, key=_errors)


def score(
    references: Sequence[np.ndarray],
    decoded: Sequence[Decoded],
    align: Callable[[Sequence, Sequence], per.Alignment] = per.unit_alignment,
) -> list[per.EditCounts]:
    """The counts of each utterance.  references: folded phones, [L] int of 0–38."""
    return [
        per.count(align(reference.tolist(), phones.fold_numbers(found.phones).tolist()))
        for reference, found in zip(references, decoded, strict=True)
    ]


def real_time_factor(trials: Sequence[Trial], frames: int) -> float:
    """Seconds of decoding for a second of speech: the median over trials, as the first may compile."""
    seconds = float(np.median([trial.seconds for trial in trials]))
    return seconds / (frames * FRAME_SECONDS)


def _errors(trial: Trial) -> int:
    return trial.counts.errors


def _around(values: Sequence[float], best: float) -> list[float]:
    """`best` with a value half-way to its neighbours among `values` on each side."""
    lower = [best - value for value in values if value < best]
    higher = [value - best for value in values if value > best]
    if not (lower or higher):
        return [best]
    below, above = min(lower or higher), min(higher or lower)
    return [best - below / 2, best, best + above / 2]
