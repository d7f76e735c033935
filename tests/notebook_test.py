"""The Colab notebook, its code run cell by cell, on tiny nets."""

import html
import json
import re

import jax
import pytest
from conftest import ROOT, load_experiment

NOTEBOOK = json.loads((ROOT / 'notebooks' / 'mimic_colab.ipynb').read_text())
TINY = """
import conftest

def get_config(arg=''):
    config = conftest.tiny_digits()
    config.students.labels.seeds = config.students.mimic.seeds = (0,)
    return config
"""


def cells(tag=''):
    """The code of all cells, or of those with a tag."""
    for cell in NOTEBOOK['cells']:
        tags = cell['metadata'].get('tags', [])
        if cell['cell_type'] == 'code' and (not tag or tag in tags):
            yield ''.join(cell['source']), tags


@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    """(the notebook's names, what it printed, what it displayed) after its digits and CIFAR-10 cells."""
    folder = tmp_path_factory.mktemp('notebook')
    (folder / 'tiny.py').write_text(TINY)
    printed, shown = [], []
    # IPython itself is for notebooks alone; with a stand-in, other libraries would ask it for more.
    screen = 'from IPython.display import HTML, display\n'
    names = {'HTML': str, 'display': shown.append}
    names['print'] = lambda *words: printed.append(' '.join(map(str, words)))
    for code, tags in cells():
        exec(compile(code.replace(screen, ''), 'mimic_colab.ipynb', 'exec'), names)
        if 'parameters' in tags:
            names.update(WORKDIR=str(folder / 'work'), DIGITS=str(folder / 'tiny.py'))
    return names, printed, shown


def test_the_student_is_asked_about_digits(ran):
    names, printed, _ = ran
    assert names['digits'].student('mimic').classes == tuple('0123456789')
    assert any(line.endswith('[0 1 2 3 4]') for line in printed)


def test_the_report_is_shown_inline(ran):
    names, _, (frame,) = ran
    (text,) = re.findall(r'<iframe srcdoc="([^"]*)"', frame)
    page = (ROOT / names['WORKDIR'] / 'tiny' / 'report.html').read_text()
    assert html.unescape(text) == page and 'student mimicking' in page


def test_batches_and_wide_layers_are_split_over_the_devices(ran):
    _, printed, _ = ran
    assert jax.device_count() == 8
    assert "cpu {'data': 4, 'model': 2}" in printed
    assert 'batch (128, 32, 32, 3): on each device (32, 32, 32, 3)' in printed
    assert 'kernel of 30k (1200, 30000): on each device (1200, 15000)' in printed
    assert any('wants a TPU or GPU' in line for line in printed), 'CIFAR-10 waits for one'


def test_what_the_cells_name_is_there():
    names = {}
    exec(next(cells('parameters'))[0], names)
    assert (ROOT / names['DIGITS']).is_file()
    config = load_experiment('cifar_student').get_config()
    assert ROOT / names['CIFAR'] == ROOT / 'experiments' / 'cifar_student.py'
    config.update_from_flattened_dict({'run.model_axis': 2})
    assert config.run.model_axis == 2
    assert not [cell for cell in NOTEBOOK['cells'] if cell.get('outputs')]
