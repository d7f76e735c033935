"""Outputs of every layer, loss, optimiser, schedule, preprocessing and view, recorded with a version.

    python tests/arithmetic.py

records them anew in tests/arithmetic.json. That is refused where outputs changed beyond rounding and the
version that stands in artifacts' names (`net.VERSION`, `train_step.VERSION`, `views.VERSION`) was not
raised: nets that were trained with the old arithmetic would be taken for those of the new.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.config.fields import Entries
from mimic_jax.data import preprocess, tta, views
from mimic_jax.data.view_settings import Views
from mimic_jax.models import absorb, layers, net, nets
from mimic_jax.training import objective, plateau, schedules, train_step
from mimic_jax.training.loss_settings import LOSSES, Loss, Term
from mimic_jax.training.settings import Group, Train

FILE = Path(__file__).parent / 'arithmetic.json'
CLASSES, BATCH = 3, 4
IMAGE = (8, 8, 3)

# Every token of the notation, in a net that is small and still has what the token acts on.
MODELS = {
    'softmax regression': '',
    'hidden': '7-5',
    'linear': '4L-6',
    'convolution': '5c3',
    'convolution, valid': '4c3x5v',
    'convolution, batch normalised': '5c3-bn-6-bn',
    'convolution, repeated': '4c3^2',
    'convolution of many channels': '64c5-64c5-p8',
    'locally connected': '3lc3',
    'max pool': '4c3-p3/2',
    'max pool, same': '4c3-p3/2s',
    'max pool of one axis': '4c3-p1x4/1x2',
    'average pool': '4c3-ap3/2s',
    'stochastic pool': '4c3-sp3/2',
    'local response normalisation': '12c3-lrn',
    'dropout': 'd.3-4c3-d.2-8-d.5',
}
TRAINS = {
    'nesterov': {},
    'no momentum': {'momentum': 0.0},
    'weight decay': {'weight_decay': 0.1},
    'clipped': {'clip_norm': 0.1},
    'constant': {'schedule': 'constant', 'warmup': 0.0},
    'constant after warm-up': {'schedule': 'constant', 'warmup': 0.5},
    'plateau': {'schedule': 'plateau', 'warmup': 0.0},
    'plain momentum': {'nesterov': False},
    'adamw': {'optimizer': 'adamw', 'weight_decay': 0.1, 'beta2': 0.99},
    'muon': {'optimizer': 'muon', 'weight_decay': 0.1, 'muon_steps': 3},
    'muon with sgd': {
        'optimizer': 'muon',
        'companion': 'sgd',
        'companion_rate': 0.3,
        'companion_momentum': 0.5,
        'muon_rescale': True,
    },
    'groups': {
        'weight_decay': 0.1,
        'groups': Entries(
            biases=Group('bias$', rate=3.0, weight_decay=0.2),
            head=Group('output.*kernel', rate=0.5),
        ),
    },
    'ema': {'average': 'ema', 'ema_decay': 0.2},
    'lookahead': {
        'average': 'lookahead',
        'lookahead_period': 2,
        'lookahead_decay': 0.6,
        'lookahead_power': 2.0,
    },
    'input scale': {'input_scale': 1.5},
    'init scale': {'init_scale': 0.5},
}
VIEWS = {
    'none': {},
    'mirror': {'mirror': True},
    'shift': {'shift': 2},
    'shift, reflected': {'shift': 2, 'padding': 'reflect'},
    'crop': {'crop': 5},
    'hue': {'hue': 0.2},
    'saturation': {'saturation': 0.3, 'saturation_scale': 0.4},
    'value': {'value': 0.3, 'value_scale': 0.4},
    'all': {'mirror': True, 'crop': 6, 'hue': 0.1, 'value': 0.1},
    'alternating mirror': {'mirror': True, 'alternate': True},
    'brightness': {'brightness': 0.4},
    'contrast': {'contrast': 0.4},
    'crop by area': {'area': 0.4},
    'cutout': {'cutout': 3},
    'mixup': {'mixup': 0.4, 'mirror': True},
    'cutmix': {'cutmix': 1.0},
}
METRICS = ('loss_sum', 'count', 'correct_sum', 'labelled_count', 'nonfinite_steps')
RATES = {
    **{name: {'schedule': name} for name in ('cosine', 'constant', 'plateau', 'linear', 'step')},
    'linear from and to a part': {'schedule': 'linear', 'warmup_from': 0.2, 'final_rate': 0.1},
    'step, three cuts': {'schedule': 'step', 'cuts': (0.3, 0.5, 0.8), 'cut_factor': 0.5},
    'trapezoid': {'schedule': 'trapezoid', 'cooldown': 0.5, 'warmup': 0.0},
    'cosine from a part': {'warmup_from': 0.5},
}


def versions() -> dict[str, int]:
    return {
        'models': net.VERSION,
        'training': train_step.VERSION,
        'views': views.VERSION,
    }


def outputs() -> dict[str, dict[str, list]]:
    """By what a version is of, then by case: numbers."""
    return {
        'models': {
            **{name: _model(spec) for name, spec in MODELS.items()},
            'absorbed bottleneck': _absorbed(),
            'local response normalisation of large activations': _normalised(),
        },
        'training': {
            **{f'loss {kind}': _loss(kind) for kind in LOSSES},
            'loss squared_error': _loss('squared_error', labels=_draw(BATCH, CLASSES, seed=11)),
            'loss cross_entropy, smoothed': _loss('cross_entropy', smoothing=0.2),
            'loss mix': _loss('mix', smoothing=0.1, progress=0.3),
            **{f'step, {name}': _steps(train) for name, train in TRAINS.items()},
            **{f'rate, {name}': _rates(settings) for name, settings in RATES.items()},
            'plateau': _plateau(),
            **{f'preprocess {kind}': _preprocess(kind) for kind in preprocess.KINDS},
        },
        'views': {
            **{name: _view(settings) for name, settings in VIEWS.items()},
            **{f'mean over {kind}': _transformed(kind) for kind in tta.TRANSFORMS},
        },
    }


def differences(ours: dict, recorded: dict) -> list[str]:
    """The cases whose numbers are not the recorded ones, beyond rounding, and those recorded nowhere."""
    return [
        name for name in ours if name not in recorded or not _close(ours[name], recorded[name])
    ] + [name for name in recorded if name not in ours]


def _close(ours: list, recorded: list) -> bool:
    ours, recorded = np.asarray(ours), np.asarray(recorded)
    if ours.shape != recorded.shape:
        return False
    # Machines differ in the last digits; 1e-4 of the largest is far beyond that.
    return bool(np.all(np.abs(ours - recorded) <= 1e-4 * max(1e-3, np.abs(recorded).max())))


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _jit(function, **how):
    """jax.jit for a program that is compiled for one call: with little of LLVM's optimisation."""
    return jax.jit(function, compiler_options={'xla_backend_optimization_level': 0}, **how)


