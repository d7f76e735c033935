"""Tables with real-valued targets, from the arrays to the exported student."""

import csv
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression

import mimic_jax
from mimic_jax.data import arrays, kinds, npz, scale, splits
from mimic_jax.data.settings import Data
from mimic_jax.export import lasting, predict
from mimic_jax.export import plan as exporting
from mimic_jax.export import run as export
from mimic_jax.ops import metrics, selection
from mimic_jax.training import losses, metrics_log, objective

NAMES = ['price', 'rate']
TRAIN = {'epochs': 3, 'batch_size': 20, 'learning_rate': 0.05}


def table(count=200, seed=0):
    """Features, and two targets in very different units; both are linear in the features but for noise."""
    draw = np.random.default_rng(seed)
    features = draw.uniform(-1, 3, (count, 4))
    noise = draw.normal(size=(count, 2))
    values = features @ draw.normal(size=(4, 2)) + 0.3 * noise
    return features, values * [2e5, 1e-3] + [5e5, 0.02]


def experiment(**students):
    return {
        'data': {
            'task': 'regression',
            'train': 80,
            'validation': 40,
            'test': 40,
            'preprocess': 'feature',
        },
        'members': {
            'one': {'model': '6', 'train': TRAIN},
            'two': {'model': '5', 'seed': 1, 'train': {**TRAIN, 'optimizer': 'adamw'}},
        },
        'logits': {
            'both': {
                'members': ('one', 'two'),
                'transfer': ('train', 'unlabelled'),
                'dtype': 'float32',
            }
        },
        'students': {
            'mimic': {
                'model': '4L-5',
                'target': 'logits',
                'logits': 'both',
                'loss': {'kind': 'standardised_logits', 'scale': 0.01},
                'train': TRAIN,
                'seeds': (0, 1),
            },
            'mixed': {
                'model': '4',
                'target': 'logits',
                'logits': 'both',
                'loss': {
                    'kind': 'mix',
                    'terms': {'own': {'weight': 0.5}, 'soft': {'kind': 'logits', 'weight': 2.0}},
                },
                'train': TRAIN,
            },
            # To convergence: the least squares' solution.
            'linear': {
                'model': '4L',
                'train': {'epochs': 300, 'batch_size': 80, 'learning_rate': 0.1, 'momentum': 0.8},
            },
            **students,
        },
        'run': {'evaluation_steps': 100, 'checkpoint_steps': 10_000},
    }


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp('regression')


@pytest.fixture(scope='module')
def result(workdir):
    features, values = table()
    data = {'features': features, 'labels': values, 'target_names': np.array(NAMES)}
    return mimic_jax.run(experiment(), workdir=workdir, name='table', data=data)


@pytest.fixture(scope='module')
def test_split(result):
    """Features and values of the test split, as they were given."""
    features, values = table()
    rows = result._session.data.splits['test']
    return features[rows], values[rows]


def row_of(result, name, metric):
    (row,) = [row for row in result.rows if (row['name'], row['metric']) == (name, metric)]
    return row


def test_labels_are_standardised_by_the_training_examples_alone(result):
    data, (_, values) = result._session.data, table()
    train = data.splits['train']
    expected = (values - values[train].mean(0)) / values[train].std(0)
    labelled = np.concatenate([data.splits[name] for name in ('train', 'validation', 'test')])
    np.testing.assert_allclose(data.labels[labelled], expected[labelled], rtol=1e-6, atol=1e-6)
    assert np.isnan(data.labels[data.splits['unlabelled']]).all()
    assert len(data.splits['unlabelled']) == 40
    np.testing.assert_allclose(data.own_labels(train), values[train], rtol=1e-6)


