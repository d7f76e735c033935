"""The phase 'decode' and the rows made of it, on logits that are planted in the nets' place."""

import dataclasses
import html
import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.planning import collect as plans
from mimic_jax.reporting import html_report, pictures, tables
from mimic_jax.reporting.answers import Answers
from mimic_jax.runtime import sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.speech import decode, decoded_files, decoding, facts, figures, per, phones
from mimic_jax.speech import report as speech_report
from mimic_jax.speech.corpora import Speech, Spoken
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.training.session import Session

WORDS = ('h# b aa q s h#', 'h# s iy t aa h#', 'h# aa t iy h#', 'h# iy b s aa b h#')
SPEAKERS = {
    'train': ('faaa0', 'mbbb0'),
    'validation': ('fccc0', 'mddd0'),
    'test': ('feee0', 'mfff0'),
}
TRAIN = {'epochs': 1, 'batch_size': 4}
SETTINGS = {
    'data': {'preprocess': 'feature'},
    'members': {
        'one': {'model': '4', 'train': TRAIN},
        'two': {'model': '5', 'train': TRAIN},
    },
    'logits': {'both': {'members': ('one', 'two'), 'transfer': ('train',)}},
    'students': {
        'mimic': {
            'model': '3L-6',
            'target': 'logits',
            'logits': 'both',
            'loss': {'kind': 'logits'},
            'seeds': (0, 1),
            'train': TRAIN,
        },
        'labels': {'model': '3L-6', 'train': TRAIN},
    },
    'decoding': {'lm_scales': (1.0,), 'penalties': (0.0,), 'batch_size': 8},
    'report': {
        'ensemble': 'both',
        'order': ('teachers', 'labels', 'mimic'),
        'rows': {
            'teachers': {'source': 'logits.both', 'paper': 0.185, 'paper_parameters': '~125M'},
            'labels': {'source': 'students.labels'},
            'mimic': {'source': 'students.mimic'},
        },
    },
}