def _digest(tree) -> list[float]:
    """Numbers that change when any of a tree's arrays does: its products with two random arrays."""
    found = []
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        leaf = np.asarray(leaf, np.float64)
        found += [float(np.sum(leaf * _draw(*leaf.shape, seed=[number, each]))) for each in (0, 1)]
    return found


def _model(spec: str) -> list:
    """Initial parameters, a training pass with its gradient and statistics, an evaluating pass."""
    batch = 256 if spec.startswith('64c') else BATCH
    module = net.build(spec, CLASSES)
    inputs, weights = _draw(batch, *IMAGE), _draw(batch, CLASSES, seed=1)
    mask = np.ones(batch, np.float32)
    mask[-1] = 0
    variables = _jit(module.init)(jax.random.key(0), inputs[:1])

    def objective(params):
        logits, updates = module.apply(
            {**variables, 'params': params},
            inputs,
            train=True,
            mask=mask,
            rngs={'dropout': jax.random.key(1)},
            mutable=['batch_stats'],
        )
        return jnp.sum(logits * weights * mask[:, None]), (logits, updates)

    gradients, (logits, updates) = _jit(jax.grad(objective, has_aux=True))(variables['params'])
    evaluated = _jit(module.apply)({**variables, **updates}, inputs)
    return [
        *_digest(variables['params']),
        *_digest(logits[:-1]),
        *_digest(gradients),
        *_digest(updates),
        *_digest(evaluated),
    ]


def _absorbed() -> list:
    module, inputs = net.build('4c3-6L-8', CLASSES), _draw(BATCH, *IMAGE)
    variables = absorb.absorb_variables(_jit(module.init)(jax.random.key(0), inputs[:1]))
    other = net.build(absorb.absorbed('4c3-6L-8'), CLASSES)
    return _digest(other.apply(variables, inputs))


def _normalised() -> list:
    """Those of a net at its start are so small that they stay as they are."""
    return _digest(layers.local_response_norm(30 * _draw(BATCH, 3, 3, 12)))


