"""A person's own modules: found, imported, named by their sources."""

import hashlib
import sys

import pytest
from conftest import refusal

from mimic_jax.runtime import modules

WHERE = 'config.members.a.model'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder; what is imported from it is forgotten."""
    before = set(sys.modules), list(sys.path)
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.chdir(home)
    yield home
    for name in set(sys.modules) - before[0]:
        sys.modules.pop(name)
    sys.path[:] = before[1]
    modules.look_beside(None)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_edited_module_is_imported_anew_and_has_other_sources(folder):
    file = folder / 'my_nets.py'
    file.write_text('SIZE = 1\n')
    first, sources = modules.load('my_nets:SIZE', WHERE)
    assert (first, sources) == (1, {'my_nets.py': sha(file)})
    file.write_text('SIZE = 2\n')  # within the same second, of the same length
    second, others = modules.load('my_nets:SIZE', WHERE)
    assert second == 2 and others == {'my_nets.py': sha(file)} != sources


def test_what_is_not_edited_is_imported_once(folder):
    (folder / 'my_nets.py').write_text('class Net: pass\n')
    first, _ = modules.load('my_nets:Net', WHERE)
    assert modules.load('my_nets:Net', WHERE)[0] is first


def test_sources_are_those_of_the_local_modules_that_it_imports(folder):
    package = folder / 'my_package'
    (package / 'deep').mkdir(parents=True)
    (package / '__init__.py').write_text('')
    (package / 'nets.py').write_text(
        'import numpy\nfrom .deep import layers\nimport helper\nX = layers.Y\n'
    )
    (package / 'deep' / 'layers.py').write_text('from ..sizes import Y\n')
    (package / 'sizes.py').write_text('Y = 3\n')
    (package / 'unread.py').write_text('')
    (folder / 'helper.py').write_text('def late():\n    import later\n')
    (folder / 'later.py').write_text('')
    (folder / 'unread.py').write_text('')
    value, sources = modules.load('my_package.nets:X', WHERE)
    files = ['helper.py', 'later.py', 'my_package/__init__.py', 'my_package/deep/layers.py']
    assert value == 3
    assert sorted(sources) == sorted([*files, 'my_package/nets.py', 'my_package/sizes.py'])
    (package / 'sizes.py').write_text('Y = 4\n')
    assert modules.load('my_package.nets:X', WHERE)[0] == 4


def test_the_current_folder_comes_before_that_of_the_experiment(folder):
    beside = folder.parent / 'experiments'
    beside.mkdir()
    (beside / 'my_nets.py').write_text('X = "beside"\n')
    with pytest.raises(modules.UserError):
        modules.load('my_nets:X', WHERE)
    modules.look_beside(beside / 'mine.py')
    assert modules.load('my_nets:X', WHERE)[0] == 'beside'
    (folder / 'my_nets.py').write_text('X = "here"\n')
    assert modules.load('my_nets:X', WHERE)[0] == 'here'
    (folder / 'my_nets.py').unlink()
    assert modules.load('my_nets:X', WHERE)[0] == 'beside'


def test_of_an_installed_package_only_its_own_sources_count(folder):
    import tqdm.utils as installed

    value, sources = modules.load('tqdm.utils:FormatReplace', WHERE)
    assert value is installed.FormatReplace
    assert 'tqdm/utils.py' in sources and all(name.startswith('tqdm/') for name in sources)
    assert modules.load('tqdm.utils:FormatReplace', WHERE)[0] is value
    assert sys.modules['tqdm.utils'] is installed  # never imported anew


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('my_nets', "write 'package.module:Name'"),
        ('my_nets:', "write 'package.module:Name'"),
        ('my nets:Net', "write 'package.module:Name'"),
        ('nonesuch:Net', 'there is no module nonesuch'),
        ('my_nets.sub:Net', 'there is no module my_nets.sub'),
        ('my_nets:Nonesuch', "my_nets has no 'Nonesuch'"),
        ('broken:Net', 'cannot be imported (SyntaxError'),
        ('lacking:Net', "No module named 'nowhere_to_be_found'"),
        ('math:sqrt', "a module of Python's own"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_setting(folder, path, words):
    (folder / 'my_nets.py').write_text('')
    (folder / 'broken.py').write_text('def\n')
    (folder / 'lacking.py').write_text('import nowhere_to_be_found\n')
    line = refusal(lambda: modules.load(path, WHERE))
    assert words in line and WHERE in line
