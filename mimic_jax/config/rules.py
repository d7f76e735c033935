"""Rules for values of settings, as `fields.setting` takes them: a test, and its words."""

from mimic_jax.config.fields import Rule

FROM_0: Rule = (lambda value: value >= 0, '0 or more')
FROM_1: Rule = (lambda value: value >= 1, '1 or more')
FINITE: Rule = (lambda value: abs(value) < float('inf'), 'a finite number')
POSITIVE: Rule = (lambda value: 0 < value < float('inf'), 'a finite number above 0')
NOT_NEGATIVE: Rule = (lambda value: 0 <= value < float('inf'), 'a finite number, 0 or more')
TO_1: Rule = (lambda value: 0 <= value <= 1, 'from 0 to 1')
BELOW_1: Rule = (lambda value: 0 <= value < 1, 'from 0 up to, but not including, 1')
# jax keeps 32 bits of a seed and silently drops the others.
SEED: Rule = (lambda value: 0 <= value < 2**32, f'from 0 to {2**32 - 1}')
NAME: Rule = (bool, 'a name')
NAMES: Rule = (bool, 'a tuple of at least one name')


def up_to(most: int) -> Rule:
    """For a number that memory or time grows with: from 1 to a limit that no machine reaches."""
    return (lambda value: 1 <= value <= most, f'from 1 to {most}')


def different(each: Rule, what: str) -> Rule:
    """For a tuple: at least one value, no two the same, each one within the rule `each`."""
    keeps, words = each
    return (
        lambda values: values and len(set(values)) == len(values) and all(map(keeps, values)),
        f'a tuple of different {what}, at least one, each {words}',
    )


def where(name: str, *values: str) -> Rule:
    """When a setting is read: where its group's setting `name` is one of `values`."""
    *others, last = map(repr, values)
    words = f'{", ".join(others)} or {last}' if others else last
    return (lambda group: getattr(group, name) in values, f'where {name} is {words}')


def kinds(*read_by: str) -> Rule:
    """When a setting is read: where its group's `kind` is one of `read_by`."""
    return where('kind', *read_by)
