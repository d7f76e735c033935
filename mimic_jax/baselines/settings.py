"""Settings of baselines that are not nets."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import setting


@dataclasses.dataclass(frozen=True)
class Baseline:
    """K-means features of image patches and a linear SVM (Coates, Lee & Ng 2011), on raw pixels."""

    kind: str = setting('kmeans_svm', 'Which baseline.', choices=('kmeans_svm',))
    patches: int = setting(
        400_000, 'Patches drawn from the training images for k-means.', rules.up_to(10**8)
    )
    patch_size: int = setting(6, "A patch's side in pixels.", rules.FROM_1)
    centroids: int = setting(4000, 'Centroids of k-means.', rules.up_to(10**6))
    iterations: int = setting(50, 'Iterations of k-means at most.', rules.FROM_1)
    penalties: tuple[float, ...] = setting(
        (100.0,),
        "The SVM's C, which multiplies the mean of the squared hinges as in the authors' code "
        "(liblinear's C multiplies their sum); the validation split chooses among several.",
        rules.different(rules.POSITIVE, 'numbers'),
    )
    seed: int = setting(0, 'The seed of the patches and the first centroids.', rules.SEED)
