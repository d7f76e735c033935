"""CIFAR-10 cut to a CPU: a narrow ResNet-18 in Flax, and a shallow net of the notation that mimics it.

    python -m mimic_jax.main --config=experiments/nets.py
    python -m mimic_jax.main --config=experiments/nets.py:smoke    # a minute or two, a first look
    python -m mimic_jax.main --config=experiments/nets.py --phase=export --student=mimic

The teacher is `ResNet18` of examples/nets.py, at an eighth of its width: 176,402 parameters in place of
11,173,962. It trains on 3,000 images. A convolution, a linear bottleneck and a ReLU layer learn from its
logits on these and 5,000 images without labels; the same net learns from the 3,000 labels as well. The
command that ends with `--config.members.resnet.model_args.width=64` trains the whole ResNet-18, which
wants a GPU.

It reproduces no paper: it shows a teacher of a person's own module in every phase. Expected with one seed:
ResNet 48.5%, student on labels 55.2%, student mimicking 48.1%. So short a training leaves the ResNet behind
the student on labels. Rates and epochs were set once, and not tuned. It took 22 minutes at low priority
on two cores that other programs had busy.
"""

from mimic_jax.config import presets

TRAIN = {'batch_size': 50, 'learning_rate': 0.05, 'clip_norm': 4.0}
STUDENT = '32c5-p2-100L-1k'


def get_config(arg=''):
    config = {
        'presets': ('smoke takes a minute or two',),
        'data': {
            'name': 'cifar10',
            'train': 3000,
            'validation': 1000,
            'test': 2000,
            'unlabelled': 5000,
        },
        'views': {'mirror': True, 'shift': 2},
        'members': {
            'resnet': {
                'model': 'flax:examples.nets:ResNet18',
                'model_args': {'width': 8},
                'train': {**TRAIN, 'epochs': 10, 'weight_decay': 5e-4},
            }
        },
        'logits': {'resnet': {'members': ('resnet',), 'views': 4}},
        'students': {
            'labels': presets.on_labels(STUDENT, (0,), **TRAIN, epochs=10),
            'mimic': presets.mimic(STUDENT, 'resnet', (0,), **TRAIN, epochs=4),
        },
        'report': presets.report(
            'resnet',
            {
                'resnet': presets.row('members.resnet', 'ResNet-18 in Flax'),
                'labels': presets.row('students.labels', 'shallow net on labels'),
                'mimic': presets.row('students.mimic', 'shallow net mimicking'),
            },
            latency=True,
        ),
        'run': {'evaluation_steps': 60, 'checkpoint_steps': 60},
    }
    return presets.build(config, PRESETS, arg)


def smoke(config):
    """A teacher of two channels, one epoch a net: every phase in a minute or two."""
    config.data.update({'train': 200, 'validation': 100, 'test': 100, 'unlabelled': 200})
    config.members.resnet.model_args.width = 2
    config.logits.resnet.views = 1
    for net in (config.members.resnet, config.students.labels, config.students.mimic):
        net.train.epochs = 1


PRESETS = {'smoke': smoke}
