"""A person's own code by import path: what it is named by, and what is refused in a line."""

import sys

import pytest
from conftest import refusal

from mimic_jax.artifacts import source

WHERE = 'config.students.mine.loss.path'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """my_nets/blocks/deep.py is imported by my_nets/resnet.py, by way of helpers.py beside them."""
    files = {
        'my_nets/__init__.py': '',
        'my_nets/resnet.py': 'import numpy as np\nimport helpers\nfrom .blocks import WIDTH\n'
        'class Net:\n    class Inner:\n        width = WIDTH\n',
        'my_nets/blocks/__init__.py': 'from my_nets.blocks.deep import WIDTH',
        'my_nets/blocks/deep.py': 'WIDTH = 3\n',
        'my_nets/unrelated.py': 'raise RuntimeError("never imported")',
        'helpers.py': 'def late():\n    from late_helpers import value\n    return value\n',
        'late_helpers.py': 'value = 1\n',
        'broken.py': 'import no_such_library\n',
        'typo.py': 'def f(:\n',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition('.')[0] in ('my_nets', 'helpers', 'late_helpers', 'broken', 'typo'):
            del sys.modules[name]
    source._loaded.clear()


def digest():
    return source.identity('my_nets.resnet:Net', WHERE)['sha256']


def test_the_object_at_a_path(package):
    assert source.load('my_nets.resnet:Net', WHERE).Inner.width == 3
    assert source.load('my_nets.resnet:Net.Inner', WHERE).width == 3
    assert source.identity('my_nets.resnet:Net', WHERE)['path'] == 'my_nets.resnet:Net'


@pytest.mark.parametrize(
    'edited',
    [
        *('my_nets/resnet.py', 'my_nets/__init__.py', 'my_nets/blocks/__init__.py'),
        *('my_nets/blocks/deep.py', 'helpers.py', 'late_helpers.py'),
    ],
)
def test_an_edit_of_any_file_that_it_imports_is_another_identity(package, edited):
    before = digest()
    assert digest() == before
    (package / edited).write_text((package / edited).read_text() + '\n# edited\n')
    assert digest() != before


def test_no_other_file_is_part_of_it(package, tmp_path_factory, monkeypatch):
    before = digest()
    (package / 'my_nets/unrelated.py').write_text('x = 1')
    assert digest() == before
    names = set(source._files('my_nets.resnet', '', WHERE))
    assert names == {
        *('my_nets', 'my_nets.resnet', 'my_nets.blocks', 'my_nets.blocks.deep'),
        *('helpers', 'late_helpers'),
    }, 'numpy is a library'
    # The same files in another folder.
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    for path in package.rglob('*.py'):
        target = elsewhere / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(str(elsewhere))
    assert source._files('my_nets.resnet', '', WHERE)['helpers'].startswith(str(elsewhere))
    assert digest() == before


@pytest.mark.parametrize(
    ('path', 'package'), [('numpy.fft:fft', 'numpy.fft'), ('json.decoder:scanstring', 'json')]
)
def test_a_librarys_module_is_named_by_its_own_package(path, package):
    source.load(path, WHERE)
    files = set(source._files(path.partition(':')[0], path, WHERE))
    assert len(files) > 1
    assert all(f'{name}.'.startswith(f'{package}.') for name in files), files


def test_nothing_is_run_to_be_named(package):
    (package / 'my_nets/__init__.py').write_text('raise RuntimeError')
    digest()
    assert 'my_nets' not in sys.modules


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('', 'write package.module:name'),
        ('my_nets.resnet', 'write package.module:name'),
        ('my_nets/resnet.py:Net', 'write package.module:name'),
        (':Net', 'write package.module:name'),
        ('my_net.resnet:Net', 'there is no module my_net.resnet'),
        ('my_nets.resnets:Net', 'there is no module my_nets.resnets'),
        ('my_nets.resnet:Nets', "my_nets.resnet has no 'Nets'"),
        ('broken:f', "cannot be imported (No module named 'no_such_library')"),
        ('typo:f', 'cannot be imported ('),
        ('my_nets.unrelated:f', 'cannot be imported (never imported)'),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(package, path, words):
    message = refusal(source.load, path, WHERE)
    assert message.startswith(f'{WHERE} is {path!r}') and words in message


def test_code_that_was_edited_after_it_was_loaded_is_imported_anew(package):
    first = source.load('my_nets.resnet:Net', WHERE)
    assert source.load('my_nets.resnet:Net', WHERE) is first
    (package / 'my_nets/blocks/deep.py').write_text('WIDTH = 4\n')  # at once, of the same length
    assert source.load('my_nets.resnet:Net', WHERE).Inner.width == 4
    assert source.load('my_nets.resnet:Net', WHERE, anew=False).Inner.width == 4


def test_code_that_was_imported_elsewhere_is_imported_anew_unless_told(package):
    import helpers

    helpers.changed = True
    assert source.load('helpers:changed', WHERE, anew=False)
    assert "has no 'changed'" in refusal(source.load, 'helpers:changed', WHERE)


def test_a_library_is_never_imported_anew(package):
    import tqdm.utils as installed

    assert source.load('tqdm.utils:FormatReplace', WHERE) is installed.FormatReplace
    assert sys.modules['tqdm.utils'] is installed


def test_the_current_folder_comes_before_that_of_the_experiment(tmp_path, monkeypatch):
    path, beside, here = 'my_own_nets:X', tmp_path / 'experiments', tmp_path / 'here'
    for folder in (beside, here):
        folder.mkdir()
    (beside / 'my_own_nets.py').write_text('X = "beside"\n')
    monkeypatch.chdir(here)
    source.look_beside(None)
    before = list(sys.path)
    assert 'there is no module' in refusal(source.load, path, WHERE)
    source.look_beside(beside / 'mine.py')
    assert source.load(path, WHERE) == 'beside'
    (here / 'my_own_nets.py').write_text('X = "here"\n')
    assert source.load(path, WHERE) == 'here'
    (here / 'my_own_nets.py').unlink()
    assert source.load(path, WHERE) == 'beside'
    (tmp_path / 'my_own_teacher.py').write_text('X = "above the experiments"\n')
    assert source.load('my_own_teacher:X', WHERE) == 'above the experiments'
    source.look_beside(here / 'mine.py')
    assert 'there is no module' in refusal(source.load, 'my_own_teacher:X', WHERE)
    source.look_beside(None)
    assert 'there is no module' in refusal(source.load, path, WHERE)
    assert sys.path == before


@pytest.mark.parametrize('folder', ['site-packages', 'dist-packages', 'user'])
def test_installed_packages_are_libraries_wherever_they_lie(tmp_path, monkeypatch, folder):
    place = tmp_path / 'lib' / folder
    place.mkdir(parents=True)
    (place / 'installed_elsewhere.py').write_text('')
    monkeypatch.syspath_prepend(str(place))
    if folder == 'user':
        assert source.is_own('installed_elsewhere')
        monkeypatch.setattr(source.site, 'getusersitepackages', lambda: str(place))
        source._libraries.cache_clear()
    try:
        assert not source.is_own('installed_elsewhere')
    finally:
        source._libraries.cache_clear()
