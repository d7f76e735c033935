"""The command line. All cases run in one process that forks, before jax is imported, for each."""

import configparser
import importlib
import json
import os
import platform
import pty
import shlex
import subprocess
import sys
import types
from pathlib import Path

import jax
import pytest
from conftest import refusal

import mimic_jax
from mimic_jax import __main__
from mimic_jax.config import command_line, describe, shipped, usage
from mimic_jax.runtime import sharding

ROOT = Path(__file__).parent.parent
DIGITS = '--config=experiments/digits_student.py'
CIFAR = '--config=experiments/cifar_student.py'
TWO = '--config=FOLDER/two.py:p3,p5'

# Reads cases {args, then} from stdin; writes {code, out, err} of each. In the pipeline's place is a
# stand-in that prints what it was called with and then does what the case says.
DRIVER = """
import json, os, signal, sys, tempfile, types
from absl import app
from mimic_jax import main
from mimic_jax.errors import UserError

assert 'jax' not in sys.modules, 'a flag error should not wait for jax'
THEN = {
    '': lambda: None,
    'user error': lambda: (_ for _ in ()).throw(UserError('the net is too large; choose another')),
    'disk full': lambda: (_ for _ in ()).throw(OSError(28, 'No space left on device', 'a/file')),
    'bug': lambda: (_ for _ in ()).throw(ValueError('a bug')),
    'term': lambda: signal.raise_signal(signal.SIGTERM),
    'interrupt': lambda: signal.raise_signal(signal.SIGINT),
}

def run(settings, **given):
    print(json.dumps({
        'locked': settings.is_locked,
        'learning_rate': settings.students.mimic.train.learning_rate,
        'seeds': list(settings.students.mimic.seeds),
        'mirror': settings.views.mirror,
        'compiled': len(compiled),
        **{key: str(value) for key, value in given.items()},
    }), flush=True)
    THEN[then]()

def outcome(args):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            sys.argv = ['main.py', *args]
            code = 0
            try:
                app.run(main.main, flags_parser=main._parse)
            except SystemExit as end:
                code = end.code or 0
            except BaseException as error:
                print('Traceback', type(error).__name__, file=sys.stderr)
                code = 1
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0), err.seek(0)
        return {'code': code, 'out': out.read().decode(), 'err': err.read().decode()}

sys.modules['mimic_jax.pipeline'] = types.SimpleNamespace(run=run)
compiled = []
sys.modules['mimic_jax.runtime.compiled'] = types.SimpleNamespace(keep=lambda: compiled.append(True))
results = []
for case in json.load(sys.stdin):
    then = case['then']
    results.append(outcome(case['args']))
json.dump(results, sys.stdout)
"""

FILES = {
    'two': """
import ml_collections

def get_config(presets):
    seeds = [int(preset[1:]) for preset in presets.split(',')]
    train = {'learning_rate': 1.0}
    students = {'mimic': {'train': train, 'seeds': seeds}}
    return ml_collections.ConfigDict({'students': students, 'views': {'mirror': False}})
""",
    'syntax': 'def get_config(:\n',
    'no_get_config': 'config = 1\n',
    'number': 'def get_config():\n    return 3\n',
    'no_module': 'import no_such_module\n',
    'no_name': 'def get_config():\n    return nothing\n',
}

