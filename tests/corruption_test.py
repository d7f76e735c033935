"""Every kind of file of every kind of artifact, damaged; `benchmarks/corruption.py` tries more."""

import io
import random
import shutil

import pytest
from conftest import load_benchmark

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare, statistics
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble
from mimic_jax.reporting import answered
from mimic_jax.runtime.progress import Progress


@pytest.fixture(scope='module')
def corruption():
    """The benchmark, whose cases these are."""
    return load_benchmark('corruption')


@pytest.fixture(scope='module')
def finished(corruption, tmp_path_factory, device):
    workdir = tmp_path_factory.mktemp('finished')
    run(corruption, workdir, device)
    return workdir


def run(corruption, workdir, device):
    store._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    experiment = corruption.EXPERIMENT
    pipeline.run(corruption.tiny(), workdir=workdir, experiment=experiment, devices=device)


@pytest.fixture
def read(corruption, finished, tmp_path, make_session):
    """`read(folder)`: what the phases that read an artifact do first."""
    session, plan = make_session(corruption.tiny(), tmp_path / 'copy')
    shutil.rmtree(tmp_path / 'copy')
    shutil.copytree(finished, tmp_path / 'copy')
    nets = {net.recipe.name: net for net in plan.nets()}
    caches = {cache.recipe.name: cache for cache in plan.caches.values()}
    settings = experiments.read(corruption.tiny()).data

    def of(folder):
        store._verified_manifest.cache_clear()
        match folder.name.partition('-')[0]:
            case 'data':
                return prepare.run(settings, session.workdir, Progress(stream=io.StringIO()))
            case 'preprocess':
                return statistics.open_fitted(session.workdir, session.data)
            case 'teacher' | 'student':
                return ensemble.variables(session, nets[folder.name])
            case 'logits':
                return ensemble.open_checked(session, caches[folder.name])
            case _:
                return answered.outputs(folder, 'test')

    return of


def test_every_damage_to_every_kind_of_file_is_found_by_what_reads_it(
    corruption, finished, read, tmp_path
):
    draw, tried = random.Random(0), 0
    by_kind = corruption.kinds(finished)
    phases = {kind.split()[0] for kind in by_kind}
    assert phases == {
        *('data', 'preprocess', 'teacher', 'logits', 'student', 'evaluate', 'baseline')
    }
    for kind, paths in by_kind.items():
        path = draw.choice(paths)
        folder, content = tmp_path / 'copy' / path.parts[0], (finished / path).read_bytes()
        alike = corruption.others(finished, path, paths)
        for how in corruption.DAMAGES:
            if (how == 'swap' and not alike) or (how != 'delete' and not content):
                continue
            other = finished / draw.choice(alike) if how == 'swap' else None
            corruption.damage(tmp_path / 'copy' / path, how, draw, other)
            if kind in ('data COMPLETE', 'preprocess COMPLETE') and how == 'delete':
                read(folder)  # which makes it again
                shutil.rmtree(folder)
                shutil.copytree(finished / path.parts[0], folder)
            else:
                with pytest.raises(UserError) as caught:
                    read(folder)
                message = str(caught.value)
                assert str(folder) in message and f'delete {folder}' in message, (kind, how)
                assert '\n' not in message
            (tmp_path / 'copy' / path).write_bytes(content)
            tried += 1
    assert tried > 300
    for folder in (tmp_path / 'copy').glob('*-*'):
        read(folder)


def test_artifacts_cut_in_half_are_made_whole_with_equal_results(
    corruption, finished, tmp_path, device
):
    copy = shutil.copytree(finished, tmp_path / 'copy')
    halved = {folder.name for folder in copy.glob('*-*') if corruption.unfinished(folder)}
    assert {name.partition('-')[0] for name in halved} == {
        *('teacher', 'logits', 'student', 'baseline')
    }
    for marker in copy.glob('*-*/COMPLETE'):
        marker.unlink()
    run(corruption, copy, device)
    one, other = (corruption.outcomes.of(at, corruption.EXPERIMENT) for at in (finished, copy))
    assert len(one) > 15 and corruption.outcomes.difference(one, other) == []


def test_outcomes_differ_where_anything_but_a_time_does(corruption, finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / 'copy')
    before = corruption.outcomes.of(copy, corruption.EXPERIMENT)
    for name, fact in (('teacher', 'variables_sha256'), ('student', 'variables_sha256')):
        path = next(copy.glob(f'{name}-*')) / 'manifest.json'
        path.write_text(path.read_text().replace(before[path.parent.name][fact], 'another'))
        after = corruption.outcomes.of(copy, corruption.EXPERIMENT)
        assert path.parent.name in corruption.outcomes.difference(before, after)
    for name in ('evaluate-*/test.npy', 'baseline-*/test.npy', 'logits-*/digests.json'):
        path = next(copy.glob(name))
        path.write_bytes(path.read_bytes() + b' ')
        after = corruption.outcomes.of(copy, corruption.EXPERIMENT)
        assert path.parent.name in corruption.outcomes.difference(before, after)
