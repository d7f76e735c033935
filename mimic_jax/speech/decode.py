"""Decodes the logits of speech to phones, with weights tuned on the validation utterances."""

import time
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data.dataset import EVALUATED
from mimic_jax.speech import decoded_files, decoding, phones
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.decoding import Decoder, PhoneModel
from mimic_jax.training.session import Session


def run(session: Session, plan: DecodePlan) -> Path:
    """Writes the artifact `decode-<id>`, whose files `decoded_files` describes.

    The language model's scale and the insertion penalty are chosen on the validation utterances; the
    test utterances are decoded once, with that pair. The manifest holds the `real_time_factor` of
    Viterbi on the validation utterances, from likelihoods to phones on the host.
    """
    for recipe in plan.evaluations:
        store.require(
            session.workdir, recipe, f'the evaluation of {plan.name} ({recipe.name})', 'evaluate'
        )
    return store.make(
        session.workdir,
        plan.recipe,
        lambda folder: _write(folder, session, plan),
        session.progress.say,
    )


def phone_model(session: Session, language_model: str) -> PhoneModel:
    """Priors, transitions and bigram of the training utterances."""
    data = session.data
    chosen = data.utterances['train']
    return decoding.estimate(
        paths=[data.labels[slice(*run)] for run in data.speech.runs(chosen)],
        sequences=[data.speech.utterances[position].phones for position in chosen],
        num_phones=len(phones.PHONES),
        language_model=language_model,
    )


def _write(folder: Path, session: Session, plan: DecodePlan) -> dict:
    start = time.monotonic()
    settings, data = plan.settings, session.data
    model = phone_model(session, settings.language_model)
    spoken = {
        split: [data.speech.utterances[position] for position in data.utterances[split]]
        for split in EVALUATED
    }
    decode = _decoder(session, plan, 'validation', model)
    what = f'tuning the decoding of {plan.name}'
    trials = decoding.tune(
        decode,
        [utterance.phones for utterance in spoken['validation']],
        settings.lm_scales if settings.language_model != 'none' else (1.0,),
        settings.penalties,
        lambda done, total: session.progress.count(what, done, total),
    )
    session.progress.end(what)
    chosen = trials[0][:2]
    counts = {
        'validation': decoded_files.write_split(
            folder, 'validation', spoken['validation'], decode(*chosen)
        )
    }
    decode = _decoder(session, plan, 'test', model)
    counts['test'] = decoded_files.write_split(folder, 'test', spoken['test'], decode(*chosen))
    decoded_files.write_choice(folder, settings.language_model, trials, counts)
    frames = len(data.splits['validation'])
    return {
        'real_time_factor': round(decoding.real_time_factor(trials, frames), 6),
        'seconds': round(time.monotonic() - start, 3),
    }


def _decoder(session: Session, plan: DecodePlan, split: str, model: PhoneModel) -> Decoder:
    """A decoder of the split's utterances; reads one of the ensemble's members at a time."""
    total = 0.0
    for recipe in plan.evaluations:
        folder = session.workdir / recipe.name
        store.manifest(folder)
        total = total + np.load(folder / f'{split}.npy', allow_pickle=False)
    logits = total / np.float32(len(plan.evaluations))
    runs = session.data.speech.runs(session.data.utterances[split])
    cuts = np.cumsum([stop - start for start, stop in runs])[:-1]
    likelihoods = decoding.scaled_likelihoods(logits, model.log_priors)
    return Decoder(np.split(likelihoods, cuts), model, plan.settings.batch_size)
