"""Paths with `~`, terminals that print little, and variables of jax that a person has set."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags
from conftest import ROOT, refusal
from PIL import Image

from mimic_jax import main
from mimic_jax.config import command_line, shipped
from mimic_jax.data import image_folder, npz, tfds_images, unlabelled
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.runtime import address, compiled, files, sharding
from mimic_jax.search import from_study
from mimic_jax.speech import timit

PACKAGE = ROOT / 'mimic_jax'


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'home'


def fill(folder):
    for name in ('cat', 'dog'):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (4, 3, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f'{number}.png')


def test_a_tilde_is_the_home_folder(home):
    assert files.expand('~/x') == home / 'x' and files.expand('a/~') == Path('a/~')
    assert files.expand('~nobody-of-that-name/x') == Path('~nobody-of-that-name/x')
    fill(home / 'pictures')
    np.savez(home / 'own.npz', images=np.zeros((4, 4, 3, 3), np.uint8), labels=[0, 1, 0, 1])
    assert image_folder.identity('~/pictures') == image_folder.identity(str(home / 'pictures'))
    assert npz.identity(Data('npz', '~/own.npz'))['sha256'] == files.digest(home / 'own.npz')
    for kind, name in (('folder', 'pictures'), ('npz', 'own.npz')):
        transfer = Transfer(kind, f'~/{name}')
        assert unlabelled.identity(transfer) and unlabelled.load(transfer, (4, 3, 3))[0]
    assert f'{home}/tfds holds no prepared' in refusal(
        tfds_images.found, 'x', '~/tfds', 'config.data'
    )
    assert f'{home}/timit is no folder' in refusal(timit.find, '~/timit')


@pytest.mark.parametrize(
    ('given', 'meant'),
    [
        ('sqlite:///~/studies.sqlite', 'sqlite:///{home}/studies.sqlite'),
        ('~/studies.sqlite', '{home}/studies.sqlite'),
        ('sqlite:///studies~.sqlite', 'sqlite:///studies~.sqlite'),
        ('sqlite:////srv/studies.sqlite', 'sqlite:////srv/studies.sqlite'),
        ('postgresql://me:~@host/name', 'postgresql://me:~@host/name'),
    ],
)
def test_a_tilde_in_the_address_of_a_database(home, given, meant):
    assert address.expanded(given) == from_study.database(Path(), given) == meant.format(home=home)
    assert from_study.database(Path('work'), '').parent == Path('work')


def test_flags_take_a_tilde(home, monkeypatch):
    """What `main` hands on; a shell leaves `--workdir=~/runs` as it is."""
    from mimic_jax import pipeline

    found = {}
    monkeypatch.setattr(compiled, 'keep', lambda: None)
    monkeypatch.setattr(pipeline, 'run', lambda config, **settings: found.update(settings))
    monkeypatch.setattr(main, '_CONFIG', types.SimpleNamespace(value=None))
    monkeypatch.setattr(main, '_experiment', lambda: 'own')
    monkeypatch.setattr(main, '_file', lambda: None)
    for name, value in (('workdir', '~/runs'), ('input', '~/x'), ('output', '~/y.csv')):
        monkeypatch.setattr(main, f'_{name.upper()}', types.SimpleNamespace(value=value))
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    main._run('')
    assert found['workdir'] == home / 'runs'
    assert (found['source'], found['output']) == (f'{home}/x', f'{home}/y.csv')
    assert command_line.with_shipped('--config=~/own.py:a') == f'--config={home}/own.py:a'
    assert shipped.find(f'{home}/own.py') == f'{home}/own.py'


def test_no_path_fails_on_a_home_that_is_not_known():
    """`Path.expanduser` raises where `~name` is nobody's; `os.path.expanduser` leaves it as it is."""
    with pytest.raises(RuntimeError):
        Path('~nobody-of-that-name').expanduser()
    calls = re.compile(r'\.expanduser\(\)')
    rooms = [
        *PACKAGE.glob('data/*.py'),
        *PACKAGE.glob('speech/*.py'),
        *PACKAGE.glob('runtime/*.py'),
    ]
    assert not [path for path in rooms if calls.search(path.read_text())]


