"""TIMIT: every row of Ba & Caruana's Table 1, with the paper's figures beside.

    python -m mimic_jax.main --config=experiments/timit_table1.py --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_table1.py:sample --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_table1.py:small --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_table1.py:smoke --config.data.root=FOLDER

FOLDER holds TIMIT's TRAIN and TEST (LDC93S1, from the Linguistic Data Consortium). The whole run wants
GPUs or TPUs (`--config.run.model_axis` splits the 400,000 hidden units over several). It was not measured
here; expect the paper's scores, which stand beside every row. The paper has eight of the rows. The ninth
is the net of SNN-MIMIC-8k trained on labels, so that both mimics have their twin. The same command
continues a stopped run row by row.

`:sample` has the paper's nets, for a part of TIMIT in the same layout (16 speakers or more, TRAIN alone is
enough). `--config.data.fold` chooses which of four folds of speakers tests. 2 speakers validate, and every
net has 15 epochs. The two rows of 400,000 units are left out; `:400k` behind it, as in `:sample,400k`, adds
them. All four folds, so that each speaker is tested once:

    python benchmarks/timit_folds.py --root=FOLDER

Its rates and dropout are from trials of 5 epochs on the first fold, by frame accuracy on the validation
speakers. DNN: dropout .5 38.2%, .2 43.0. CNN: dropout .5 36.3 at a rate of .05 and 39.6 at .1, dropout .2
44.7. SNN-8k: rate .05 41.0, .1 40.9. 250L-8k on labels: .02 39.8, .05 40.6, .1 40.0. The mimic: .1 42.8, .2
42.7, .4 42.8. The first fold without SNN-50k took 1.7 hours on 2 cores with AVX-512, beside other programs.
It has 41.4% phone errors mimicking, 44.3 for the same net on labels, 41.1 for the ensemble.

`:small` is the same with hidden layers a quarter as wide, behind the paper's 250 linear units, and an
ensemble of four CNNs. A fold took 11 minutes on 2 cores. Its rates are the best of three for each kind of
target on the first fold's validation speakers (`benchmarks/tune.py`): the mimic .05 50.4%, .2 52.1%, .6
51.4%; the net on labels .02 47.9%, .05 48.4%, .15 46.3%. `:smoke` has tiny nets and takes minutes.

`:heterogeneous` behind a size, as in `:small,heterogeneous`, pools the CNNs' filters over three widths,
which the CNN of the paper's reference [6] probably has. `:energy` takes the energy out of the bands that
filters see. Both may be given. The nets are those of `examples/speech_nets.py`. Neither has been run.

The paper gives architectures and results. Chosen here, besides what `timit_student.py` names: the same
settings for all nets on labels, and for both mimics. Two flags give variants.
`--config.students.mimic_8k.loss.kind=standardised_logits` standardises targets by class (the paper's
section 2.2); `--config.decoding.language_model=none` decodes without the bigram.
"""

from mimic_jax.config import presets, timit

UNITS_8K = '8,000 units between 1,845 inputs and 183 outputs have 16.2M parameters'
MIMIC_8K = '250 linear and 8,000 hidden units have 3.9M parameters'
SUMS = (
    "an ensemble's parameters and units are the sums of its members'; nine CNNs of ~13M and ~10k, as the "
    'paper prints them, would have ~117M and ~90k'
)
FEW = "10 speakers train these nets, 462 the paper's: its figures are another corpus's"
# A row's source; from the paper its label, phone error rate, parameters, hidden units; then a note.
ROWS = {
    'snn_8k': ('students.snn_8k', 'SNN-8k', 0.231, '~12M', '~8k', UNITS_8K),
    'snn_50k': ('students.snn_50k', 'SNN-50k', 0.230, '~100M', '~50k'),
    'snn_400k': ('students.snn_400k', 'SNN-400k', 0.236, '~180M', '~400k'),
    'dnn': ('members.dnn', 'DNN', 0.219, '~12M', '~6k'),
    'cnn': ('members.cnn', 'CNN', 0.195, '~13M', '~10k'),
    'ecnn': ('logits.ecnn', 'ECNN', 0.185, '~125M', '~90k', SUMS),
    'mimic_8k': ('students.mimic_8k', 'SNN-MIMIC-8k', 0.216, '~12M', '~8k', MIMIC_8K),
    'mimic_400k': ('students.mimic_400k', 'SNN-MIMIC-400k', 0.200, '~180M', '~400k'),
    'labels_8k': ('students.labels_8k', '250L-8k on labels'),
}