def test_rows_are_scikit_learns_figures_in_the_targets_own_units(result, test_split):
    features, values = test_split
    for name, seeds in (('mimic', (0, 1)), ('linear', (0,))):
        answers = [result.student(name, seed)(features) for seed in seeds]
        score, error = row_of(result, name, 'r2'), row_of(result, name, 'rmse')
        np.testing.assert_allclose(
            score['values'], [sk.r2_score(values, each) for each in answers], rtol=1e-5
        )
        np.testing.assert_allclose(
            error['values'], [sk.root_mean_squared_error(values, each) for each in answers], 1e-5
        )
        for k, target in enumerate(NAMES):
            for metric, found in score['targets'][target].items():
                figure = {'r2': sk.r2_score, 'rmse': sk.root_mean_squared_error}[metric]
                np.testing.assert_allclose(
                    found, [figure(values[:, k], each[:, k]) for each in answers], rtol=1e-4
                )
        ensemble = result.ensemble('both')(features)
        agreement = np.mean([sk.r2_score(ensemble, each) for each in answers])
        np.testing.assert_allclose(score['agreement'], agreement, rtol=1e-4)


def test_a_linear_net_ends_at_the_least_squares_solution(result, test_split):
    features, _ = test_split
    all_features, values = table()
    train = result._session.data.splits['train']
    with_one = np.column_stack([all_features, np.ones(len(all_features))])
    solution, *_ = np.linalg.lstsq(with_one[train], values[train], rcond=None)
    expected = np.column_stack([features, np.ones(len(features))]) @ solution
    found = result.student('linear').predict(features)
    np.testing.assert_allclose((found - expected) / values.std(0), 0, atol=2e-3)
    assert row_of(result, 'linear', 'r2')['mean'] > 0.9


def test_a_mix_reads_values_and_the_teachers_answers(result):
    (net,) = result._plan.students['mixed']
    assert net.task.loss.terms['own'].kind == 'squared_error'  # for cross-entropy, the default
    draw = np.random.default_rng(5)
    outputs, values, teacher = draw.normal(size=(3, 6, 2)).astype(np.float32)
    values[4] = np.nan
    batch = {'labels': values, 'teacher_logits': teacher, 'mask': np.ones(6)}
    found = objective.example_losses(net.task.loss, jnp.asarray(outputs), batch, {})
    hard = np.nan_to_num(((outputs - values) ** 2).sum(1)) / 2
    soft = ((outputs - teacher) ** 2).sum(1) / 2
    np.testing.assert_allclose(found, 0.5 * hard + 2 * soft, rtol=1e-5)
    assert row_of(result, 'mixed', 'r2')['n'] == 1


def test_an_ensemble_answers_with_its_members_mean(result, test_split):
    features, values = test_split
    mean = (result.teacher('one')(features) + result.teacher('two')(features)) / 2
    np.testing.assert_allclose(result.ensemble('both')(features), mean, rtol=1e-6)
    np.testing.assert_allclose(
        row_of(result, 'both', 'r2')['values'], [sk.r2_score(values, mean)], rtol=1e-5
    )
    data, cache = result._session.data, result.cache('both')
    examples = np.concatenate([data.splits['train'], data.splits['unlabelled']])
    asked = table()[0][examples]
    mean = (result.teacher('one')(asked) + result.teacher('two')(asked)) / 2
    train = table()[1][data.splits['train']]
    np.testing.assert_allclose(cache.view(0), (mean - train.mean(0)) / train.std(0), atol=1e-5)


def test_validation_is_logged_as_r2_and_half_the_squared_error(result):
    data, (features, values) = result._session.data, table()
    rows = data.splits['validation']
    last = metrics_log.read(result.folders['student linear, seed 0'])[-1]
    found = result.student('linear')(features[rows])
    np.testing.assert_allclose(last['validation_r2'], sk.r2_score(values[rows], found), rtol=1e-4)
    errors = (found - values[rows]) / values[data.splits['train']].std(0)
    np.testing.assert_allclose(last['validation_loss'], (errors**2).sum(1).mean() / 2, rtol=1e-3)
    assert metrics_log.score(last) == last['validation_r2'] and 'validation_accuracy' not in last


def test_the_report_says_r2_and_what_the_units_are(result):
    page = result.report.with_suffix('.md').read_text()
    assert 'R², %' in page and 'RMSE' in page and 'accuracy, %' not in page
    assert 'Target price: mean' in page and 'of the variance (R²)' not in page.split('|')[0]
    html = result.report.read_text()
    assert 'test R², %' in html and 'choose different classes' not in html


