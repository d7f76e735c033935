"""What classes are called, where a source has names for them."""

from mimic_jax.speech import phones

_STATES = tuple(f'{phone}_{part}' for phone in phones.PHONES for part in range(phones.PARTS))
NAMES = {
    'digits': tuple('0123456789'),
    'cifar10': (
        *('airplane', 'automobile', 'bird', 'cat', 'deer'),
        *('dog', 'frog', 'horse', 'ship', 'truck'),
    ),
    'timit': _STATES,
    'flite': _STATES,
}


def of(source: str) -> tuple[str, ...] | None:
    """Names by class of config.data.name; None where classes have numbers alone."""
    return NAMES.get(source)
