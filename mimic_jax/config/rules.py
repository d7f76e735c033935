"""Rules that values of a config keep: a test, and the test in words, as `settings.setting` takes them."""

from collections.abc import Callable

Rule = tuple[Callable[[object], object], str]

FROM_0: Rule = (lambda value: value >= 0, '0 or more')
FROM_1: Rule = (lambda value: value >= 1, '1 or more')
FINITE: Rule = (lambda value: abs(value) < float('inf'), 'a finite number')
POSITIVE: Rule = (lambda value: 0 < value < float('inf'), 'a finite number above 0')
NOT_NEGATIVE: Rule = (lambda value: 0 <= value < float('inf'), 'a finite number, 0 or more')
TO_1: Rule = (lambda value: 0 <= value <= 1, 'from 0 to 1')
BELOW_1: Rule = (lambda value: 0 <= value < 1, 'from 0 up to, but not including, 1')
# jax keeps 32 bits of a seed and drops the others without a word.
SEED: Rule = (lambda value: 0 <= value < 2**32, f'from 0 to {2**32 - 1}')
NAME: Rule = (bool, 'a name')
NAMES: Rule = (bool, 'a tuple of at least one name')


def up_to(most: int) -> Rule:
    """Of a number that memory or time grows with: from 1 to what no machine would be asked for."""
    return (lambda value: 1 <= value <= most, f'from 1 to {most}')


def different(each: Rule, what: str) -> Rule:
    """Of a tuple: at least one value, no two the same, each by a rule of its own."""
    keeps, words = each
    return (
        lambda values: values and len(set(values)) == len(values) and all(map(keeps, values)),
        f'a tuple of different {what}, at least one, each {words}',
    )
