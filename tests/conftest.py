"""Eight virtual CPU devices for all tests, and a small experiment on digits to run in a few seconds."""

import importlib.metadata
import importlib.util
import io
import os
import sys
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.runtime import compiled

jax.config.update('jax_num_cpu_devices', 8)

# Most of the time of tests is the compilation of tiny nets: without optimisation, and by XLA's older way of
# writing loops, half of that is saved. What .ci/long runs, and the commands of .ci/run, is optimised.
FLAGS = ['--xla_backend_optimization_level=0']
if importlib.metadata.version('jaxlib').startswith(
    '0.10.'
):  # later ones end at a flag unknown to them
    FLAGS.append('--xla_cpu_use_fusion_emitters=false')
os.environ.setdefault('XLA_FLAGS', ' '.join(FLAGS))

# Many tests compile the same few nets: what one process has compiled, the others read, those that the
# tests start included, and so does the next run.
COMPILED = {
    'jax_compilation_cache_dir': str(Path(__file__).parent.parent / '.pytest_cache' / 'jax'),
    'jax_persistent_cache_min_compile_time_secs': 0.05,
}
for name, value in COMPILED.items():
    jax.config.update(name, value)
    os.environ[name.upper()] = str(value)

compiled.NETS = 10**6  # of the many tiny nets that tests train none is dropped

# Few cases and always the same ones, unless asked for: --hypothesis-profile=thorough
hypothesis.settings.register_profile('thorough', max_examples=300, deadline=None)
hypothesis.settings.register_profile('quick', max_examples=20, deadline=None, derandomize=True)
hypothesis.settings.load_profile('quick')

ROOT = Path(__file__).parent.parent

# Files that train or compile for long. All others are quick: pytest -m quick
SLOW = frozenset(
    [
        *('absorb', 'accelerator', 'answers', 'api', 'arithmetic', 'artifact_names'),
        *('artifacts', 'backend', 'baseline', 'batch_norm', 'checkpoint', 'cifar10'),
        *('clipping', 'colour', 'compiled', 'convolution', 'corruption', 'device_memory'),
        *('disk', 'docs', 'experiments', 'export', 'external_views', 'figures', 'flax_net'),
        *('gaussian_process', 'hosts', 'imports', 'inputs_paths', 'inputs_pipeline'),
        *('interrupt', 'kmeans_features', 'layers', 'logit_cache', 'losses', 'net', 'notebook'),
        *('numbers', 'onnx_writer', 'pipeline', 'plateau', 'pooling', 'predict'),
        *('preprocess', 'readme_runs', 'search', 'search_phase', 'search_report'),
        *('settings_flags',),
        *('statistics', 'student_search', 'timit_pipeline', 'train', 'train_step'),
        *('ahead', 'airbench', 'curvature', 'labelling', 'mixing', 'objective', 'passed'),
        *('pixels', 'planning', 'resize'),
        *('transfer', 'untrusted', 'urban_views', 'views', 'viterbi', 'winograd'),
    ]
)  # fmt: skip

# The longest files, in the order in which they start: no worker is left alone with one at the end.
FIRST = (
    *('hosts', 'flax_net', 'train', 'arithmetic', 'readme_runs', 'pipeline', 'train_step', 'corruption'),
    *('accelerator', 'search_phase', 'transfer', 'logit_cache', 'student_search', 'settings_flags'),
    *('disk', 'pooling', 'numbers', 'baseline', 'search', 'experiments', 'airbench', 'curvature'),
)  # fmt: skip