# Flags, and what the one line on stderr must hold.
MISTAKES = [
    ([], ['no experiment given', '--config=']),
    (['--config=nowhere.py'], ['nowhere.py', 'no such file', 'experiments/own_data.py']),
    (['--config=digit_studnet'], ['did you mean experiments/digits_student.py?']),
    ([DIGITS, '--config.students.mimic.loss=kl'], ['say --config.students.mimic.loss.kind=kl']),
    ([DIGITS, '--config.students.mimic=kl'], ['a group of settings', 'model', 'loss', 'train']),
    ([DIGITS, '--config.data.train=3.5'], ['--config.data.train', "'3.5'", 'a whole number']),
    ([DIGITS, '--config.views.shift=x'], ['--config.views.shift', "'x'", 'a whole number']),
    ([DIGITS, '--config.students.mimic.train.momentum=x'], ["'x'", 'a number']),
    (['--config=experiments'], ['experiments', 'no such file']),
    ([f'{CIFAR}:smok'], ["unknown preset 'smok'", 'smoke']),
    ([f'{CIFAR}:smoke,tiny'], ["unknown preset 'tiny'", 'smoke']),
    ([f'{DIGITS}:smok'], ["unknown preset 'smok'"]),
    (['--config', 'digit_studnet'], ['did you mean experiments/digits_student.py?']),
    ([DIGITS, '--config.data.trian=3'], ["no setting 'trian'; did you mean 'train'?"]),
    ([DIGITS, '--config.students.mimc.train.epochs=3'], ["'mimc'", "'mimic'"]),
    ([DIGITS, '--config.students.mimic.train.epohcs=3'], ["'epohcs'", "'epochs'"]),
    ([DIGITS, '--config.zzz=3'], ["no setting 'zzz'"]),
    ([DIGITS, '--config.data.train=many'], ['config.data.train', 'many']),
    ([DIGITS, '--config.views.mirror=maybe'], ['config.views.mirror', 'maybe']),
    ([DIGITS, '--phase=studnet'], ["--phase=studnet: did you mean 'student'?"]),
    ([DIGITS, '--phase=x'], ['--phase=x: known are', 'teacher']),
    ([DIGITS, '--experiments=a'], ['--experiments', '--phase=report']),
    ([DIGITS, '--phase=report', '--experiments=a'], ['--experiments', '--config']),
    (['--phase=report', '--experiments=a', '--workdir=FOLDER'], ["'a'", 'has none', 'run one']),
    ([DIGITS, '--name=a/b'], ['--name=a/b', 'folder']),
    ([DIGITS, '--student=mimic'], ['--student', '--phase=export and predict']),
    ([DIGITS, '--yes'], ['--yes', '--phase=clean']),
    (['--phase=status', '--workdir=FOLDER/none'], ['no folder']),
    ([DIGITS, '--format=onnx'], ['--format', '--phase=export']),
    ([DIGITS, '--phase=export', '--input=x'], ['--input', '--phase=predict']),
    ([DIGITS, '--workdri=x'], ['workdri', 'workdir']),
    ([DIGITS, '--workdir'], ['workdir']),
    ([DIGITS, 'smoke'], ["unexpected argument 'smoke'", 'a --flag=value']),
    (['digits_student'], ["unexpected argument 'digits_student'; say --config=digits_student"]),
    (['cifar_student:smoke'], ['say --config=cifar_student:smoke']),
    (['--config=FOLDER/syntax.py'], ['syntax.py']),
    (['--config=FOLDER/no_get_config.py'], ['get_config']),
    (['--config=FOLDER/number.py'], ['number.py', 'ConfigDict']),
    (['--config=FOLDER/no_module.py'], ['no_module.py, line 1: ', 'no_such_module']),
    (['--config=FOLDER/no_name.py'], ['no_name.py, line 2: ', "name 'nothing' is not defined"]),
]
ENDINGS = [
    ('user error', 2, 'error: the net is too large; choose another'),
    ('disk full', 2, 'error: a/file: No space left on device; make room'),
    ('term', 130, 'stopped; nothing is lost. To go on: python -m mimic_jax.main '),
    ('interrupt', 130, 'stopped; nothing is lost. To go on: python -m mimic_jax.main '),
]
GOOD = [
    DIGITS,
    '--workdir=some where',
    '--phase=student',
    '--config.students.mimic.train.learning_rate=0.01',
    '--config.students.mimic.seeds=(3,4)',
    '--config.views.mirror',
]
SECRET = [DIGITS, '--config.data.root=postgresql://me:secret@host/db']


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """Outcome by (flags, what the pipeline does)."""
    folder = tmp_path_factory.mktemp('configs')
    for name, text in FILES.items():
        (folder / f'{name}.py').write_text(text)
    cases = [(args, '') for args, _ in MISTAKES]
    cases += [(['--version'], ''), ([DIGITS.removesuffix('.py')], '')]
    cases += [(['--config', 'digits_student', '--phase', 'student'], '')]
    cases += [(GOOD, ''), ([TWO], ''), ([TWO, '--name=3.5'], ''), ([DIGITS], 'bug')]
    cases += [([DIGITS], then) for then, _, _ in ENDINGS]
    cases += [(SECRET, 'term')]
    given = [
        {'args': [arg.replace('FOLDER', str(folder)) for arg in args], 'then': then}
        for args, then in cases
    ]
    process = subprocess.run(
        [sys.executable, '-c', DRIVER],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    return {(*args, then): r for (args, then), r in zip(cases, results, strict=True)}


@pytest.mark.parametrize(('args', 'words'), MISTAKES)
def test_a_mistake_in_the_flags_is_one_line_and_status_2(outcomes, args, words):
    outcome = outcomes[(*args, '')]
    assert outcome['code'] == 2
    assert outcome['out'] == '', 'the pipeline was not called'
    lines = [line for line in outcome['err'].splitlines() if not line.startswith('WARNING:absl')]
    assert len(lines) == 1 and lines[0].startswith('error: '), outcome['err']
    for word in words:
        assert word in lines[0]


def test_flags_reach_the_pipeline(outcomes):
    outcome = outcomes[(*GOOD, '')]
    assert outcome['code'] == 0, outcome['err']
    called = json.loads(outcome['out'])
    command = called.pop('command')
    assert called == {
        'locked': True,
        'learning_rate': 0.01,
        'seeds': [3, 4],
        'mirror': True,
        'compiled': 1,
        'workdir': 'some where',
        'experiment': 'digits_student',
        'phase': 'student',
        'student_name': '',
        'file_format': 'jax',
        'source': '',
        'output': '',
        'compile_for': '',
    }
    assert shlex.split(command) == ['python', '-m', 'mimic_jax.main', *GOOD]


def test_a_reports_folder_is_named_by_file_and_presets(outcomes):
    called = json.loads(outcomes[TWO, '']['out'])
    assert called['experiment'] == 'two_p3_p5'
    assert called['seeds'] == [3, 5], 'both presets reach the file'
    assert called['workdir'] == 'runs' and called['phase'] == 'all'
    assert json.loads(outcomes[TWO, '--name=3.5', '']['out'])['experiment'] == '3.5'


@pytest.mark.parametrize(('then', 'code', 'line'), ENDINGS)
def test_how_a_run_ends(outcomes, then, code, line):
    outcome = outcomes[DIGITS, then]
    assert outcome['code'] == code
    assert outcome['err'].startswith(line)
    assert outcome['err'].count('\n') == 1


def test_a_stopped_run_says_the_command_that_goes_on(outcomes):
    said = outcomes[DIGITS, 'term']['err'].partition('To go on: ')[2]
    assert shlex.split(said) == ['python', '-m', 'mimic_jax.main', DIGITS]


def test_a_report_does_not_have_the_password_of_the_command_that_goes_on(outcomes):
    outcome = outcomes[(*SECRET, 'term')]
    command = shlex.split(json.loads(outcome['out'])['command'])
    assert command[-1] == '--config.data.root=postgresql://me:***@host/db'
    assert shlex.split(outcome['err'])[-1] == SECRET[-1]


def test_a_bug_is_not_hidden_behind_a_line(outcomes):
    outcome = outcomes[DIGITS, 'bug']
    assert outcome['code'] == 1
    assert 'Traceback' in outcome['err'] and 'ValueError' in outcome['err']


def test_version_and_a_file_without_its_ending(outcomes):
    outcome = outcomes['--version', '']
    assert (outcome['code'], outcome['err']) == (0, '')
    assert outcome['out'] == (
        f'mimic_jax {mimic_jax.__version__}, Python {platform.python_version()}, '
        f'jax {jax.__version__}\n'
    )
    called = json.loads(outcomes[DIGITS.removesuffix('.py'), '']['out'])
    assert called['experiment'] == 'digits_student'


def test_flags_and_their_values_may_be_words_of_their_own(outcomes):
    outcome = outcomes['--config', 'digits_student', '--phase', 'student', '']
    called = json.loads(outcome['out'])
    assert (called['experiment'], called['phase']) == ('digits_student', 'student')
    assert command_line.joined(['a', '--config', 'b', 'c']) == ['a', '--config=b', 'c']
    assert command_line.joined(['--config']) == ['--config']


def test_settings_fit_the_terminal_and_lose_no_word():
    config = mimic_jax.load_experiment('digits_student')
    whole, narrow = describe.values(config), describe.values(config, 60)
    assert whole.split() == narrow.split()
    assert [max(map(len, text.splitlines())) for text in (whole, narrow)] == [100, 60]


def test_bash_completes_settings_phases_and_experiments():
    process = command('--config=digits_student', '--phase=completion')
    complete, *options, words, name = shlex.split(process.stdout)
    assert [complete, *options, name] == ['complete', '-o', 'nospace', '-W', 'mimic_jax']
    for typed, found in (
        (
            '--config.students.mimic.train.learning_',
            ['--config.students.mimic.train.learning_rate='],
        ),
        ('digits_', ['digits_student']),  # behind '=', where bash begins a word
        ('stat', ['status']),
        ('--ver', ['--version']),
        ('--workd', ['--workdir=']),
    ):
        shown = subprocess.run(
            ['bash', '-c', 'compgen -W "$1" -- "$2"', '', words, typed],
            capture_output=True,
            text=True,
        )
        assert shown.stdout.split() == found
    assert words.count('--config.data.') > 20
    checked = subprocess.run(['bash', '-c', process.stdout + 'complete -p mimic_jax'])
    assert checked.returncode == 0


def test_what_lies_in_a_workdir_is_told_without_waiting_for_jax(tmp_path):
    program = (
        'import sys\nfrom pathlib import Path\nfrom mimic_jax.reporting import inventory\n'
        f'inventory.status(Path({str(tmp_path)!r}), 80)\nassert "jax" not in sys.modules'
    )
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', program], check=True, env=environment, timeout=60)


def command(*args, module='mimic_jax'):
    return subprocess.run(
        [sys.executable, '-m', module, *args],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)},
        timeout=60,
    )  # fmt: skip


