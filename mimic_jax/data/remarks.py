"""Lines that a run prints on what a person may not expect of the data."""

from collections.abc import Iterator, Mapping

import numpy as np

from mimic_jax.data.dataset import Dataset
from mimic_jax.data.settings import Data
from mimic_jax.runtime import files


def lines(dataset: Dataset, data: Data, facts: Mapping) -> Iterator[str]:
    """The lines; none where all is as expected.  facts: the manifest of the data's artifact."""
    yield from facts.get('noted', ())
    own = facts['regions'].get('validation', 0)
    if own and data.validation > own:
        yield (
            f"config.data.validation is {data.validation}; the data's own validation split has {own} "
            'examples, all of which validate'
        )
    if dataset.removed:
        yield f'{dataset.removed} unlabelled images equal a validation or test image: left out'
    if dataset.cut:
        yield (
            f'{dataset.cut} examples of config.data.transfer are beyond the {data.unlabelled} that '
            'config.data.unlabelled allows: left out'
        )
    yield from _twins(dataset)
    yield from _merged(dataset, facts)
    yield from _absent(dataset)


def _twins(dataset: Dataset) -> Iterator[str]:
    twins = dataset.twins or {}
    sizes = {name: len(rows) for name, rows in dataset.splits.items()}
    parts = [
        f'{twins[f"{found}_in_{others}"]:,} of {sizes[found]:,} {found} examples equal a {word} example'
        for found, others, word in (
            ('test', 'train', 'training'),
            ('validation', 'train', 'training'),
            ('test', 'validation', 'validation'),
        )
        if twins.get(f'{found}_in_{others}')
    ]
    if not parts:
        return
    mend = ''
    if twins['dropped']:
        mend = f'; {twins["dropped"]:,} training examples are left out for it'
    elif twins['test_in_train'] or twins['validation_in_train']:
        mend = "; config.data.twins='drop' trains without them"
    yield f'{", ".join(parts)}, in every value{mend}'


def _merged(dataset: Dataset, facts: Mapping) -> Iterator[str]:
    merged = facts.get('merged', {})
    if not merged:
        return
    columns = [f'{column} ({kept:,} of {all_:,})' for column, (all_, kept) in merged.items()]
    mend = (
        'give what is too fine for float32 a column of its own'
        if dataset.preprocess == 'feature'
        else "set config.data.preprocess to 'feature', which centres columns first"
    )
    yield (
        'warning: different values become one in float32; columns of features, and how many values '
        f'remain: {files.few(columns)}; {mend}'
    )


def _absent(dataset: Dataset) -> Iterator[str]:
    if dataset.scale is not None:
        return
    labels = dataset.labels[dataset.splits['train']]
    absent = np.setdiff1d(np.arange(dataset.num_classes), labels)
    if len(absent):
        known = dataset.labels[dataset.labels >= 0]
        from_one = '; labels count from 0, and these begin at 1' if known.min() == 1 else ''
        some = ', '.join(map(str, absent[:5])) + (', …' if len(absent) > 5 else '')
        yield (
            f'the training split has no example of {len(absent)} of the {dataset.num_classes} classes '
            f'({some}); nets on labels cannot learn them' + from_one
        )
