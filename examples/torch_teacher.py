"""A PyTorch module that was trained on a folder of images teaches a student: directly, or through files.

    pip install torch
    python examples/torch_teacher.py train digits

writes handwritten digits as images, 1,297 below digits/train and 500 below digits/test, a folder a class;
trains a small module on the former; and keeps it as teacher.pt. A person has such a folder and such a
module already. The student knows 200 of the labels. Directly:

    OWN="--config=experiments/own_data.py --config.data.root=digits --config.data.train=200
        --config.data.validation=100 --config.views.mirror=False --config.logits.ensemble.members="
    python -m mimic_jax.main $OWN --config.logits.ensemble.source.path=examples.torch_teacher:logits \\
        --config.logits.ensemble.source.class_names="$(python examples/torch_teacher.py names)"

Through files, with torch in another environment or on another machine:

    FILES="--config.logits.ensemble.source.kind=logits --config.logits.ensemble.source.path=views"
    python -m mimic_jax.main $OWN $FILES --phase=views --output=views
    python examples/torch_teacher.py answer views
    python -m mimic_jax.main $OWN $FILES

Copy `logits`: a model's own normalisation and its order of channels belong there.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

# In the teacher's order, which is not that of the folders' names.
NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
FILE = Path('teacher.pt')
MEAN, DEVIATION = 0.3, 0.37  # of pixels from 0 to 1
BATCH = 256


def module() -> nn.Module:
    """A small net of images [B, 1, 8, 8], normalised."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, len(NAMES))),
    )


@functools.cache
def model() -> nn.Module:
    """The trained module."""
    trained = module()
    trained.load_state_dict(torch.load(FILE, weights_only=True))
    return trained.eval()  # without it, dropout and batch statistics would be those of training


def inputs(images: np.ndarray) -> torch.Tensor:
    """What the module takes of uint8 pixels [B, H, W, C], RGB or grey, 0 to 255."""
    scaled = (images / 255.0 - MEAN) / DEVIATION
    return torch.tensor(scaled.transpose(0, 3, 1, 2), dtype=torch.float32)


def logits(images: np.ndarray) -> np.ndarray:
    """Logits [B, K] of raw images [B, H, W, C]."""
    with torch.inference_mode():
        return model()(inputs(images)).numpy()


def answer(folder: Path) -> None:
    """Answers all views that `--phase=views` wrote to a folder, and names the columns."""
    facts = json.loads((folder / 'views.json').read_text())
    for source, target in zip(facts['files'], facts['answers'], strict=True):
        images = np.load(folder / source, mmap_mode='r')  # larger than memory if need be
        starts = range(0, len(images), BATCH)
        np.save(folder / target, np.concatenate([logits(images[i : i + BATCH]) for i in starts]))
    (folder / 'class_names.json').write_text(json.dumps(NAMES))


def train(folder: Path) -> None:
    """Writes the images, and trains the module on those below train/, shifted by up to a pixel."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * 15).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    test, some = order[:500], order[500:]
    for split, numbers in (('train', some), ('test', test)):
        for number in numbers:
            place = folder / split / NAMES[digits.target[number]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[number, :, :, 0]).save(place / f'{number}.png')
    torch.manual_seed(0)
    net = module().train()
    seen, labels = inputs(images[some]), torch.tensor(digits.target[some])
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    for _ in range(100):
        across, down = (int(shift) for shift in torch.randint(-1, 2, (2,)))
        shifted = torch.roll(seen, (down, across), (2, 3))
        loss = nn.functional.cross_entropy(net(shifted), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(net.state_dict(), FILE)
    right = (logits(images[test]).argmax(1) == digits.target[test]).mean()
    print(f'{FILE}: right on {right:.1%} of 500 test images')


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['train', folder]:
            train(Path(folder))
        case ['answer', folder]:
            answer(Path(folder))
        case ['names']:
            print(NAMES)
        case _:
            sys.exit(__doc__)