def test_help_fits_a_screen_and_names_phases_and_flags():
    process = command('--help')
    lines = process.stdout.splitlines()
    assert process.returncode == 0
    assert 24 <= len(lines) <= 40 and max(map(len, lines)) <= 80
    said = process.stdout.partition('Flags:')[0]
    for word in (*command_line.PHASES, '--config.'):
        assert word in said
    for name in (*command_line.READ_BY, 'config', 'phase', 'workdir', 'name'):
        assert f'  --{name}: ' in process.stdout


@pytest.mark.parametrize(
    ('name', 'end'),
    [('digits_student', 'It has no presets.'), ('cifar_student', 'Presets: small; smoke')],
)
def test_help_on_an_experiment_offers_its_own_presets(name, end):
    path = shipped.find(name)
    about = usage.help_for([f'--config={path}', '--help'], '', [])
    assert about.startswith(Path(path).read_text().partition('"""')[2].splitlines()[0])
    assert about.splitlines()[-1] == end


def test_help_on_an_experiment_fits_the_terminal_and_keeps_its_commands():
    path = shipped.find('cifar_student')
    whole = usage.help_for([f'--config={path}', '--help'], '', [])
    about = usage.help_for([f'--config={path}', '--help'], '', [], 60)
    assert about.split() == whole.split(), 'every word'
    prose = [line for line in about.splitlines() if not line.startswith('    python -m ')]
    assert 40 < max(map(len, prose)) <= 60
    commands = [line for line in whole.splitlines() if line.startswith('    python -m ')]
    assert len(commands) == 3 and set(commands) < set(about.splitlines())
    assert '- pooling is max instead of stochastic;' in prose


