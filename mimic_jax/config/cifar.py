"""What Ba & Caruana's experiments on CIFAR-10 share: data, views, teachers, students, whole and small.

Experiments that take these from here have equal artifacts, so one finds what another trained.
"""

from mimic_jax.config import presets


def data(train: int = 40_000, validation: int = 10_000, **settings) -> dict:
    """CIFAR-10 with `train` and `validation` labelled images; the other images lose their labels."""
    return {'name': 'cifar10', 'train': train, 'validation': validation, **settings}


def small_data() -> dict:
    """The small scale's data: 5,000 labelled images, and 35,000 more without their labels."""
    return {'train': 5000, 'validation': 5000, 'unlabelled': 35_000}


def smoke_data() -> dict:
    """A subset, for a first look."""
    return {'train': 1000, 'validation': 500, 'test': 1000, 'unlabelled': 2000}


def cache(nets, **settings) -> dict:
    """The logits of a size's teachers, on a view for each epoch of its mimic."""
    return {'members': tuple(nets['teachers']), 'views': nets['on_logits']['epochs'], **settings}


def views() -> dict:
    """Mirrored images, shifted by up to 4 pixels."""
    return {'mirror': True, 'shift': 4, 'padding': 'reflect'}


TEACHER = '128c5-p3/2-128c5-p3/2-128c5-p3/2-1k-d.5'


def teacher_train() -> dict:
    """How the paper's CNN is trained; kernels, rates and epochs are not in the paper.

    Validation accuracies after 150 steps (2,000 images, one seed, clipped at norm 1): rate .03 44.1%, .1
    48.6, .2 45.9. The long run here has half of the best rate of these short ones.
    """
    return {'epochs': 40, 'learning_rate': 0.05, 'weight_decay': 5e-4, 'clip_norm': 1.0}


def teachers(prefix: str = 'cnn') -> dict:
    """The paper's ensemble of four CNNs."""
    return presets.members(4, TEACHER, teacher_train(), prefix)


def student_train() -> dict:
    """How the paper's shallow nets are trained, on labels and on logits alike.

    Validation accuracies of SNN-30k on labels after 100 steps (1,000 images, one seed): rate .1 52.6%, .3
    51.3.
    """
    return {'epochs': 40, 'learning_rate': 0.1}


def small_teachers() -> dict:
    """The small scale's ensemble: three narrow CNNs with batch normalisation."""
    return presets.members(3, '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2', {'weight_decay': 5e-4})


def on_labels(model: str, **train) -> dict:
    """A student on labels: gradients clipped at norm 1, three seeds."""
    return presets.on_labels(model, clip_norm=1.0, **train)


def mimic(model: str, logits: str = 'ecnn', loss: dict | None = None, **train) -> dict:
    """A student on a cache's logits, otherwise like `on_labels`; the default loss is equation 1."""
    return presets.mimic(model, logits, loss=loss, clip_norm=1.0, **train)


def small_model() -> str:
    """The small scale's student: a convolution, a linear layer, a wide ReLU layer."""
    return '32c5-p2-200L-2000'


def small_on_labels() -> dict:
    """How the small student learns from labels; cifar_student.py explains the choice."""
    return {'epochs': 48, 'learning_rate': 0.1, 'weight_decay': 5e-4}


def small_on_logits() -> dict:
    """How the small student mimics, for about as many examples as on labels."""
    return {'epochs': 6, 'learning_rate': 0.3}