def dataset():
    """Two speakers a split with two utterances each; every state lasts three frames."""
    spoken, paths, splits = [], [], {}
    for split, speakers in SPEAKERS.items():
        splits[split] = np.arange(len(spoken), len(spoken) + 4)
        for place, words in enumerate(WORDS):
            sequence = phones.numbers(words.split())
            speaker = speakers[place // 2]
            spoken.append(Spoken('train', 'dr1', speaker, f'sx{place}', sequence))
            paths.append(np.repeat((3 * sequence[:, None] + np.arange(3)).ravel(), 3))
    bounds = np.concatenate([[0], np.cumsum([len(path) for path in paths])])
    targets = np.concatenate(paths).astype(np.int32)
    frames = np.random.default_rng(0).normal(size=(len(targets), 123)).astype(np.float32)
    speech = Speech(frames, targets, bounds, tuple(spoken), ('one bad utterance',))
    return SpeechDataset(
        inputs=frames,
        labels=targets,
        splits={**{name: speech.rows(where) for name, where in splits.items()}, 'unlabelled': []},
        num_classes=phones.NUM_STATES,
        fingerprint='planted',
        preprocess='feature',
        speech=speech,
        utterances=splits,
    )


def sure(targets):
    logits = np.zeros((len(targets), phones.NUM_STATES), np.float32)
    logits[np.arange(len(targets)), targets] = 30.0
    return logits


def spoil(targets, data, utterance, place, phone):
    """The targets of a split, with one phone of one utterance exchanged for another."""
    positions = data.utterances['test']
    start = sum(b - a for a, b in data.speech.runs(positions[:utterance])) + 9 * place
    changed = targets.copy()
    changed[start : start + 9] = np.repeat(3 * phones.NUMBER[phone] + np.arange(3), 3)
    return changed


@pytest.fixture(scope='module')
def made(tmp_path_factory, device):
    """A session whose nets have answered as planted, and whose logits are decoded."""
    workdir = tmp_path_factory.mktemp('work')
    checked = experiments.read(SETTINGS)
    data = dataset()
    mesh = sharding.make_mesh(1, device)
    session = Session(workdir, data, checked.run, Progress(stream=io.StringIO()), mesh)
    plan = plans.make(checked, data)
    right = {name: data.labels[data.splits[name]] for name in ('validation', 'test')}
    plant(session, plan.members['one'], {name: 3 * sure(each) for name, each in right.items()})
    # The second teacher alone would hear t throughout; with the first it is outvoted.
    t = {name: np.full_like(each, 3 * phones.NUMBER['t']) for name, each in right.items()}
    plant(session, plan.members['two'], {name: sure(each) for name, each in t.items()})
    # b as s in the first speaker's first utterance; with seed 1 three of the second's phones too.
    once = spoil(right['test'], data, 0, 1, 's')
    twice = spoil(once, data, 3, 2, 's')
    twice = spoil(twice, data, 3, 4, 'iy')
    twice = spoil(twice, data, 2, 3, 's')
    for net, heard in zip(plan.students['mimic'], (once, twice), strict=True):
        plant(session, net, {'validation': sure(right['validation']), 'test': sure(heard)})
    (net,) = plan.students['labels']
    plant(session, net, {name: sure(right['validation']) for name in right})
    for seeds in plan.decodings.values():
        for decoding_plan in seeds:
            decode.run(session, decoding_plan)
    return session, plan, checked


def plant(session, net, logits):
    def build(folder):
        for split, array in logits.items():
            np.save(folder / f'{split}.npy', array)
        return {'seconds': 0.0}

    store.make(session.workdir, net.evaluation, build)


def folder(session, plan, source, seed=0):
    return session.workdir / plan.decodings[source][seed].recipe.name


def part(made):
    session, plan, _ = made
    return speech_report.SpeechPart(session, plan.alignments, plan.decodings)


def answered(made):
    session, plan, checked = made
    answers, report = Answers(session, plan, checked.report, part(made)), checked.report
    return [row for name in report.order for row in answers.rows(name, report.rows[name])]


def test_what_was_said_is_decoded(made):
    session, plan, _ = made
    assert set(plan.decodings) == {'logits.both', 'students.labels', 'students.mimic'}
    for split in ('validation', 'test'):
        entries = decoded_files.read_split(folder(session, plan, 'logits.both'), split)
        assert [entry['decoded'] for entry in entries] == list(WORDS)
        assert [entry['reference'] for entry in entries] == list(WORDS)
        assert [entry['speaker'] for entry in entries] == list(np.repeat(SPEAKERS[split], 2))
        assert entries[0]['starts'] == [0, 9, 18, 27, 36, 45]
        counted = per.EditCounts(correct=5)  # q is deleted
        assert entries[0]['unit'] == entries[0]['sclite'] == counted
    choice = decoded_files.read_choice(folder(session, plan, 'logits.both'))
    assert (choice['lm_scale'], choice['insertion_penalty']) == (1.0, 0.0)
    assert choice['language_model'] == 'bigram' and len(choice['grid']) == 1
    assert choice['test'] == choice['validation']
    assert choice['test']['unit']['per'] == 0 and choice['test']['sclite']['correct'] == 23
    manifest = store.manifest(folder(session, plan, 'logits.both'))
    assert manifest['real_time_factor'] > 0 and manifest['seconds'] > 0


def test_a_second_run_does_nothing(made, monkeypatch):
    session, plan, _ = made
    monkeypatch.setattr(decoding, 'tune', lambda *_: pytest.fail('decoded again'))
    for seeds in plan.decodings.values():
        for decoding_plan in seeds:
            assert decode.run(session, decoding_plan) == session.workdir / decoding_plan.recipe.name


def test_the_name_tells_what_changes_the_phones(made):
    session, plan, checked = made

    def name(**changes):
        changed = dataclasses.replace(
            checked, decoding=dataclasses.replace(checked.decoding, **changes)
        )
        return plans.make(changed, session.data).decodings['logits.both'][0].recipe.name

    assert name() == name(batch_size=3) == folder(session, plan, 'logits.both').name
    others = {
        name(lm_scales=(2.0,)), name(penalties=(1.0,)), name(language_model='none')
    }  # fmt: skip
    assert len(others) == 3 and name() not in others
    assert name(language_model='none') == name(language_model='none', lm_scales=(2.0,))


def test_without_a_language_model_the_scale_is_not_tuned(made):
    session, _, checked = made
    free = dataclasses.replace(checked.decoding, language_model='none', lm_scales=(1.0, 5.0))
    plan = plans.make(dataclasses.replace(checked, decoding=free), session.data)
    decode.run(session, plan.decodings['logits.both'][0])
    choice = decoded_files.read_choice(folder(session, plan, 'logits.both'))
    assert [trial['lm_scale'] for trial in choice['grid']] == [1.0]
    assert choice['language_model'] == 'none' and choice['test']['unit']['per'] == 0
    start = decode.phone_model(session, 'none').bigram.start
    assert not start.any() and decode.phone_model(session, 'bigram').bigram.start.any()


def test_without_its_logits_it_says_which_phase_to_run(made, tmp_path):
    session, plan, _ = made
    elsewhere = dataclasses.replace(session, workdir=tmp_path)
    with pytest.raises(UserError, match='--phase=evaluate'):
        decode.run(elsewhere, plan.decodings['logits.both'][0])


def test_rows_hold_per_and_frame_accuracy(made):
    rows = answered(made)
    assert [(row['name'], row['metric']) for row in rows] == [
        (name, metric) for name in ('teachers', 'labels', 'mimic') for metric in ('per', 'accuracy')
    ]
    teachers, frames, *_, mimic, mimic_frames = rows
    assert teachers['values'] == [0.0] and frames['values'] == [1.0]
    assert (teachers['paper'], frames['paper']) == (0.185, None)
    # 23 reference tokens; seed 0 has one of them wrong, seed 1 four.
    assert mimic['values'] == pytest.approx([1 / 23, 4 / 23])
    assert mimic['mean'] == pytest.approx(2.5 / 23)
    assert teachers['validation'] == {'values': [0.0], 'mean': 0.0, 'std': None}
    tuned = [
        decoded_files.read_choice(folder(*made[:2], 'students.mimic', seed))['validation']['unit']
        for seed in (0, 1)
    ]
    choice = decoded_files.read_choice(folder(*made[:2], 'students.mimic', 1))
    assert {trial['per'] for trial in choice['grid']} == {0.0}, 'tuned on validation, heard rightly'
    assert choice['test']['unit']['per'] == pytest.approx(4 / 23)
    assert mimic['validation']['values'] == [counts['per'] for counts in tuned]
    assert mimic['validation']['mean'] == pytest.approx(sum(c['per'] for c in tuned) / 2)
    assert mimic['std'] == pytest.approx(np.std([1 / 23, 4 / 23], ddof=1))
    assert (mimic['n'], mimic['tokens'], mimic['n_speakers']) == (2, 23, 2)
    counts = mimic['insertions'], mimic['deletions'], mimic['substitutions']
    assert counts == (0, 0, 2.5) and mimic['sclite']['substitutions'] == 2.5
    # b s … of the first speaker: 1 error a seed in 11 tokens; of the second 0 and 3 in 12.
    assert mimic['speakers'] == {
        'feee0': {'tokens': 11, 'errors': [1, 1]}, 'mfff0': {'tokens': 12, 'errors': [0, 3]}
    }  # fmt: skip
    assert mimic['interval'] == pytest.approx(per.speaker_interval([2, 3], [22, 24]))
    total = sum(len(words.split()) for words in WORDS)
    assert mimic_frames['values'] == pytest.approx([1 - 1 / total, 1 - 4 / total])
    low, high = per.speaker_interval([2, 3], [24, 24])
    assert mimic_frames['interval'] == pytest.approx([1 - high, 1 - low])
    assert mimic_frames['agreement'] == pytest.approx(1 - 2.5 / total)
    assert mimic['agreement'] is None
    json.dumps(rows)


def test_bad_utterances_and_figures_that_are_not_timits_are_told_of_in_the_report(made):
    found = made[0].data
    data = facts.facts(found.speech, found.utterances, 'official')
    assert data['bad_utterances'] == 1 and len(data['not_timits']) == 8
    elsewhere = facts.facts(found.speech, found.utterances, 'speakers')
    assert not elsewhere['not_timits']
    assert elsewhere['remarks'] == ['Bad utterances left out: 1.']
    timing = {'training_seconds': None, 'milliseconds': None}
    made_up = {
        'experiment': 'x', 'rows': answered(made), 'timings': [timing] * 3,
        'data': {**data, 'examples': {}}, 'costs': {}, 'command': '', 'machine': '', 'date': '',
    }  # fmt: skip
    pages = [tables.page(made_up, []), html.unescape(''.join(html_report._results(made_up)))]
    for page in pages:
        assert 'Bad utterances left out: 1.' in page
        assert "the test split has 4 utterances, TIMIT's has 192" in page
    made_up['data'] |= {'remarks': []}
    for page in (tables.page(made_up, []), ''.join(html_report._results(made_up))):
        assert 'Bad utterances' not in page and 'TIMIT' not in page


def test_a_source_is_one_line_of_the_table(made):
    rows = answered(made)
    head, _, *lines = tables.table(rows).splitlines()
    assert len(lines) == 3
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in (head, *lines)]
    teachers, _, mimic = (dict(zip(cells[0], line, strict=True)) for line in cells[1:])
    assert teachers['paper, %'] == '18.50' and teachers['frame accuracy, %'] == '100.00'
    assert teachers['paper’s'] == '~125M'
    assert mimic['PER, %'] == '10.87 ± 9.22' and mimic['ins / del / sub'] == '0 / 0 / 2'
    low, high = per.speaker_interval([2, 3], [22, 24])
    assert mimic['95% over speakers'] == f'{100 * low:.1f}–{100 * high:.1f}'
    assert 'accuracy, %' not in cells[0]


