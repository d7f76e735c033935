"""Every setting of every experiment and preset is a flag, and its value arrives."""

import dataclasses
import shutil
import subprocess
import sys
import typing
from collections.abc import Mapping

import artifact_names
import pytest
from absl import flags
from conftest import ROOT
from ml_collections import config_flags

from mimic_jax.config import describe
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import as_json, is_group, section

CASES = list(artifact_names.cases())


def leaves(cls, config, path=()):
    """(path, field, type, value) of every setting that a config holds."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, value, at = hints[field.name], config[field.name], (*path, field.name)
        if is_group(hint):
            yield from leaves(hint, value, at)
        elif typing.get_origin(hint) is Mapping:
            inner = typing.get_args(hint)[1]
            for name in value:
                if is_group(inner):
                    yield from leaves(inner, value[name], (*at, name))
                else:
                    yield (*at, name), field, inner, value[name]
        else:
            yield at, field, hint, value


def other(field, hint, value):
    """A value that the setting may have and does not have now."""
    options = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        return (other(dataclasses.field(), options[0], None),)
    if choices := field.metadata.get('choices'):
        return next((choice for choice in choices if choice != value), value)
    kind = type(value) if options[0] is object else options[0]  # an argument of an own model
    candidates = {
        bool: (True, False),
        int: (3, 4),
        float: (0.25, 0.375, 3.5),
        str: ('train', 'another'),
        tuple: ((3, 4),),
    }[kind]
    good = (field.metadata.get('rule') or (lambda value: True,))[0]
    return next(each for each in candidates if each != value and good(each))


def written(value):
    return repr(value) if isinstance(value, tuple) else str(value)


def tried(config):
    """{path: another value}: each setting, of nets that are described alike the one of the next net.

    A config of many nets has the same settings for each; `leaves` reads them all.
    """
    alike = {}
    for path, field, hint, value in leaves(Experiment, config):
        names = {part for part in path if part in config.members or part in config.students}
        key = tuple('*' if part in names else part for part in path)
        alike.setdefault(key, []).append((path, other(field, hint, value)))
    return dict(paths[number % len(paths)] for number, paths in enumerate(alike.values()))


@pytest.mark.parametrize('case', CASES, ids=lambda case: ':'.join(filter(None, case)))
def test_every_setting_is_a_flag_and_arrives(case):
    name, preset = case
    file = f'{ROOT}/experiments/{name}.py' + (f':{preset}' if preset else '')
    wanted = tried(artifact_names.module(name).get_config(preset))
    argv = ['program', f'--config={file}']
    argv += [f'--config.{".".join(path)}={written(value)}' for path, value in wanted.items()]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        'config', flag_values=values, lock_config=True, sys_argv=argv
    )
    values(argv)
    typed = as_json(section(Experiment, holder.value, 'config'))
    for path, value in wanted.items():
        found, given = typed, as_json(value)
        for key in path:
            found = found[key]
        assert found == given and type(found) is type(given), path


def test_the_settings_phase_prints_every_setting_with_its_value(tmp_path):
    file = tmp_path / 'digits_student.py'
    shutil.copy(ROOT / 'experiments' / 'digits_student.py', file)
    command = [sys.executable, '-m', 'mimic_jax.main', f'--config={file}', '--phase=settings']
    done = subprocess.run(
        [*command, '--config.views.crop=5', '--config.members.cnn_2.train.epochs=7'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(line.startswith('crop = 5  [default 0;') for line in lines)
    assert any(line.startswith('epochs = 120 (cnn_1, cnn_3), 7 (cnn_2)') for line in lines)
    assert list(tmp_path.iterdir()) == [file]  # it makes no workdir
    config = artifact_names.module('digits_student').get_config()
    for path, field, _, _ in leaves(Experiment, config):
        assert any(line.startswith(f'{field.name} = ') for line in lines), path


def test_the_page_of_settings_is_made_from_the_code():
    assert (ROOT / 'docs' / 'settings.md').read_text() == describe.markdown(), (
        'python -m mimic_jax.config.describe > docs/settings.md'
    )


def test_every_setting_has_a_meaning():
    for group in describe.groups():
        assert group.meaning and not group.meaning.startswith(group.path), group.path
        for field in group.fields:
            assert field.metadata['meaning'].endswith('.'), f'{group.path}.{field.name}'
