import matplotlib.pyplot as plt
import numpy as np

from mimic_jax.config import Report
from mimic_jax.data import views
from mimic_jax.reporting import figures


def test_the_sheet_holds_the_very_views_of_the_cache(config, make_session, tmp_path, monkeypatch):
    session, plan = make_session(config)
    shown = []
    monkeypatch.setattr(plt.Axes, 'imshow', lambda axes, image, **_: shown.append(image))
    assert figures.draw(session, plan, Report(), {'rows': []}, None, tmp_path) == ['views.png']
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
    assert figures.draw(session, plan, Report(), {'rows': []}, None, tmp_path) == []
    assert not (tmp_path / 'views.png').exists()
