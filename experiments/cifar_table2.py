"""CIFAR-10: every row of Ba & Caruana's Table 2, with the paper's figures beside.

    python -m mimic_jax.main --config=experiments/cifar_table2.py          # whole; wants a GPU or TPU
    python -m mimic_jax.main --config=experiments/cifar_table2.py:small    # within an hour on 2 cores
    python -m mimic_jax.main --config=experiments/cifar_table2.py:smoke    # minutes, a first look
    python -m mimic_jax.main --config=experiments/cifar_table2.py:kmeans   # Coates' features alone
    python -m mimic_jax.main --config=experiments/cifar_table2.py:cnn \
        --config.data.transfer.root=images.npz                             # one CNN, its mimic, the twins
    python -m mimic_jax.main --config=experiments/cifar_table2.py:protocol \
        --config.data.transfer.root=images.npz                             # trained as the paper has it

Ten rows are the paper's. Two more are the mimic nets trained on labels without regularisation, so that
every mimic has its twin. The same command continues a stopped run row by row.

The paper gives architectures and results. Chosen here: 5×5 convolutions, 3×3 pools of stride 2 (the
teachers' without padding), rates, epochs and dropout rates. Teachers, their caches and the last row are
cifar_student.py's, and are used where the workdir has them. What differs from the paper:
- each image is normalised by itself; the paper contrast normalises and whitens
  (`--config.data.preprocess=gcn_zca`);
- the teachers' pools are max pools, the paper's stochastic ones;
- 40,000 of the training images train and 10,000 validate;
- every net trained on labels sees mirrored and shifted images, so that no mimic owes its lead to its views
  alone (the paper's nets had no augmentation);
- the million unlabelled Tiny Images are withdrawn. Further views of the training images stand in for them,
  or any other images that `config.data.transfer` names. The natural substitute is ImageNet resized to
  32×32 (TFDS 'imagenet_resized/32x32').

`:cnn` is one teacher, its mimic and the mimic's twins, each of one seed, with images from elsewhere that
`config.data.transfer` names. The mimic passes 20 times over these and the training images together, a new
view each time. With 50,000 of them it sees 1.8 million images, its twins 1.6 million in 40 passes.
On 2 AVX-512 cores (200 GFLOP/s in a product) the teacher's 1.2 PFLOP take 80 minutes, the mimic's .87 and a
twin's .78 two hours. They have 87.1 and 84.0% (the paper 88.0 and 84.9), the twin without dropout 82.5. The
other rows have not been run to their end.

`:protocol` undoes what of this can be undone: contrast normalisation and whitening, no augmentation, plain
momentum, stochastic pooling in the teachers, 49,000 images that train and 1,000 to watch, and 49,000 images
from elsewhere that `config.data.transfer` names, an .npz file or another kind. The mimic learns on both, on
the training images alone and on the others alone, in equally many steps. Section 3.2 holds that a mimic
does best on images that its teacher was not trained on. To choose rates, set 40,000 and 10,000 first
(`--config.data.train=40000 --config.data.validation=10000`); the paper prints none. `:small,protocol` has
narrow nets, and 40,000 images of either kind.

`:small` is another setting: 5,000 labels, 35,000 further training images without labels, narrow nets. Its
teachers, their cache and the last row are cifar_student.py:small's, and are used where the workdir has
them. Its rates were chosen there.
"""

from mimic_jax.config import cifar, presets

COUNT = "the paper's count of parameters cannot be all of the net's"
SUMS = (
    "an ensemble's parameters and units are the sums of its members'; the paper's ~140k and ~840k are four "
    'times the ~35k and ~210k of its teacher, of which ~35k cannot be all of its parameters'
)
MAPS = "the paper's ~125M and ~3.7B cannot be 4,000 filters' and their maps'"
# A row's source; from the paper its label, accuracy, parameters and hidden units; then a note.
ROWS = {
    'dnn': ('members.dnn', 'DNN', 0.422, '~10M', '4k'),
    'snn': ('students.snn', 'SNN-30k', 0.782, '~70M', '~190k'),
    'kmeans': (
        'baselines.kmeans', 'single-layer feature extraction', 0.816, '~125M', '~3.7B', MAPS,
    ),
    'hinton': ('members.hinton', 'CNN of Hinton et al.', 0.844, '~10k', '~110k', COUNT),
    'zeiler': ('members.zeiler', 'CNN of Zeiler & Fergus', 0.8487, '~56k', '~120k', COUNT),
    'cnn': ('members.cnn_1', 'teacher CNN', 0.880, '~35k', '~210k', COUNT),
    'ecnn': ('logits.ecnn', 'ECNN', 0.890, '~140k', '~840k', SUMS),
    'cnn_mimic_64c': (
        'students.cnn_mimic_64c', 'SNN-CNN-MIMIC-30k, 64c', 0.846, '~54M', '~110k',
    ),
    'cnn_mimic_128c': (
        'students.cnn_mimic_128c', 'SNN-CNN-MIMIC-30k, 128c', 0.849, '~70M', '~190k',
    ),
    'ecnn_mimic': ('students.ecnn_mimic', 'SNN-ECNN-MIMIC-30k', 0.858, '~70M', '~190k'),
    'labels_64c': ('students.labels_64c', '64c on labels'),
    'labels_128c': ('students.labels_128c', '128c on labels'),
}  # fmt: skip