def test_pictures_show_whose_phones_are_taken_for_which(made, tmp_path):
    session, plan, _ = made
    names = []
    for name, figure in part(made).draw():
        pictures.save(figure, tmp_path / name)
        plt.close(figure)
        names.append(name)
    assert names == list(part(made).captions) == ['confusions.png', 'utterance.png']
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)
    heard = decoded_files.read_split(folder(session, plan, 'students.mimic', 1), 'test')
    matrix = figures.confusions(heard)
    place = phones.CLASSES.index
    assert matrix.sum() == 23 and np.trace(matrix) == 19
    assert matrix[place('b'), place('s')] == 2 and matrix[place('iy'), place('s')] == 1
    assert matrix[place('aa'), place('iy')] == 1


def test_the_utterance_is_its_spectrogram_with_the_labels_above_what_was_decoded(made):
    session, plan, _ = made
    heard = decoded_files.read_split(folder(session, plan, 'students.mimic', 1), 'test')
    # The second is the one of median length: 54 frames, as the first has, after one of 45.
    words = WORDS[1].split(), ['h#', 's', 'iy', 't', 'b', 'h#']
    heard[1]['decoded'] = ' '.join(words[1])
    figure, axes = plt.subplots(3, 1)
    figures._utterance(axes, session.data, heard, 'mimic')
    picture, *strips = axes
    assert picture.get_title() == f'{heard[1]["key"]} decoded by mimic: 0 errors in 6 phones'
    shown = picture.images[0].get_array()
    assert shown.shape == (40, 54)
    start = session.data.speech.runs(session.data.utterances['test'])[1][0]
    np.testing.assert_array_equal(
        shown[:, 0], session.data.speech.frames[start].reshape(41, 3)[1:, 0]
    )
    for strip, spoken in zip(strips, words, strict=True):
        classes = [phones.CLASSES[number] for number in phones.fold_numbers(phones.numbers(spoken))]
        assert [text.get_text() for text in strip.texts] == classes
    plt.close(figure)


def test_segments_of_targets_may_leave_parts_out():
    targets = [0, 1, 2, 4, 3, 5, 4, 4, 8]
    sequence, starts = figures.segments(targets)
    assert sequence.tolist() == [0, 1, 1, 1, 2] and starts.tolist() == [0, 3, 4, 6, 8]


@pytest.mark.parametrize(
    ('setting', 'value', 'words'),
    [
        ('lm_scales', (1.0, -1.0), '0 or more'),
        ('lm_scales', (), 'at least one'),
        ('penalties', (2.0, 2.0), 'different'),
        ('penalties', (float('nan'),), 'finite'),
        ('language_model', 'trigram', 'bigram'),
    ],
)
def test_bad_settings_are_refused(setting, value, words):
    with pytest.raises(UserError, match=f'config.decoding.{setting} .*{words}'):
        experiments.read({**SETTINGS, 'decoding': {setting: value}})