def get_config(arg=''):
    nets, seeds = timit.WHOLE, (0, 1, 2)
    config = {
        **timit.common(nets, 'dnn', 'cnn'),
        'students': {
            'snn_8k': timit.student(nets, '8k-d.5', seeds=seeds),
            'snn_50k': timit.student(nets, '50k-d.5', seeds=seeds),
            'snn_400k': timit.student(nets, '250L-400k-d.5', seeds=seeds),
            'labels_8k': timit.student(nets, '250L-8k', seeds=seeds),
            'mimic_8k': timit.student(nets, '250L-8k', 'ecnn', seeds=seeds),
            'mimic_400k': timit.student(nets, '250L-400k', 'ecnn', seeds=seeds),
        },
        'report': presets.report('ecnn', {name: row(*ROWS[name]) for name in ROWS}, latency=True),
        'presets': (
            "sample has the paper's widths, for a part of TIMIT",
            'small has nets of a quarter of the widths, for a part of TIMIT',
            'smoke takes some minutes',
        ),
    }
    return presets.build(config, CHANGES, arg)


def sample(config):
    """One fold of a part of TIMIT: every row except the two of 400,000 units, one seed."""
    nets = timit.SAMPLE
    timit.resize(config, nets, 'dnn')
    config.students = {
        'snn_8k': timit.student(nets, '8k-d.5'),
        'snn_50k': timit.student(nets, '50k-d.5'),
        'labels_8k': timit.student(nets, '250L-8k'),
        'mimic_8k': timit.student(nets, '250L-8k', 'ecnn'),
    }
    for name in ('snn_400k', 'mimic_400k'):
        del config.report.rows[name]
    config.report.rows.ecnn.note = f'{SUMS}; {FEW}'
    config.report.order = tuple(name for name in config.report.order if '400k' not in name)


def wide(config):
    """With `sample`: the two rows of 400,000 units as well."""
    nets = timit.SAMPLE
    config.students.snn_400k = timit.student(nets, '250L-400k-d.5')
    config.students.mimic_400k = timit.student(nets, '250L-400k', 'ecnn')
    for name, settings in ROWS.items():
        if '400k' in name:
            config.report.rows[name] = row(*settings)
    config.report.order = tuple(ROWS)


def small(config):
    """One fold of a part of TIMIT: five rows, hidden layers a quarter as wide."""
    cut(config, timit.SMALL, '250L-2k-d.3', '250L-2k', seeds=(0, 1))


def heterogeneous(config):
    """With any size: CNNs whose filters are pooled over 4, 6 and 8 bands, in three groups."""
    own_convolutions(config, pools=(4, 6, 8))


def energy(config):
    """With any size: CNNs whose filters see the 40 mel bands; the dense layers see the energy."""
    own_convolutions(config, energy_apart=True)


def smoke(config):
    """Five rows with tiny nets and one seed, in minutes."""
    cut(config, timit.SMOKE, '32L-256', '32L-256', seeds=(0,))
    config.decoding.update({'lm_scales': (1.0, 3.0), 'penalties': (0.0,)})


CHANGES = {
    'sample': sample,
    '400k': wide,
    'small': small,
    'smoke': smoke,
    'heterogeneous': heterogeneous,
    'energy': energy,
}
PRESETS = ('sample', 'sample,400k', 'small', 'smoke', 'heterogeneous', 'small,energy')


def own_convolutions(config, **args):
    """Every CNN as a net of `examples/speech_nets.py`."""
    for name, member in config.members.items():
        if name == 'dnn':
            continue
        if member.model_args:
            member.model_args.update(args)
        else:
            member.update(timit.own_convolution(member.model, **args))


def cut(config, nets, labels, mimic, seeds):
    """Five rows of smaller nets, without the paper's figures."""
    timit.resize(config, nets, 'dnn', 'cnn')
    config.students = {
        'snn': timit.student(nets, labels, seeds=seeds),
        'mimic': timit.student(nets, mimic, 'ecnn', seeds=seeds),
    }
    rows = {
        'snn': presets.row('students.snn', 'shallow net on labels'),
        'dnn': presets.row('members.dnn', 'DNN'),
        'cnn': presets.row('members.cnn', 'teacher CNN'),
        'ecnn': presets.row('logits.ecnn', f'ensemble of {len(nets["ensemble"])}'),
        'mimic': presets.row('students.mimic', 'shallow net mimicking'),
    }
    config.report = presets.report('ecnn', rows, latency=True)


def row(source, label, paper=-1.0, parameters='', units='', note=''):
    """A row with the phone error rate and the sizes that the paper prints."""
    sizes = {'paper_parameters': parameters, 'paper_units': units}
    return presets.row(source, label, paper, **sizes, note=note)