# Terminals.

OWN = """
from mimic_jax.config import presets

def get_config(arg=''):
    train = {'epochs': 1, 'batch_size': 2}
    return presets.build(
        {
            'data': {'name': 'folder', 'validation': 2, 'test': 2},
            'members': {'net': {'model': '4', 'train': train}},
            'report': presets.report('', {'net': presets.row('members.net', 'n\\u00e9t \\u4e2d')}),
            'run': {'evaluation_steps': 1, 'checkpoint_steps': 1},
        },
        {},
        arg,
    )
"""


def test_a_run_prints_on_any_terminal_and_with_any_setting_of_ranks(tmp_path):
    """The locale is ASCII; files, classes and the folder above them have names that are not UTF-8."""
    (tmp_path / 'own.py').write_text(OWN)
    root = Path(str(tmp_path / 'caf\udce9'))
    fill(root)
    (root / 'dog').rename(str(root / 'ch\udce2t'))
    (root / 'cat' / '0.png').rename(str(root / 'cat' / '\udcff.png'))
    environment = {
        **os.environ,
        'PYTHONPATH': str(ROOT),
        'PYTHONIOENCODING': 'ascii:strict',
        'PYTHONUTF8': '0',
        'PYTHONCOERCECLOCALE': '0',
        'LC_ALL': 'C',
        'JAX_PLATFORMS': 'cpu',
        'JAX_NUMPY_RANK_PROMOTION': 'raise',
    }
    command = [sys.executable, '-m', 'mimic_jax.main', '--config=own.py', b'--config.data.root=']
    command[-1] += os.fsencode(root)
    process = subprocess.run(
        command, capture_output=True, cwd=tmp_path, env=environment, timeout=300
    )
    assert process.returncode == 0, process.stderr.decode('ascii', 'replace')[-2000:]
    assert rb'n\xe9t \u4e2d' in process.stdout and process.stdout.isascii()
    assert rb'ch\xe2t 3' in process.stderr
    report = (tmp_path / 'runs' / 'own' / 'report.md').read_bytes().decode()
    assert 'nét 中' in report and r'caf\xe9' in report


# Platforms.


@pytest.mark.parametrize(
    ('platforms', 'name', 'said', 'variable', 'wanted'),
    [
        ('', 'gpu', "Unknown backend: 'gpu' requested", 'JAX_PLATFORM_NAME', 'gpu'),
        ('cpu', 'gpu', "Unknown backend: 'gpu' requested", 'JAX_PLATFORM_NAME', 'gpu'),
        ('cuda', 'gpu', "Unable to initialize backend 'cuda'", 'JAX_PLATFORMS', 'cuda'),
        ('tpu', '', 'no libtpu', 'JAX_PLATFORMS', 'tpu'),
    ],
)
def test_the_advice_names_the_variable_that_is_set(
    monkeypatch, platforms, name, said, variable, wanted
):
    def devices():
        raise RuntimeError(said)

    monkeypatch.setattr(jax, 'devices', devices)
    monkeypatch.setenv('JAX_PLATFORM_NAME', name)
    monkeypatch.setattr(
        sharding.jax,
        'config',
        types.SimpleNamespace(jax_platforms=platforms, update=lambda *_: None),
    )
    message = refusal(sharding.make_mesh)
    assert message.startswith(f'{variable} asks for {wanted}')
    assert f'unset {variable} to take' in message


def test_jax_itself_fails_so_with_that_variable():
    """The words that tell one variable from the other are those of the jax that is installed."""
    program = 'from mimic_jax.runtime import sharding; sharding.make_mesh()'
    process = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'JAX_PLATFORMS': '',
            'JAX_PLATFORM_NAME': 'tpu',
        },
        timeout=120,
    )
    assert 'UserError: JAX_PLATFORM_NAME asks for tpu' in process.stderr