# Tests that take longest for what they show: .ci/long runs them by --long.
LONG = (
    'accelerator_test.py::test_a_stage_is_measured_once',
    'airbench_test.py::test_a_teacher_keeps_what_was_fitted',
    'curvature_test.py::test_the_phase_tries_every_net_once_and_goes_on_where_it_stopped',
    'disk_test.py::test_too_many_open_files_is_a_line_and_with_more_the_run_goes_on',
    'flax_net_test.py::test_the_examples_train',
    'hosts_test.py::test_stopped_then_killed_then_finished_by_one',
    'inputs_pipeline_test.py::test_a_column_of_stamps_is_learnt',
    'labelling_test.py::test_students_learn_from_every_kind_and_the_report_says_what_each_takes',
    'logit_cache_test.py::test_members_are_held_one_at_a_time',
    'readme_runs_test.py::test_a_folder_of_images',
    'readme_runs_test.py::test_a_sweep_shares_its_teachers_and_is_gathered',
    'resize_test.py::test_a_student_of_many_sizes_predicts_any',
    'train_step_test.py::test_padding_changes_nothing',
)


def pytest_addoption(parser):
    parser.addoption('--long', action='store_true', help='run the longest tests too')


def pytest_collection_modifyitems(config, items):
    order = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem.removesuffix('_test'), len(FIRST)))
    for item in items:
        if item.path.stem.removesuffix('_test') not in SLOW:
            item.add_marker(pytest.mark.quick)
        named = item.nodeid.rpartition('/')[2].partition('[')[0]
        if named in LONG and not config.getoption('--long'):
            item.add_marker(pytest.mark.skip(reason='takes long: pytest --long'))


def load_experiment(name: str):
    """The module of experiments/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'experiments' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_benchmark(name: str):
    """The module of benchmarks/<name>.py, which may import its neighbours."""
    folder = ROOT / 'benchmarks'
    spec = importlib.util.spec_from_file_location(f'benchmark_{name}', folder / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their types
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def tiny_digits():
    """The digits experiment with tiny nets, two epochs a run, two views and two seeds."""
    config = load_experiment('digits_student').get_config()
    del config.members.cnn_3
    config.logits.ensemble.members = ('cnn_1', 'cnn_2')
    config.logits.ensemble.views = 2
    for member in config.members.values():
        member.model = '4c3-bn-p2-16-d.5'
        member.train.epochs = 2
    for student in config.students.values():
        student.model = '8L-32-d.5' if student.target == 'labels' else '8L-32'
        student.train.epochs = 3
        student.seeds = (0, 1)
    config.run.log_steps = 2
    config.run.evaluation_steps = 1
    config.run.checkpoint_steps = 1
    return config


def random_variables(module, shape, seed=0):
    """Like a trained net's: biases that are not 0 and running statistics that are not 0 and 1."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros(shape, np.float32))
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: (
            draw.uniform(0.1, 0.5, leaf.shape).astype(np.float32)
            if leaf.ndim == 1
            else draw.normal(scale=0.3, size=leaf.shape).astype(np.float32)
        ),
        shapes,
    )


def refusal(call, *arguments, **settings) -> str:
    """The one line that a call refuses its arguments with."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **settings)
    message = str(caught.value)
    assert '\n' not in message
    return message


@pytest.fixture
def config():
    return tiny_digits()


@pytest.fixture(scope='session')
def device():
    """One device, as most people have."""
    return jax.devices()[:1]


@pytest.fixture
def make_session(tmp_path, device):
    """Makes a session and a plan of a config, in a fresh workdir unless one is given."""
    from mimic_jax.config import experiment as experiments
    from mimic_jax.data import prepare
    from mimic_jax.planning import collect
    from mimic_jax.runtime import sharding
    from mimic_jax.runtime.progress import Progress
    from mimic_jax.training.session import Session

    def make(settings, workdir=None, devices=None, model_axis=1):
        workdir = workdir or tmp_path / 'work'
        workdir.mkdir(exist_ok=True)
        checked = experiments.read(settings)
        data = prepare.run(checked.data, workdir, Progress(stream=io.StringIO()))
        mesh = sharding.make_mesh(model_axis, devices or device)
        session = Session(workdir, data, checked.run, Progress(stream=io.StringIO()), mesh)
        return session, collect.make(checked, data)

    return make