@pytest.fixture(scope='module')
def exports(result):
    """The folders of the mimic's exports, by format."""
    forms = ['jax'] + ['onnx'] * (importlib.util.find_spec('onnxruntime') is not None)
    planned = [exporting.make(result._plan, result._session.data, 'mimic', form) for form in forms]
    return {each.format: export.run(result._session, each) for each in planned}


def test_an_export_restores_the_targets_units_inside_the_program(result, exports, test_split):
    features = test_split[0].astype(np.float32)
    kept = np.load(exports['jax'] / 'weights.npz')
    targets = json.loads((exports['jax'] / 'export.json').read_text())['targets']
    hidden = (features - kept['preprocess/mean']) / kept['preprocess/deviation']
    layers = {name.split('/')[2] for name in kept if name.startswith('net/params/')}
    for name in sorted(layers, key=lambda name: int(name.split('_')[1])):
        hidden = hidden @ kept[f'net/params/{name}/kernel'] + kept[f'net/params/{name}/bias']
        hidden = np.maximum(hidden, 0) if name.startswith('hidden') else hidden
    expected = targets['mean'] + targets['deviation'] * hidden
    assert targets['names'] == NAMES
    for folder in exports.values():
        net = mimic_jax.load_student(folder)
        found = net.predict(features)
        np.testing.assert_allclose((found - expected) / expected.std(0), 0, atol=1e-5)
        assert net.targets == tuple(NAMES)
        assert 'have no probabilities' in refusal(net.predict_proba, features)
        assert 'values within' in export.summary(folder)
    found = result.student('mimic').predict(features)
    np.testing.assert_allclose((found - expected) / expected.std(0), 0, atol=1e-5)


def test_an_export_is_written_anew_from_its_weights(exports, tmp_path, test_split):
    features = test_split[0].astype(np.float32)
    lasting.again(exports['jax'], tmp_path / 'new', 'jax')
    before, after = (
        mimic_jax.load_student(folder / exporting.FILE)
        for folder in (exports['jax'], tmp_path / 'new')
    )
    np.testing.assert_allclose(after(features), before(features), rtol=1e-5)


def test_predictions_are_numbers_under_the_targets_names(
    result, exports, tmp_path, capsys, test_split
):
    features, _ = test_split
    np.save(tmp_path / 'rows.npy', features[:5])
    predict.run(result._session, exports['jax'], tmp_path / 'rows.npy', tmp_path / 'said.csv')
    assert capsys.readouterr().out.startswith('0  price ')
    with (tmp_path / 'said.csv').open() as file:
        head, *lines = csv.reader(file)
    assert head == ['input', *NAMES] and [line[0] for line in lines] == list('01234')
    expected = result.student('mimic')(features[:5])
    np.testing.assert_allclose(np.array(lines, float)[:, 1:], expected, rtol=1e-4)


# Teachers made elsewhere.


def linear(inputs, values):
    assert values.shape == (80, 2) and values[:, 0].std() > 1e5
    return LinearRegression().fit(inputs, values).predict


def of_own_teacher(source):
    config = {key: value for key, value in experiment().items() if key != 'members'}
    logits = {'own': {'source': source, 'transfer': ('train', 'unlabelled'), 'dtype': 'float32'}}
    return {**config, 'logits': logits, 'students': {}}


