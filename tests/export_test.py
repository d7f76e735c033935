"""Exported students: read back without this package, and compared with the nets they come from."""

import dataclasses
import datetime
import io
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import random_variables, refusal, tiny_digits

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare, preprocess
from mimic_jax.errors import UserError
from mimic_jax.export import lasting
from mimic_jax.export import plan as exporting
from mimic_jax.export import run as export
from mimic_jax.models import net
from mimic_jax.planning import collect
from mimic_jax.runtime import sharding
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.runtime.progress import Progress
from mimic_jax.training import checkpoint
from mimic_jax.training.session import Session

# What a person writes who has the file and jax, and not this package.
LOADER = """
import sys
sys.modules['mimic_jax'] = None  # to import it is an error
import jax, jax.export
import numpy as np

with open(sys.argv[1], 'rb') as file:
    student = jax.export.deserialize(bytearray(file.read()))
images = np.load(sys.argv[2])
assert not [name for name in sys.modules if name.startswith(('mimic_jax.', 'flax', 'orbax'))]
np.savez(sys.argv[3], all=student.call(images), one=student.call(images[:1]))
"""


def settings():
    config = tiny_digits()
    config.students.mimic.model = '64L-32'  # not narrower than its input: 64 pixels, 64 units
    config.run.evaluation_batch_size = 64
    return config


def plant(session, planned, seed=0):
    """A net with random parameters where a trained one would be."""

    def build(folder):
        shape = (1, *session.data.input_shape)
        variables = random_variables(planned.task.net.module, shape, seed)
        with checkpoint.Checkpoints(folder) as checkpoints:
            checkpoints.save(1, variables)
        return {'seconds': 1.0, 'variables_sha256': checkpoint.digest(variables)}

    store.make(session.workdir, planned.recipe, build)


@pytest.fixture(scope='module')
def opened(tmp_path_factory, device):
    """A session on digits with random nets in the places of the teachers and of the mimic."""
    workdir = tmp_path_factory.mktemp('work')
    checked = experiments.read(settings())
    progress = Progress(stream=io.StringIO())
    data = prepare.run(checked.data, workdir, progress)
    session = Session(workdir, data, checked.run, progress, sharding.make_mesh(1, device))
    made = collect.make(checked, data)
    for number, planned in enumerate([*made.members.values(), made.students['mimic'][0]]):
        plant(session, planned, number)
    return session, made


@pytest.fixture(scope='module')
def exported(opened):
    session, made = opened
    chosen = exporting.make(made, session.data)
    return export.run(session, chosen)