def test_the_console_script_is_the_command():
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    name, _, target = setup['options.entry_points']['console_scripts'].strip().partition(' = ')
    module, _, function = target.partition(':')
    assert name == 'mimic_jax'
    assert getattr(importlib.import_module(module), function) is __main__.run


def console_script():
    """Flags of Python that do what an installed `mimic_jax` does."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    target = setup['options.entry_points']['console_scripts'].partition(' = ')[2]
    module, _, function = target.strip().partition(':')
    return ['-c', f'from {module} import {function}\n{function}()']


@pytest.mark.parametrize(
    'form', [['-m', 'mimic_jax'], ['-m', 'mimic_jax.main'], console_script()], ids=range(3)
)
def test_ctrl_c_while_libraries_load_is_one_line(form, tmp_path):
    (tmp_path / 'absl').mkdir()
    text = 'import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n'
    (tmp_path / 'absl' / '__init__.py').write_text(text)
    process = subprocess.run(
        [sys.executable, *form, DIGITS], capture_output=True, text=True, cwd=ROOT, timeout=60,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert process.returncode == 130 and process.stdout == ''
    line = f'stopped; nothing is lost. To go on: python -m mimic_jax.main {DIGITS}\n'
    assert process.stderr == line


def test_a_terminal_shows_a_line_before_jax_is_loaded(tmp_path):
    """jax is replaced by a module that ends the process, so that nothing after it can print."""
    (tmp_path / 'jax.py').write_text('import os\nos._exit(7)\n')
    ours, theirs = pty.openpty()
    process = subprocess.run(
        [sys.executable, '-m', 'mimic_jax', DIGITS, '--workdir=some where'],
        stderr=theirs, stdin=subprocess.DEVNULL, cwd=ROOT, timeout=60,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    os.close(theirs)
    said = os.read(ours, 1000).decode()
    os.close(ours)
    assert process.returncode == 7
    assert said.strip() == 'digits_student: artifacts and report in some where'


def test_ctrl_c_before_the_run_begins_is_one_line(tmp_path):
    """The signal comes while the experiment is being loaded."""
    path = tmp_path / 'stops.py'
    path.write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n')
    for module in ('mimic_jax', 'mimic_jax.main'):
        process = command(f'--config={path}', module=module)
        assert process.returncode == 130
        assert process.stdout == ''
        assert process.stderr == (
            f'stopped; nothing is lost. To go on: python -m mimic_jax.main --config={path}\n'
        )


def test_an_experiment_of_the_package_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = str(ROOT / 'experiments' / 'digits_student.py')
    assert command_line.with_shipped(f'{DIGITS}:a,b') == f'--config={digits}:a,b'
    assert command_line.with_shipped('--config=elsewhere/digits_student.py') == (
        '--config=elsewhere/digits_student.py'
    )
    assert shipped.names() == sorted(
        f'experiments/{file.name}' for file in (ROOT / 'experiments').glob('*.py')
    )
    (tmp_path / 'experiments').mkdir()
    (tmp_path / 'experiments' / 'digits_student.py').write_text('')
    assert command_line.with_shipped(DIGITS) == DIGITS, 'what is there comes first'
    assert shipped.names() == ['experiments/digits_student.py']


@pytest.mark.parametrize(
    ('platform', 'error', 'words'),
    [
        ('cuda', AssertionError(), ["pip install 'jax[cuda12]'", 'unset JAX_PLATFORMS']),
        ('tpu', RuntimeError('no libtpu. (set JAX_PLATFORMS=x)'), ["'jax[tpu]'", '(no libtpu)']),
        ('tpv', RuntimeError('unknown'), ['tpv', '(unknown)', 'unset JAX_PLATFORMS']),
    ],
)
def test_an_accelerator_that_is_not_there(monkeypatch, platform, error, words):
    def devices():
        raise error

    monkeypatch.setattr(jax, 'devices', devices)
    monkeypatch.setattr(
        sharding.jax,
        'config',
        types.SimpleNamespace(jax_platforms=platform, update=lambda *_: None),
    )
    message = refusal(sharding.make_mesh)
    for word in words:
        assert word in message


def test_the_module_runs_as_a_command():
    process = command('--phase=all', module='mimic_jax.main')
    assert process.returncode == 2
    assert process.stderr.startswith('error: no experiment given')


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'name': 'digit'}, ['config.data.name', "'digits'"]),
        ({'name': 'npz'}, ['config.data.root is empty']),
        ({'name': 'npz', 'root': 'nowhere.npz'}, ['nowhere.npz', 'no file']),
        ({'test': 5000}, ['config.data.test is 5000', '1797', 'set fewer']),
        ({'validation': 0}, ['config.data.validation is 0']),
    ],
)
def test_a_mistake_in_the_data_is_one_line_before_any_net(tmp_path, config, changes, words):
    from mimic_jax import pipeline
    from mimic_jax.errors import UserError

    config.data.update(changes)
    with pytest.raises(UserError) as caught:
        pipeline.run(config, workdir=tmp_path, experiment='tiny')
    assert '\n' not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not list(tmp_path.glob('teacher-*'))


def test_a_workdir_that_cannot_be_made_is_one_line(tmp_path, config):
    from mimic_jax import pipeline
    from mimic_jax.errors import UserError

    (tmp_path / 'file').write_text('')
    for workdir in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(UserError, match='cannot be written to') as caught:
            pipeline.run(config, workdir=workdir, experiment='tiny')
        assert f'--workdir={workdir}' in str(caught.value) and '\n' not in str(caught.value)
