"""The programs that time features and Viterbi, on a few utterances: what they print, keep and check."""

import json

import numpy as np
import pytest
from conftest import load_benchmark

pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")


@pytest.mark.parametrize(
    ('name', 'words', 'rows'),
    [('viterbi', 'real-time factor', 3), ('features', '× real time', 2)],
)
def test_ours_and_a_peer_are_timed_in_one_run(name, words, rows, tmp_path, monkeypatch, capsys):
    module = load_benchmark(name)
    # Later tests need all of this process's cores.
    monkeypatch.setattr(module, 'bind_to_one_core', lambda: None, raising=False)
    arguments = ['--utterances=2', '--repeats=1', f'--json={tmp_path / "result.json"}']
    monkeypatch.setattr('sys.argv', [f'benchmarks/{name}.py', *arguments])
    module.main()
    assert capsys.readouterr().out.count(words) == 2  # a line a side
    result = json.loads((tmp_path / 'result.json').read_text())
    assert {'command', 'machine', 'seconds', 'date'} <= set(result)
    assert len(result['rows']) == rows
    for row in result['rows']:
        assert row['ratio'] == pytest.approx(row['peer'] / row['ours'], rel=0.01)
    [factor] = [row for row in result['rows'] if row['name'] == 'real-time factor']
    assert 0 < factor['ours'] < 1 and factor['unit'] == 's a s of audio'


def test_other_features_stop_the_run():
    module = load_benchmark('features')
    audio = module.waveforms(1)
    ours = [module.fbank.features(samples) for samples in audio]
    module.check_equal(ours, [module.numpy_features(audio[0], module.triangles())])
    with pytest.raises(SystemExit, match=r'features differ by 0\.01'):
        module.check_equal(ours, [ours[0] + np.float32(0.01)])


def test_other_phones_stop_the_run():
    module = load_benchmark('viterbi')
    with pytest.raises(SystemExit, match='1 of 2 utterances differ'):
        module.check_equal([np.array([1]), np.array([2])], [np.array([1]), np.array([3])])
