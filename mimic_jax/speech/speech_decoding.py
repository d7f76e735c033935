"""What decoding a net's answers on speech takes from the training utterances, and from its tuning."""

from collections.abc import Callable, Sequence

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.speech import decoded_files, decoding, phones
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.decoding import Decoded, Decoder, PhoneModel
from mimic_jax.training.session import Session


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


def tuned(
    session: Session, plan: DecodePlan
) -> Callable[[Sequence[np.ndarray]], list[Decoded | None]]:
    """`decode(logits)` of utterances [T, S] each, with the scale and penalty of a finished tuning.

    Raises:
      UserError: the decode artifact is not there yet.
    """
    folder = store.require(session.workdir, plan.recipe, f'the decoding of {plan.name}', 'decode')
    choice = decoded_files.read_choice(folder)
    model = phone_model(session, plan.settings.language_model)

    def decode(logits: Sequence[np.ndarray]) -> list[Decoded | None]:
        likelihoods = [decoding.scaled_likelihoods(each, model.log_priors) for each in logits]
        decoder = Decoder(likelihoods, model, plan.settings.batch_size)
        return decoder(choice['lm_scale'], choice['insertion_penalty'])

    return decode
