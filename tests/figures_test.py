import os

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT

from mimic_jax.data import views
from mimic_jax.reporting import figures, pictures
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.settings import Report

NO_ROWS = {'rows': [], 'timings': []}


def untrained(session, plan):
    answers = Answers(session, plan, Report())
    answers.chosen = []
    answers.ensemble_score = lambda split: None
    return answers


def test_the_sheet_holds_the_very_views_of_the_cache(config, make_session, tmp_path, monkeypatch):
    session, plan = make_session(config)
    shown = []
    monkeypatch.setattr(plt.Axes, 'imshow', lambda axes, image, **_: shown.append(image))
    answers = untrained(session, plan)
    assert figures.draw(answers, NO_ROWS, tmp_path) == ['views.png']
    (grid,) = shown
    assert grid.shape == (8 * 10, 9 * 10, 3)  # 8×8 images in frames of one pixel
    index = session.data.splits['train'][:8]
    raw = session.data.inputs[index]
    for view in range(-1, 8):
        settings = plan.caches['ensemble'].views
        expected = raw if view < 0 else views.batch_views(raw, view, index, settings.seed, settings)
        for row in range(8):
            top, left = 10 * row + 1, 10 * (view + 1) + 1
            part = grid[top : top + 8, left : left + 8]
            np.testing.assert_allclose(255 * part, np.broadcast_to(expected[row], (8, 8, 3)))


def test_no_sheet_where_no_view_differs(config, make_session, tmp_path):
    config.views.shift = 0
    session, plan = make_session(config)
    assert figures.draw(untrained(session, plan), NO_ROWS, tmp_path) == []
    assert not (tmp_path / 'views.png').exists()


def test_a_kill_leaves_the_old_picture_whole(tmp_path, monkeypatch):
    path = tmp_path / 'views.png'
    figure, axes = plt.subplots()
    pictures.save(figure, path)
    old = path.read_bytes()
    assert old.startswith(b'\x89PNG') and [*tmp_path.iterdir()] == [path]
    axes.plot([0, 1])

    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', killed)
        with pytest.raises(KeyboardInterrupt):
            pictures.save(figure, path)
    assert path.read_bytes() == old
    pictures.save(figure, path)
    assert path.read_bytes() != old
    plt.close(figure)


def test_every_picture_is_saved_so():
    users = {path.name for path in ROOT.glob('mimic_jax/**/*.py') if 'savefig(' in path.read_text()}
    assert users == {'pictures.py'}