def _batch() -> dict:
    draw = np.random.default_rng(0)
    return {
        'inputs': draw.integers(0, 256, (BATCH, *IMAGE)).astype(np.uint8),
        'labels': np.array([0, 2, -1, 1], np.int32),
        'teacher_logits': _draw(BATCH, CLASSES, seed=2),
        'index': np.arange(BATCH, dtype=np.int32),
        'mask': np.array([1, 1, 1, 0], np.float32),
        'view': np.int32(1),
    }


_MIX = Entries(
    soft=Term('kl', temperature=4.0, temperature_end=1.0, weight=0.5, weight_end=2.0),
    hard=Term('cross_entropy', weight=0.3),
)
_CONSTANTS = {
    'inputs': {},
    'logit_mean': np.array([0.1, -0.2, 0.3], np.float32),
    'logit_deviation': np.array([0.5, 2.0, 1.0], np.float32),
}


def _loss(kind: str, labels=None, **how) -> list:
    """Each example's loss and the gradient of their sum."""
    loss = Loss(kind=kind, scale=0.7, temperature=2.5, soft_weight=0.6, terms=_MIX)
    batch = _batch() if labels is None else {**_batch(), 'labels': labels}

    def total(logits):
        each = objective.example_losses(loss, logits, batch, _CONSTANTS, **how)
        return jnp.sum(each), each

    gradient, each = _jit(jax.grad(total, has_aux=True))(_draw(BATCH, CLASSES, seed=3))
    return [*np.asarray(each, np.float64).tolist(), *_digest(gradient)]


def _steps(settings: dict) -> list:
    """Parameters after each of three steps on logits, with a view and dropout."""
    train = Train(**{'learning_rate': 0.05, 'warmup': 0.2, **settings})
    spec = (
        '4c3-bn-p2-6-d.3' if not settings else '5-bn-d.3'
    )  # which compiles in a third of the time
    module = nets.of_spec(spec, CLASSES, 'float32', train.init_scale, train.input_scale)
    task = train_step.Task(module, 'image', Views(mirror=True), Loss(kind='logits'), train, 8)
    state = train_step.create_train_state(task, IMAGE, 3, 5, _CONSTANTS)
    step, found = _jit(train_step.train_step), []
    for _ in range(3):
        state, metrics = step(state, _batch())
        found += [*_digest(state.averaged), *_digest({key: metrics[key] for key in METRICS})]
    return found


def _rates(settings: dict) -> list:
    rate = schedules.learning_rate(Train(**{'learning_rate': 0.3, 'warmup': 0.25, **settings}), 40)
    return [float(rate(step)) for step in range(0, 40, 4)]


def _plateau() -> list:
    """The factor on the rate, and whether training ends, epoch by epoch."""
    state, found = plateau.start(), []
    for epoch in range(45):
        state = plateau.update(state, 0.5 if epoch < 3 else 0.4)
        found += [float(state.scale), float(plateau.stopped(state))]
    return found


def _preprocess(kind: str) -> list:
    shape = (4, 4, 1)
    inputs = np.random.default_rng(4).integers(0, 256, (40, *shape)).astype(np.uint8)
    stats = preprocess.fit(kind, inputs, np.arange(32))
    return _digest(preprocess.apply(kind, stats, inputs[28:]))


def _view(settings: dict) -> list:
    batch = _batch()
    partner = np.array([2, 3, 2, 0])
    batch |= {'view': 3, 'partner': partner, 'partner_inputs': batch['inputs'][partner]}
    taken = _jit(views.of_batch, static_argnums=2)(batch, 7, Views(**settings))
    return _digest(np.asarray(taken, np.float64))


def _transformed(kind: str) -> list:
    images = jnp.asarray(_batch()['inputs'], jnp.float32)
    parts = tta.TRANSFORMS[kind]
    return _digest(sum(part.weight * tta.apply(part, images) for part in parts))


def main() -> None:
    recorded = json.loads(FILE.read_text()) if FILE.is_file() else {}
    ours = outputs()
    for name, version in versions().items():
        old = recorded.get(name)
        changed = differences(ours[name], old['outputs']) if old else []
        lost = [case for case in changed if old and case in old['outputs']]
        if lost and version == old['version']:
            sys.exit(f'{name}: {", ".join(lost)} changed; raise the version, then record')
    text = {
        name: {
            'version': version,
            # Nine digits hold a float32 and more.
            'outputs': {
                case: [float(f'{number:.9g}') for number in numbers]
                for case, numbers in ours[name].items()
            },
        }
        for name, version in versions().items()
    }
    FILE.write_text(json.dumps(text, indent=1) + '\n')


if __name__ == '__main__':
    main()
