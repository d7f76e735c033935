"""TIMIT: the claims of Ba & Caruana's text on the method for speech, each tested by a comparison.

    python -m mimic_jax.main --config=experiments/timit_claims.py:bottleneck --config.data.root=FOLDER

- `:bottleneck` (section 3.2): SNN-MIMIC-8k with 50 to 1,000 linear units ahead of its hidden layer, in
  the sample 25 to 500. The paper finds little benefit beyond 250. Drawn as `curves.png`.
- `:plain` (section 2.3): SNN-MIMIC-8k with its 250 linear units and without, each with a rate of its own,
  and the first with them multiplied away: phone errors, weights, training time (time.png), latency.
- `:losses` (section 2.2): SNN-MIMIC-8k on raw logits, standardised logits, probabilities, KL
  divergence and Hinton's soft and hard mix. The paper finds that logits win.

Without `:sample`, FOLDER holds TIMIT (LDC93S1, from the Linguistic Data Consortium) and the teachers are
those of `timit_table1.py`. This wants a GPU or TPU; nobody has run it here.

With `:sample`, as in `:losses,sample`, any corpus in TIMIT's layout with 16 speakers or more is enough,
and the mimics have 2,000 hidden units. Teachers and data are those of `timit_table1.py:small` in its
first fold. They are used where the workdir has them (those of `benchmarks/timit_folds.py` lie in
runs/timit_folds). On one core, beside other programs, the students of the losses took 24 minutes and
those of the bottleneck 30.

`:plain` has not been run. The rate of the net without linear units is a third of the other's and not
tuned: `--config=experiments/timit_claims.py:plain,sample --phase=rates` tries three for each net, once
the cache is there; `--config.students.plain.train.learning_rate` sets it.

One rate serves all losses. In the sample each loss was tried at .05, .2 and .8 for half of the epochs,
with one seed (benchmarks/tune.py). .2 was best for every loss; for raw logits .8 was as good. Frame
accuracy on the validation speakers, %:

    rate                     .05     .2     .8
    logits                  48.8   50.7   50.7
    standardised            45.7   49.9   19.1
    probabilities           45.6   48.7     .1
    KL                      51.6   51.7   16.6
    KL at temperature 3     51.1   52.1   41.3
    Hinton's mix            51.9   52.8   40.7

Every mimic has three seeds, in the sample two. Fold 0 alone tests four speakers.
"""

from mimic_jax.config import presets, timit

WHOLE = {
    **timit.WHOLE,
    'units': '8k',
    'widths': (50, 100, 250, 500, 1000),
    'seeds': (0, 1, 2),
}
SAMPLE = {
    **timit.SMALL,
    'units': '2k',
    'widths': (25, 50, 100, 250, 500),
    'seeds': (0, 1),
}


def get_config(arg=''):
    names = presets.chosen(arg, (*CLAIMS, 'sample'))
    claim = CLAIMS[presets.one_of(names, CLAIMS, 'bottleneck')]
    config = claim(SAMPLE if 'sample' in names else WHOLE)
    if 'sample' not in names:
        advice = 'bottleneck,sample and the like have small nets, for a part of TIMIT'
        config['presets'] = (advice,)
    return presets.build(config)


def bottleneck(nets):
    """Section 3.2."""
    students, rows = {}, {'ecnn': ensemble(nets)}
    curve = f'mimic with {nets["units"]} units'
    for width in nets['widths']:
        name = f'linear_{width}'
        students[name] = mimic(nets, f'{width}L-{nets["units"]}', {'kind': 'logits'})
        label = f'{width} linear units'
        rows[name] = presets.row(f'students.{name}', label, curve=curve, x=width)
    return {
        **timit.common(nets),
        'students': students,
        'report': presets.report('ecnn', rows, x_label='linear units', latency=True),
    }


def losses(nets):
    """Section 2.2."""
    students, rows = {}, {'ecnn': ensemble(nets)}
    for name, (label, loss) in presets.LOSSES.items():
        students[name] = mimic(nets, f'250L-{nets["units"]}', loss)
        rows[name] = presets.row(f'students.{name}', label)
    return {
        **timit.common(nets),
        'students': students,
        'report': presets.report('ecnn', rows),
    }


def plain(nets):
    """Section 2.3."""
    train = {'learning_rate': round(nets['mimic_train']['learning_rate'] / 3, 3)}
    units, loss = nets['units'], {'kind': 'logits'}
    students = {
        'bottleneck': mimic(nets, f'250L-{units}', loss),
        'plain': mimic(nets, units, loss),
    }
    students['plain']['train'] |= train
    rows = {
        'ecnn': ensemble(nets),
        'bottleneck': presets.row('students.bottleneck', 'with 250 linear units'),
        'plain': presets.row('students.plain', 'without'),
        'absorbed': presets.row('students.bottleneck', 'multiplied away', absorbed=True),
    }
    return {
        **timit.common(nets),
        'students': students,
        'report': presets.report('ecnn', rows, by_time=True, latency=True),
    }


CLAIMS = {'bottleneck': bottleneck, 'plain': plain, 'losses': losses}
PRESETS = (*CLAIMS, *(f'{claim},sample' for claim in CLAIMS))


def ensemble(nets):
    return presets.row('logits.ecnn', f'ensemble of {len(nets["ensemble"])}', line=True)


def mimic(nets, model, loss):
    return timit.student(nets, model, 'ecnn', loss=loss, seeds=nets['seeds'])