def test_a_teacher_of_scikit_learn_answers_in_the_targets_units(
    workdir, result, test_split, tmp_path
):
    features, values = table()
    data = {'features': features, 'labels': values, 'target_names': np.array(NAMES)}
    source = {'kind': 'fit', 'path': (linear,), 'version': '1'}
    fitted = mimic_jax.run(of_own_teacher(source), workdir, 'fitted', data=data)
    train = result._session.data.splits['train']
    said = LinearRegression().fit(features[train], values[train]).predict(features)
    rows = result._session.data.splits['test']
    expected = sk.r2_score(values[rows], said[rows])
    np.testing.assert_allclose(row_of(fitted, 'own', 'r2')['mean'], expected, rtol=1e-5)
    checked = json.loads((fitted.folders['logits own'] / 'manifest.json').read_text())
    np.testing.assert_allclose(
        checked['checked'][0]['r2'], sk.r2_score(values[train], said[train]), rtol=1e-3
    )
    # The same answers from a file; and those in another unit.
    np.save(tmp_path / 'said.npy', said)
    np.save(tmp_path / 'wrong.npy', said * [1, 1e3])
    source = {'kind': 'logits', 'path': (str(tmp_path / 'said.npy'),)}
    read = mimic_jax.run(of_own_teacher(source), workdir, 'read', data=data)
    np.testing.assert_allclose(read.cache('own').view(0), fitted.cache('own').view(0), atol=1e-5)
    np.testing.assert_allclose(row_of(read, 'own', 'r2')['mean'], expected, rtol=1e-5)
    source = {'kind': 'logits', 'path': (str(tmp_path / 'wrong.npy'),)}
    wrong = mimic_jax.run(of_own_teacher(source), workdir, 'wrong', data=data)
    warning, *_ = json.loads((wrong.folders['logits own'] / 'manifest.json').read_text())[
        'warnings'
    ]
    assert 'for target 1 (from 0), no better than its mean' in warning and 'price, rate' in warning


# What the rooms make of real values.


def test_sums_of_batches_make_scikit_learns_r2():
    draw = np.random.default_rng(3)
    values, outputs = draw.normal(3, 2, (50, 3)), draw.normal(3, 2, (50, 3))
    values[[4, 17], 1] = np.nan
    outputs[40:] = np.nan  # padding, whose answers count nothing
    mask, total = (np.arange(50) < 40).astype(np.float32), None
    for rows in np.split(np.arange(50), [20, 33]):
        each = losses.on_labels(jnp.asarray(outputs[rows]), jnp.asarray(values[rows], jnp.float32))
        sums = metrics.value_sums(
            jnp.asarray(outputs[rows]), jnp.asarray(values[rows]), each, jnp.asarray(mask[rows])
        )
        total = sums if total is None else metrics.merge(total, sums)
    known = (mask > 0) & np.isfinite(values).all(1)
    found = metrics.summarise(total)
    np.testing.assert_allclose(found['r2'], sk.r2_score(values[known], outputs[known]), rtol=1e-5)
    error = ((outputs - values)[known] ** 2).sum() / 2
    np.testing.assert_allclose(found['loss'], error / 40, rtol=1e-5)
    np.testing.assert_allclose(metrics.r2(outputs[:40], values[:40]), found['r2'], rtol=1e-5)
    np.testing.assert_allclose(
        metrics.rmse(outputs[:40], values[:40]),
        sk.root_mean_squared_error(values[known], outputs[known], multioutput='raw_values'),
    )


def test_a_target_that_does_not_vary_scores_as_scikit_learn_has_it():
    values = np.array([[1.0, 2], [1, 3], [1, 5]])
    for outputs in (values, values + 1):
        assert metrics.r2(outputs, values) == sk.r2_score(values, outputs)


def test_the_squared_error_and_its_gradient_pass_over_unknown_values():
    outputs = jnp.array([[1.0, 2], [3, 4]])
    values = jnp.array([[0.0, 4], [jnp.nan, 4]])
    np.testing.assert_allclose(losses.squared_error(outputs, values, 0.5), [2.5, 0])
    gradient = jax.grad(lambda g: losses.squared_error(g, values, 1.0).sum())(outputs)
    np.testing.assert_allclose(gradient, [[2, -4], [0, 0]])


def test_values_of_mixed_examples_mix_alike():
    values, others = np.array([[1.0, 10], [2, 20]]), np.array([[3.0, 30], [4, 40]])
    mixed = kinds.of(values).mixed(jnp.asarray(values), jnp.asarray(others), jnp.array([0.25, 1]))
    np.testing.assert_allclose(mixed, [[2.5, 25], [2, 20]])