def get_config(arg=''):
    deep = {'epochs': 120, 'learning_rate': 0.01, 'weight_decay': 1e-3}
    cnns = cifar.teachers()  # those of cifar_student.py
    models = '64c5-p3/2-1200L-30k', '128c5-p3/2-1200L-30k', 'd.2-128c5-p3/2-1200L-30k-d.5'
    config = {
        'presets': presets.SHORTER,
        'data': cifar.data(),
        'views': cifar.views(),
        'members': {
            'dnn': presets.member('2000-d.5-2000-d.5', deep),
            'hinton': presets.member('64c5-p3/2s-lrn-64c5-ap3/2s-lrn-64c5-ap3/2s-16lc3-d.5', deep),
            'zeiler': presets.member('64c5-sp3/2s-lrn-64c5-sp3/2s-lrn-128c5-sp3/2s-d.5', deep),
            **cnns,
        },
        'logits': caches(cnns, views=40),
        'students': students(*models, cifar.student_train(), cifar.student_train()),
        'baselines': {'kmeans': {'patches': 400_000, 'centroids': 4000}},
        'report': presets.report('ecnn', {name: row(*ROWS[name]) for name in ROWS}, latency=True),
    }
    chosen = presets.chosen(arg, CHANGES)
    presets.one_of(chosen, ('small', 'smoke', 'kmeans', 'cnn'), '')
    presets.one_of(chosen, ('smoke', 'kmeans', 'cnn', 'protocol'), '')
    changes = [name for name in CHANGES if name in chosen]  # a size comes first
    return presets.build(config, CHANGES, ','.join(changes))


def small(config):
    """5,000 labels, 35,000 images without labels, narrow nets: about an hour on 2 cores."""
    config.data.update(cifar.small_data())
    # With the papers' dropout of .5, nets of these widths do not even fit their training images.
    train = {'learning_rate': 0.1, 'clip_norm': 1.0}
    config.members = {
        'dnn': presets.member('500-d.2-500-d.2', train),
        'hinton': presets.member('16c5-p3/2s-lrn-16c5-ap3/2s-lrn-16c5-ap3/2s-16lc3-d.2', train),
        'zeiler': presets.member('16c5-sp3/2s-lrn-16c5-sp3/2s-lrn-32c5-sp3/2s-d.1', train),
        **cifar.small_teachers(),
    }
    config.logits = caches(cifar.small_teachers(), views=6)
    wide = cifar.small_model()
    config.students = students(
        *('16c5-p2-200L-2000', wide, f'd.1-{wide}-d.2'),
        on_labels={**cifar.small_on_labels(), 'weight_decay': 0.0},
        on_logits=cifar.small_on_logits(),
    )
    config.baselines.kmeans.update({'patches': 100_000, 'centroids': 400})
    config.run.update({'evaluation_steps': 200, 'checkpoint_steps': 200})
    relabel(config, '16c', '32c')


def smoke(config):
    """Every row on a subset with tiny nets and one seed, in minutes."""
    config.data.update(cifar.smoke_data())
    config.data.preprocess = 'gcn'  # contrast normalisation alone: so few images whiten badly
    brief = {'epochs': 6, 'batch_size': 50, 'learning_rate': 0.02}
    cnns = presets.members(2, '16c3-bn-p2-32c3-bn-sp2-64-d.5', brief)
    config.members = {
        'dnn': presets.member('100-d.5-100-d.5', brief),
        'hinton': presets.member('8c5-p3/2s-lrn-8c5-ap3/2s-lrn-8c5-ap3/2s-4lc3-d.5', brief),
        'zeiler': presets.member('8c5-sp3/2s-lrn-8c5-sp3/2s-lrn-16c5-sp3/2s-d.5', brief),
        **cnns,
    }
    config.logits = caches(cnns, views=2)
    models = '8c5-p2-50L-500', '16c5-p2-50L-500', 'd.2-16c5-p2-50L-500-d.5'
    config.students = students(*models, brief, {**brief, 'epochs': 2})
    for student in config.students.values():
        student.seeds = (0,)
    config.baselines.kmeans.update({'patches': 20_000, 'centroids': 50, 'iterations': 10})
    relabel(config, '8c', '16c')