def expected(opened, images):
    """The planted mimic's probabilities, bottleneck and all, by Flax and NumPy."""
    _, made = opened
    module = made.students['mimic'][0].task.net.module
    variables = random_variables(module, (1, 8, 8, 1), seed=2)
    return softmax(np.asarray(module.apply(variables, images.astype(np.float32) / 255)))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_file_is_loaded_without_the_package(opened, exported, tmp_path):
    images = opened[0].data.inputs[:37]
    np.save(tmp_path / 'images.npy', images)
    process = subprocess.run(
        [sys.executable, '-c', LOADER, exported / exporting.FILE, 'images.npy', 'out.npz'],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    with np.load(tmp_path / 'out.npz') as said:
        right = expected(opened, images)
        assert said['all'].shape == (37, 10) and said['one'].shape == (1, 10)
        np.testing.assert_allclose(said['all'], right, atol=1e-5)
        np.testing.assert_allclose(said['one'], right[:1], atol=1e-5)
        assert np.ptp(right, axis=0).max() > 0.1, 'answers that differ'


def test_it_is_written_anew_from_what_lies_beside_it(opened, exported, tmp_path):
    """It needs no workdir; the new file answers as the old one did, and its description is the same."""
    (tmp_path / 'moved').mkdir()
    for name in (exporting.DESCRIPTION, lasting.WEIGHTS):  # the file itself may be unreadable
        (tmp_path / 'moved' / name).write_bytes((exported / name).read_bytes())
    said = lasting.again(tmp_path / 'moved', tmp_path / 'new', 'jax')
    images = opened[0].data.inputs[:37]
    before, after = (
        exporting.ask(exporting.load(folder / exporting.FILE), images)
        for folder in (exported, tmp_path / 'new')
    )
    np.testing.assert_allclose(after, before, atol=1e-6)
    old, new = (
        json.loads((folder / exporting.DESCRIPTION).read_text())
        for folder in (exported, tmp_path / 'new')
    )
    parity = new.pop('parity')
    del old['parity'], old['latency']
    assert {**new, 'bytes': 0} == {**old, 'bytes': 0}
    kept = lasting.read(
        tmp_path / 'new' / lasting.WEIGHTS
    )  # answers asked for now, not the first export's
    found = exporting.ask(exporting.load(tmp_path / 'new' / exporting.FILE), kept.inputs)
    assert parity == {
        'examples': lasting.ASKED, 'tolerance': lasting.TOLERANCE, 'argmax_equal': True,
        'max_difference': pytest.approx(np.abs(found - kept.answers).max(), abs=1e-7),
    }  # fmt: skip
    written, until = (datetime.date.fromisoformat(new[n]) for n in ('written', 'promised_until'))
    assert 180 < (until - written).days < 184 and new['promised_until'] in said
    again = tmp_path / 'again'
    assert 'those kept' in lasting.again(tmp_path / 'new' / exporting.FILE, again, 'onnx')
    after = exporting.ask(exporting.load(again / exporting.FILES['onnx']), images)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_what_is_beside_it_is_needed_whole(exported, tmp_path):
    folder, new = tmp_path / 'moved', tmp_path / 'new'
    folder.mkdir()
    assert 'cannot be read (No such file' in refusal(lasting.again, folder, new, 'jax')
    described = json.loads((exported / exporting.DESCRIPTION).read_text())
    (folder / exporting.DESCRIPTION).write_text(json.dumps({**described, 'net': None}))
    assert 'is a module of your own' in refusal(lasting.again, folder, new, 'jax')
    (folder / exporting.DESCRIPTION).write_text(json.dumps(described))
    weights = (exported / lasting.WEIGHTS).read_bytes()
    for damaged in (b'', weights[: len(weights) // 2], b'PK' + bytes(200)):
        (folder / lasting.WEIGHTS).write_bytes(damaged)
        assert f'{lasting.WEIGHTS} cannot be read' in refusal(lasting.again, folder, new, 'jax')
    kept = lasting.read(exported / lasting.WEIGHTS)
    lasting.write(folder, kept._replace(answers=np.roll(kept.answers, 1, axis=1)))
    assert 'it is not written' in refusal(lasting.again, folder, new, 'jax')
    assert not (new / exporting.FILE).exists()
    lasting.write(folder, kept)
    (new / 'mine').write_text('kept')
    assert 'is there already' in refusal(lasting.again, folder, new, 'jax')
    assert (new / 'mine').read_text() == 'kept'


def test_a_wish_to_stop_is_not_taken_for_damage(exported, monkeypatch):
    def stop(_):
        raise Interrupted

    monkeypatch.setattr(jax.export, 'deserialize', stop)
    with pytest.raises(Interrupted):
        exporting.load(exported / exporting.FILE)


def test_a_program_that_this_jax_cannot_read_is_one_line(exported, tmp_path):
    exporting_jax = jax.export.deserialize(bytearray((exported / exporting.FILE).read_bytes()))
    foreign = dataclasses.replace(
        exporting_jax, mlir_module_serialized=b'ML\xefRStableHLO_v99.0.0\x00'
    )
    path = tmp_path / exporting.FILE
    path.write_bytes(bytes(foreign.serialize()))
    (tmp_path / exporting.DESCRIPTION).write_text('{"jax": "9.9.9"}')
    images = np.zeros((1, 8, 8, 1), np.uint8)
    message = refusal(lambda: exporting.load(path)(images))
    assert message.startswith(f'{path} cannot be read by jax {jax.__version__}; jax 9.9.9 wrote it')
    assert '--phase=export --from=' in message
    path.write_bytes(b'no program at all')
    assert 'cannot be read by jax' in refusal(exporting.load, path)


def test_the_export_says_what_it_is(exported):
    store.verify(exported)
    facts = json.loads((exported / 'export.json').read_text())
    assert facts['student'] == 'mimic' and facts['seed'] == 0
    assert (facts['trained_model'], facts['model']) == ('64L-32', '32')
    assert facts['input'] == {'shape': ['b', 8, 8, 1], 'dtype': 'uint8'}
    assert facts['num_classes'] == 10 and facts['classes'] == list('0123456789')
    assert facts['bytes'] == (exported / exporting.FILE).stat().st_size
    # 64·32+32 + 32·10+10 float32 weights are inside, those of 64·64+64 more are not.
    assert 4 * 2410 < facts['bytes'] < 4 * 2410 + 12_000
    assert facts['parity']['examples'] == 500 and facts['parity']['argmax_equal']
    assert 0 <= facts['parity']['max_difference'] < 1e-5
    names = [row['name'] for row in facts['latency']]
    assert names == ['student, exported', 'one teacher', 'ensemble of 2']
    for row in facts['latency']:
        assert set(row['milliseconds']) == {'1', '128'} and min(row['milliseconds'].values()) > 0
    read = jax.export.deserialize(bytearray((exported / exporting.FILE).read_bytes()))
    assert read.platforms == ('cpu', 'cuda', 'tpu')
    assert str(read.in_avals[0].shape) == '(b, 8, 8, 1)' and read.in_avals[0].dtype == np.uint8


def test_a_second_export_writes_nothing_and_says_the_same(opened, exported, device, capsys):
    before = (exported / store.MARKER).stat().st_mtime_ns
    pipeline.run(
        settings(), workdir=exported.parent, experiment='tiny', phase='export', devices=device
    )
    said = capsys.readouterr().out
    assert said.strip() == export.summary(exported)
    assert (exported / store.MARKER).stat().st_mtime_ns == before
    assert len(list(exported.parent.glob('export-*'))) == 1
    assert 'bottleneck absorbed' in said and '| ensemble of 2' in said
    assert f'{(exported / exporting.FILE).stat().st_size:,} bytes' in said


@pytest.mark.parametrize(
    ('spec', 'exported_spec', 'words'),
    [
        # 64 pixels, 10 classes, 2 FLOPs a weight: 64·8 + 8·32 + 32·10, without 8L 64·32 + 32·10.
        ('8L-32', '8L-32', 'kept: 2,176 FLOPs an example, 4,736 without it'),
        ('64L-32', '32', 'absorbed: 4,736 FLOPs an example, 12,928 with it'),
        ('32', '32', 'no bottleneck'),
        ('64L-d.5-32', '64L-d.5-32', 'prevents absorbing it'),
    ],
)
def test_the_bottleneck_goes_where_that_is_cheaper(spec, exported_spec, words):
    chosen, reason = exporting.cheaper(spec, (8, 8, 1), 10)
    assert chosen == exported_spec and words in reason


def normalised(kind, inputs, training):
    """Preprocessing written out in float64, of training inputs where it is fitted."""
    if kind == 'feature':
        return (inputs - training.mean(axis=0)) / training.std(axis=0)
    rows, fitted = (part.reshape(len(part), -1).astype(np.float64) for part in (inputs, training))

    def contrast(rows):
        centred = rows - rows.mean(axis=1, keepdims=True)
        return 55 * centred / np.linalg.norm(centred, axis=1, keepdims=True)

    if kind == 'image':
        rows = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    else:
        rows, fitted = contrast(rows), contrast(fitted)
        values, vectors = np.linalg.eigh(np.cov(fitted.T, ddof=0))
        whitening = vectors @ np.diag((values + 0.1) ** -0.5) @ vectors.T
        rows = (rows - fitted.mean(axis=0)) @ whitening
    return rows.reshape(inputs.shape)


@pytest.mark.parametrize(
    ('kind', 'spec', 'shape'),
    [
        ('feature', 'd.1-8', (5,)),
        ('image', '4c3-bn-p2-6', (4, 4, 2)),
        ('gcn_zca', '8L-6', (3, 3, 1)),
    ],
)
def test_preprocessing_is_inside(kind, spec, shape, tmp_path):
    draw = np.random.default_rng(0)
    if kind == 'feature':
        inputs = draw.normal(3, 5, size=(40, *shape)).astype(np.float32)
    else:
        inputs = draw.integers(0, 256, size=(40, *shape)).astype(np.uint8)
    stats = preprocess.fit(kind, inputs, np.arange(30))
    module = net.build(spec, 3)
    variables = random_variables(module, (1, *shape))
    path = tmp_path / 'file'
    path.write_bytes(exporting.serialize(module, kind, variables, stats, shape, inputs.dtype))
    prepared = normalised(kind, inputs, inputs[:30]).astype(np.float32)
    right = softmax(np.asarray(module.apply(variables, prepared)))
    call = exporting.load(path)
    np.testing.assert_allclose(call(inputs[:7]), right[:7], atol=1e-4)
    np.testing.assert_allclose(exporting.ask(call, inputs), right, atol=1e-4)
    assert right.max(axis=0).min() > 0.1 and np.ptp(right, axis=0).max() > 0.05


def test_a_file_that_answers_otherwise_is_refused(opened, monkeypatch):
    session, made = opened
    chosen = exporting.make(made, session.data)
    recipe = dataclasses.replace(chosen.recipe, config={'version': 'another'})
    real = exporting.load
    monkeypatch.setattr(exporting, 'load', lambda path: lambda inputs: real(path)(inputs) + 0.01)
    with pytest.raises(UserError, match=r'differ from the trained net by 1\.0e-02'):
        export.run(session, dataclasses.replace(chosen, recipe=recipe))
    assert not store.is_complete(session.workdir / recipe.name)


def test_which_student(opened, tmp_path):
    session, made = opened
    assert exporting.make(made, session.data).name == 'mimic'
    assert exporting.make(made, session.data, 'labels').name == 'labels'
    with pytest.raises(UserError, match="did you mean 'mimic'"):
        exporting.make(made, session.data, 'mimc')
    second = {**made.students, 'other': made.students['mimic']}
    several = dataclasses.replace(made, students=second)
    with pytest.raises(UserError, match='--student=NAME, one of labels, mimic, other'):
        exporting.make(several, session.data)
    untrained = exporting.make(made, session.data, 'labels')
    with pytest.raises(UserError, match='--phase=student'):
        export.run(session, untrained)


def test_weights_beyond_what_a_file_holds_are_refused(monkeypatch):
    module = net.build('8', 3)
    monkeypatch.setattr(exporting, 'LARGEST', 4 * (5 * 8 + 8 + 8 * 3 + 3))
    variables = random_variables(module, (1, 5))
    with pytest.raises(UserError, match='300 bytes of weights'):
        exporting.serialize(module, 'scale', variables, {}, (5,), np.dtype(np.float32))


def test_as_onnx(opened, monkeypatch):
    onnxruntime = pytest.importorskip('onnxruntime', reason="needs the extra 'onnx'")
    pytest.importorskip('onnx', reason="needs the extra 'onnx'")
    session, made = opened
    chosen = exporting.make(made, session.data, file_format='onnx')
    folder = export.run(session, chosen)
    images = session.data.inputs[:37]
    model = onnxruntime.InferenceSession(folder / 'student.onnx')
    (said,) = model.run(['probabilities'], {'inputs': images})
    np.testing.assert_allclose(said, expected(opened, images), atol=1e-5)
    facts = json.loads((folder / 'export.json').read_text())
    assert (facts['format'], facts['opset'], facts['model']) == ('onnx', 18, '32')
    assert facts['parity']['argmax_equal'] and facts['parity']['max_difference'] < 1e-5
    assert set(facts['latency'][0]['milliseconds']) == {'1', '128'}
    assert 'student.onnx, ' in export.summary(folder) and 'opset 18' in export.summary(folder)
    assert exporting.make(made, session.data).recipe.name != folder.name
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match=r'onnxruntime, which is not installed.*\.\[onnx\]'):
        exporting.make(made, session.data, file_format='onnx')


def test_an_onnx_model_says_what_it_takes_and_what_its_classes_are_called(opened, tmp_path):
    onnx = pytest.importorskip('onnx')
    session, made = opened
    folder = export.run(session, exporting.make(made, session.data, file_format='onnx'))
    model = onnx.load(folder / 'student.onnx')
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said['classes']) == list('0123456789')
    assert json.loads(said['input']) == {'shape': ['b', 8, 8, 1], 'dtype': 'uint8'}
    assert (said['preprocess'], said['model']) == ('scale', '32')


def test_an_export_that_is_not_there_is_named_by_its_flag(tmp_path):
    message = refusal(lasting.again, tmp_path / 'nowhere', tmp_path / 'new', 'jax')
    assert message.startswith(f'there is no --from={tmp_path}/nowhere; give the folder')
    assert not (tmp_path / 'new').exists()
