"""What the experiments on TIMIT share: the corpus, Ba & Caruana's teachers, students, run settings."""

from collections.abc import Mapping

BANDS = (8, 7, 9, 6, 10, 5, 11, 4, 12)  # the bands that the filters of cnn_1 to cnn_9 span
NINE = tuple(f'cnn_{number}' for number in range(1, 10))

# Nets of several sizes: how the corpus is divided, the DNN, the CNN with its filters' bands left open, the
# ensemble, and how teachers, students on labels and mimics are trained.
WHOLE = {
    'data': {},  # TIMIT's official training, development and core test set
    'deep': '2k-d.5-2k-d.5-2k-d.5',
    'convolution': '150c15x{}v-p1x6/1x2-2k-d.5-2k-d.5-2k-d.5',
    'ensemble': NINE,
    'train': {'epochs': 20, 'batch_size': 256},
    'label_train': {'epochs': 20, 'batch_size': 256},
    # Of three rates on the sample .2 was the mimics' best, and .05 that of nets on labels.
    'mimic_train': {'epochs': 20, 'batch_size': 256, 'learning_rate': 0.2},
}
FOLD = {'split': 'fold', 'validation': 2}  # for a part of TIMIT: 2 validation speakers
SAMPLE = {  # the paper's widths; dropout and rates for so few speakers
    'data': FOLD,
    'deep': '2k-d.2-2k-d.2-2k-d.2',
    'convolution': '150c15x{}v-p1x6/1x2-2k-d.2-2k-d.2-2k-d.2',
    'ensemble': ('cnn', *NINE[1:]),
    'train': {'epochs': 15, 'learning_rate': 0.1, 'clip_norm': 1.0},
    'label_train': {'epochs': 15},
    'mimic_train': {'epochs': 15, 'learning_rate': 0.2},
}
SMALL = {  # a quarter of the widths
    'data': FOLD,
    'deep': '500-d.3-500-d.3-500-d.3',
    'convolution': '38c15x{}v-p1x6/1x2-500-d.3-500-d.3-500-d.3',
    'ensemble': ('cnn', 'cnn_2', 'cnn_3', 'cnn_4'),
    'train': {'epochs': 15},
    'label_train': {'epochs': 15},
    'mimic_train': {'epochs': 20, 'learning_rate': 0.2},
}
SMOKE = {
    'data': FOLD,
    'deep': '128-128',
    'convolution': '8c15x{}v-p1x6/1x2-128',
    'ensemble': ('cnn', 'cnn_2'),
    'train': {'epochs': 3},
    'label_train': {'epochs': 3},
    'mimic_train': {'epochs': 3},
}


def common(nets: Mapping, *also: str) -> dict:
    """Corpus, realignment, teachers with the ensemble's cache 'ecnn', and run, for nets of one size.

    also: teachers beside those of the ensemble.
    """
    return {
        'data': {'name': 'timit', 'preprocess': 'feature', **nets['data']},
        'alignment': {'rounds': 1, 'net': {'model': nets['deep'], 'train': dict(nets['train'])}},
        'members': {name: member(nets, name) for name in (*also, *nets['ensemble'])},
        'logits': {'ecnn': cache(nets['ensemble'])},
        'run': {'log_steps': 100, 'evaluation_batch_size': 2000},
    }


def resize(config, nets: Mapping, *also: str) -> None:
    """Replaces the groups that `common` made in a config by those for nets of another size."""
    for group, settings in common(nets, *also).items():
        config[group] = settings


def member(nets: Mapping, name: str) -> dict:
    """The teacher 'dnn' or 'cnn', or one of cnn_1 to cnn_9, which see 90% of the utterances each."""
    train = dict(nets['train'])  # a copy: groups that share a dict also share what flags change
    if name == 'dnn':
        return {'model': nets['deep'], 'seed': 1, 'train': train}
    if name == 'cnn':
        return {'model': nets['convolution'].format(BANDS[0]), 'train': train}
    number = int(name.removeprefix('cnn_'))
    model = nets['convolution'].format(BANDS[number - 1])
    return {'model': model, 'seed': number, 'subset': 0.9, 'train': train}


def own_convolution(model: str, **args) -> dict:
    """`model` and `model_args` of a CNN of `member` as `examples/speech_nets.py` builds it.

    model: in the notation, such as '150c15x8v-p1x6/1x2-2k-d.5-2k-d.5'.  args: further arguments.
    """
    convolution, pool, *dense = model.split('-')
    filters, bands = convolution.removesuffix('v').split('c15x')
    hidden = tuple(int(float(word.replace('k', 'e3'))) for word in dense if word[0] != 'd')
    dropout = next((float(word[1:]) for word in dense if word[0] == 'd'), 0.0)
    found = {
        'filters': int(filters),
        'bands': int(bands),
        'pools': (int(pool.removeprefix('p1x').partition('/')[0]),),
        'hidden': hidden,
        'dropout': dropout,
    }
    return {'model': 'flax:examples.speech_nets:CNN', 'model_args': {**found, **args}}


def cache(members: tuple[str, ...]) -> dict:
    """A logit cache of the training split, the only transfer set that speech has."""
    return {'members': members, 'transfer': ('train',)}


def student(nets: Mapping, model: str, teacher: str = '', train: Mapping = (), **settings) -> dict:
    """A net on labels or, given a cache's name as its teacher, on logits by Ba & Caruana's equation 1.

    train, settings: further settings, of its training and of the student.
    """
    size = nets['mimic_train' if teacher else 'label_train']
    learns = {'target': 'logits', 'logits': teacher, 'loss': {'kind': 'logits'}} if teacher else {}
    train = {**size, 'clip_norm': 1.0, **dict(train)}
    return {'model': model, **learns, 'train': train, **settings}