def kmeans(config):
    """The single-layer features alone, fitted on 49,000 training images, without any net."""
    config.data.update(cifar.data(49_000, 1000, unlabelled=0, preprocess='image'))
    config.members = config.logits = config.students = {}
    config.report = presets.report('', {'kmeans': row(*ROWS['kmeans'])}, latency=True)


def cnn(config):
    """The paper's claim at its own size: one CNN, the 128c net that mimics it, and that net on labels."""
    config.data.transfer.update({'kind': 'npz', 'root': 'unlabelled.npz'})
    config.members = {'cnn_1': config.members.cnn_1}
    config.logits = {'cnn': {**config.logits.cnn, 'views': 20}}
    config.baselines = {}
    names = 'cnn_mimic_128c', 'snn', 'labels_128c'
    config.students = {name: {**config.students[name], 'seeds': (0,)} for name in names}
    config.students.cnn_mimic_128c.train.epochs = 20
    config.report = presets.report(
        'cnn', {name: row(*ROWS[name]) for name in ('cnn', *names)}, latency=True
    )


def protocol(config):
    """The ensemble's mimic as the paper trained it, on three transfer sets in equally many steps."""
    small = '16c5' in config.students.cnn_mimic_64c.model
    # Images of either kind, and epochs over both kinds.
    images, passes = (40_000, 3) if small else (49_000, 40)
    labelled = {'train': images, 'validation': 50_000 - images, 'unlabelled': -1}
    others = {'kind': 'npz', 'root': 'unlabelled.npz', 'limit': images}
    config.data.update({**labelled, 'preprocess': 'gcn_zca', 'transfer': others})
    config.views = config.baselines = {}
    members = {name: net for name, net in config.members.items() if name.startswith('cnn')}
    for net in members.values():
        net.model = net.model.replace('-p', '-sp')
        net.train.nesterov = False
        if small:
            net.train.epochs = 10
    config.members = members
    config.logits = {
        name: {'members': tuple(members), 'transfer': splits} for name, splits in TRANSFER.items()
    }
    labels, mimic = config.students.labels_128c, config.students.ecnn_mimic
    labels.train.epochs = 2 * passes
    for net in (labels, mimic):
        net.train.nesterov = False
    config.students = {'labels': labels}
    for name, splits in TRANSFER.items():
        student = mimic.copy_and_resolve_references()
        student.update({'logits': name})
        student.train.epochs = 2 * passes // len(splits)
        config.students[f'mimic_{name}'] = student
    shown = {'cnn': ROWS['cnn'], 'ecnn': ('logits.both', *ROWS['ecnn'][1:])}
    if small:
        shown = {name: found[:2] for name, found in shown.items()}
    paper = () if small else ROWS['ecnn_mimic'][2:]
    shown['mimic_both'] = ('students.mimic_both', 'mimic on training and other images', *paper)
    shown['mimic_train'] = ('students.mimic_train', 'mimic on the training images')
    shown['mimic_unlabelled'] = ('students.mimic_unlabelled', 'mimic on the other images')
    shown['labels'] = ('students.labels', 'the same net on labels')
    config.report = presets.report('both', {name: row(*found) for name, found in shown.items()})


CHANGES = {'small': small, 'smoke': smoke, 'kmeans': kmeans, 'cnn': cnn, 'protocol': protocol}
PRESETS = (*CHANGES, 'small,protocol')
TRANSFER = {  # of the preset protocol
    'both': ('train', 'unlabelled'),
    'train': ('train',),
    'unlabelled': ('unlabelled',),
}


def caches(cnns, views):
    """The logits of one CNN and of the ensemble on all images that may be trained on."""
    return {
        'cnn': {'members': ('cnn_1',), 'views': views},
        'ecnn': {'members': tuple(cnns), 'views': views},
    }


def students(narrow, wide, dropout, on_labels, on_logits):
    """The shallow nets: with dropout on labels, without on labels, and mimicking."""
    return {
        'snn': cifar.on_labels(dropout, **on_labels),
        'labels_64c': cifar.on_labels(narrow, **on_labels),
        'labels_128c': cifar.on_labels(wide, **on_labels),
        'cnn_mimic_64c': cifar.mimic(narrow, 'cnn', **on_logits),
        'cnn_mimic_128c': cifar.mimic(wide, 'cnn', **on_logits),
        'ecnn_mimic': cifar.mimic(wide, 'ecnn', **on_logits),
    }


def row(source, label, paper=-1.0, parameters='', units='', note=''):
    figures = {'paper_parameters': parameters, 'paper_units': units, 'note': note}
    return presets.row(source, label, paper, **figures)


def relabel(config, narrow, wide):
    """Rows of cut-down nets, without the paper's figures."""
    for name, (source, label, *_) in ROWS.items():
        label = label.replace('-30k', '').replace('128c', wide).replace('64c', narrow)
        config.report.rows[name] = row(source, label)