def test_an_ensemble_is_chosen_by_r2():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(30, 2))
    nets = [values + draw.normal(size=(30, 2)) * noise for noise in (2, 0.5, 1)]
    first, second = selection.greedy(nets, values, 2, metrics.r2)
    assert first == 1
    means = {other: sk.r2_score(values, (nets[1] + nets[other]) / 2) for other in (0, 2)}
    assert second == max(means, key=means.get)
    np.testing.assert_allclose(
        selection.scores(nets[:2], values, metrics.r2),
        [sk.r2_score(values, nets[0]), sk.r2_score(values, (nets[0] + nets[1]) / 2)],
    )


def test_the_units_are_exact_to_float32_and_kept_as_json():
    values = np.random.default_rng(1).normal([2000, -1e-4], [3, 1e-5], (500, 2))
    found = scale.fit(values)
    again = scale.from_json(json.loads(json.dumps(found.as_json())))
    assert again == found and scale.from_json(None) is None
    np.testing.assert_allclose(found.standardise(values).std(0), 1, rtol=1e-5)
    restored = found.restore(found.standardise(values))
    np.testing.assert_allclose((restored - values) / values.std(0), 0, atol=1e-6)


def test_a_search_improves_r2(workdir):
    features, values = table()
    settings = experiment()
    settings['search'] = {
        'space': {'rate': {'low': 0.01, 'high': 0.1, 'log': True}},
        'sets': {'rate': 'train.learning_rate'},
        'member': {'model': '4', 'train': TRAIN},
        'trials': 2,
        'objective': 'validation_r2',
        'study': 'values',
    }
    data = {'features': features, 'labels': values}
    mimic_jax.run(settings, workdir, 'searched', 'search', data)
    optuna = pytest.importorskip('optuna')
    study = optuna.load_study(study_name='values', storage=f'sqlite:///{workdir}/studies.sqlite')
    assert study.direction.name == 'MAXIMIZE' and len(study.trials) == 2
    for trial in study.trials:
        records = metrics_log.read(workdir / trial.user_attrs['artifact'])
        assert trial.value == records[-1]['validation_r2']
    settings['search']['objective'] = 'validation_accuracy'
    line = refusal(mimic_jax.run, settings, workdir, 'searched', 'search', data)
    assert "set it to 'validation_r2' or 'validation_loss'" in line


# Tables as a person gives them, and what is refused.


def test_a_column_of_a_table_is_a_target():
    pandas = pytest.importorskip('pandas', reason='a table needs pandas')
    frame = pandas.DataFrame({'a': [1, 2, 3], 'price': [0.5, 0.25, 1], 'rate': [7, 8, 9]})
    found = arrays.of((frame, 'price'))
    assert found['features'].tolist() == [[1, 7], [2, 8], [3, 9]]
    assert found['labels'].tolist() == [0.5, 0.25, 1] and found['target_names'].tolist() == [
        'price'
    ]
    found = arrays.of((frame, ['price', 'rate']))
    assert found['features'].tolist() == [[1], [2], [3]]
    assert found['labels'].shape == (3, 2) and found['target_names'].tolist() == ['price', 'rate']
    assert 'target_names' not in arrays.of((frame, 'rate'))  # whole numbers: classes, as ever
    assert "no column 'rent'" in refusal(arrays.of, (frame, ['price', 'rent']))
    assert arrays.of((frame, ['x', 'y', 'x']))['class_names'].tolist() == ['x', 'y']


REGRESSION = Data(name='npz', task='regression')


def of_arrays(data=REGRESSION, **changes):
    features, values = table(12)
    return npz.source({'features': features, 'labels': values, **changes}, 'mine.npz', data)


def test_one_target_is_a_vector_or_a_column():
    _, values = table(12)
    for labels in (values[:, 0], values[:, :1]):
        found = of_arrays(labels=labels)
        np.testing.assert_array_equal(found.labels, values[:, :1])
        assert found.num_classes == 1 and found.class_names == ('target',)
    assert of_arrays().class_names == ('target_0', 'target_1')
    whole = of_arrays(labels=np.arange(12))
    assert whole.labels.dtype == np.float64 and whole.labels.shape == (12, 1)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'labels': table(11)[1]}, ['shape (11, 2)', '12 rows']),
        ({'labels': np.array(['a'] * 12)}, ["task 'regression'", 'give numbers']),
        ({'labels': np.where(np.arange(12) == 7, np.nan, 1.0)}, ['1 rows', 'position 7']),
        ({'target_names': np.array(['price'])}, ['target_names', 'count 2 targets']),
        ({'test_features': table(2)[0], 'test_labels': np.ones(2)}, ['1 targets, labels 2']),
    ],
)
def test_values_that_cannot_be_targets_are_refused(changes, words):
    message = refusal(of_arrays, **changes)
    assert all(word in message for word in words), message


def test_real_values_without_the_setting_are_told_of_it():
    message = refusal(of_arrays, data=Data(name='npz'), labels=table(12)[1][:, 0])
    assert '12 different values' in message and "config.data.task to 'regression'" in message


def test_a_target_without_variance_is_refused():
    inputs, values = np.zeros((9, 3)), np.column_stack([np.arange(9.0), np.full(9, 4.0)])
    regions = {'pool': 9, 'unlabelled': 0, 'test': 0}
    data = Data(name='npz', train=3, validation=3, test=3)
    message = refusal(splits.divide, inputs, values, regions, 2, '', data)
    assert 'value 4 of target 1' in message


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'data.label_noise': 0.1}, ['config.data.label_noise', 'real values']),
        ({'data.name': 'digits'}, ["'digits' has classes", 'sklearn:friedman1']),
        ({'data.task': 'classification', 'data.name': 'sklearn:diabetes'}, ["to 'regression'"]),
        ({'members.one.train': {'label_smoothing': 0.1}}, ['config.members.one.train.label_sm']),
        ({'logits.both.dtype': 'topk'}, ["config.logits.both.dtype is 'topk'", 'real values']),
        *(
            ({'students.mimic.loss': {'kind': kind}}, [f"loss.kind is '{kind}'", 'squared_error'])
            for kind in (
                'kl',
                'hinton',
                'dkd',
                'dist',
                'z_scores',
                'probabilities',
                'teacher_labels',
            )
        ),
        (
            {'students.mimic.loss': {'kind': 'mix', 'terms': {'soft': {'kind': 'kl'}}}},
            ['config.students.mimic.loss.terms.soft.kind'],
        ),
    ],
)
def test_what_real_values_cannot_have_is_one_line(workdir, change, words):
    settings = experiment()
    settings['data']['name'] = 'sklearn:diabetes'
    for path, value in change.items():
        *groups, last = path.split('.')
        here = settings
        for group in groups:
            here = here[group]
        here[last] = value
    message = refusal(mimic_jax.run, settings, workdir, 'refused', 'plan')
    assert all(word in message for word in words), message


def test_a_baseline_needs_classes(workdir):
    images = np.zeros((60, 6, 6, 1), np.uint8)
    images[:, 0, 0, 0] = values = np.arange(60)
    settings = {
        'data': {**experiment()['data'], 'train': 20, 'validation': 20, 'test': 20},
        'baselines': {'kmeans': {'centroids': 3, 'patches': 40, 'patch_size': 3}},
    }
    settings['data']['preprocess'] = 'scale'
    data = {'images': images, 'labels': values.astype(float)}
    message = refusal(mimic_jax.run, settings, workdir, 'refused', 'plan', data)
    assert 'config.baselines.kmeans' in message and 'real values' in message


def test_classes_have_no_squared_error(workdir):
    settings = {
        'data': {'name': 'digits', 'train': 30, 'validation': 20, 'test': 20},
        'students': {'net': {'model': '4', 'loss': {'kind': 'squared_error'}}},
    }
    message = refusal(mimic_jax.run, settings, workdir, 'refused', 'plan')
    assert 'config.students.net.loss.kind' in message and "to 'cross_entropy'" in message
