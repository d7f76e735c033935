import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mimic_jax.training import losses

STUDENT = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 3.0], [-1.0, 4.0, 2.5]])
TEACHER = np.array([[2.0, -1.0, 1.5], [1.0, 1.0, -1.0], [-0.5, 4.5, 2.0]])
LABELS = np.array([0, 2, -1])
MEAN = np.array([0.5, 1.0, -1.0])
DEVIATION = np.array([2.0, 0.5, 4.0])
# A fifth of a label of three classes, spread evenly: .8 + .2/3; an unlabelled example has no target.
SMOOTHED = np.array([[13 / 15, 1 / 15, 1 / 15], [1 / 15, 1 / 15, 13 / 15], [0, 0, 0]])

# Each loss in float64 with scipy: (ours on the student's logits, the oracle on the same).
CASES = {
    'cross_entropy': (
        lambda g: losses.cross_entropy(g, jnp.asarray(LABELS)),
        lambda g: np.array([-special.log_softmax(g[0])[0], -special.log_softmax(g[1])[2], 0.0]),
    ),
    'logits': (
        lambda g: losses.squared_error_on_logits(g, jnp.asarray(TEACHER)),
        lambda g: 0.5 * np.linalg.norm(g - TEACHER, axis=1) ** 2,
    ),
    'standardised': (
        lambda g: losses.squared_error_on_standardised_logits(
            g, jnp.asarray(TEACHER), jnp.asarray(MEAN), jnp.asarray(DEVIATION), scale=1.0
        ),
        lambda g: np.linalg.norm((g - TEACHER) / DEVIATION, axis=1) ** 2,
    ),
    'probabilities': (
        lambda g: losses.squared_error_on_probabilities(g, jnp.asarray(TEACHER), scale=3.0),
        lambda g: 3 * np.sum((special.softmax(g, 1) - special.softmax(TEACHER, 1)) ** 2, 1),
    ),
    'kl': (
        lambda g: losses.kl_divergence(g, jnp.asarray(TEACHER), 2.5),
        lambda g: (
            2.5**2
            * np.sum(
                special.rel_entr(special.softmax(TEACHER / 2.5, 1), special.softmax(g / 2.5, 1)), 1
            )
        ),
    ),
}
CASES['cross_entropy, smoothed'] = (
    lambda g: losses.cross_entropy(g, jnp.asarray(LABELS), 0.2),
    lambda g: np.array(
        [-target @ special.log_softmax(row) for row, target in zip(g, SMOOTHED, strict=True)]
    ),
)
CASES['hinton, smoothed'] = (
    lambda g: losses.hinton(g, jnp.asarray(TEACHER), jnp.asarray(LABELS), 2.5, 0.3, 0.2),
    lambda g: 0.3 * CASES['kl'][1](g) + 0.7 * CASES['cross_entropy, smoothed'][1](g),
)
MASK = np.array([1.0, 1.0, 0.0])


def z_scored(logits):
    return (logits - logits.mean(1, keepdims=True)) / logits.std(1, keepdims=True)


def divergence(teacher, student):
    return special.rel_entr(teacher, student).sum(axis=-1)


def decoupled(g, z, temperature, alpha, beta):
    """Zhao et al. 2022, equations 1 to 7, example by example; the third's target is the teacher's."""
    found = []
    for student, teacher, label in zip(g, z, [0, 2, 1], strict=True):
        p, q = special.softmax(student / temperature), special.softmax(teacher / temperature)
        target = divergence(np.array([q[label], 1 - q[label]]), np.array([p[label], 1 - p[label]]))
        p, q = np.delete(p, label), np.delete(q, label)
        found.append(alpha * target + beta * divergence(q / q.sum(), p / p.sum()))
    return temperature**2 * np.array(found)


def correlated(g, z, temperature, mask, beta, gamma):
    """Huang et al. 2022, equations 8 and 9, by NumPy's own correlation."""
    p, q = special.softmax(g / temperature, 1), special.softmax(z / temperature, 1)
    rows = np.array([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    real = mask > 0
    columns = [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p[real].T, q[real].T, strict=True)]
    return temperature**2 * (beta * rows + gamma * np.mean(columns))


CASES['z_scores'] = (
    lambda g: losses.kl_of_z_scores(g, jnp.asarray(TEACHER), 2.0),
    lambda g: (
        4
        * divergence(special.softmax(z_scored(TEACHER) / 2, 1), special.softmax(z_scored(g) / 2, 1))
    ),
)
CASES['dkd'] = (
    lambda g: losses.decoupled(g, jnp.asarray(TEACHER), jnp.asarray(LABELS), 2.5, 0.7, 3.0),
    lambda g: decoupled(g, TEACHER, 2.5, 0.7, 3.0),
)
CASES['dist'] = (
    lambda g: losses.correlation_distance(g, jnp.asarray(TEACHER), jnp.ones(3), 2.5, 0.7, 3.0),
    lambda g: correlated(g, TEACHER, 2.5, np.ones(3), 0.7, 3.0),
)
CASES['hinton'] = (
    lambda g: losses.hinton(g, jnp.asarray(TEACHER), jnp.asarray(LABELS), 2.5, 0.3),
    lambda g: 0.3 * CASES['kl'][1](g) + 0.7 * CASES['cross_entropy'][1](g),
)


def numerical_gradient(function, at, step=1e-6):
    gradient = np.zeros_like(at)
    for position in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[position] += step
        down[position] -= step
        gradient[position] = (function(up).sum() - function(down).sum()) / (2 * step)
    return gradient


@pytest.mark.parametrize('name', CASES)
def test_values_and_gradients_equal_a_float64_oracle(name):
    ours, oracle = CASES[name]
    result = ours(jnp.asarray(STUDENT, jnp.float32))
    assert result.shape == (3,) and result.dtype == jnp.float32
    np.testing.assert_allclose(result, oracle(STUDENT), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda g: ours(g).sum())(jnp.asarray(STUDENT, jnp.float32))
    np.testing.assert_allclose(gradient, numerical_gradient(oracle, STUDENT), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_half_precision_logits_are_worked_on_in_float32(name, dtype):
    ours, oracle = CASES[name]
    rounded = jnp.asarray(STUDENT * 1.1, dtype)
    result = ours(rounded)
    assert result.dtype == jnp.float32
    exact = oracle(np.asarray(rounded.astype(jnp.float32), np.float64))
    np.testing.assert_allclose(result, exact, rtol=1e-5, atol=3e-6)


def test_equation_1_of_ba_and_caruana_by_hand():
    # Rows differ from the teacher by (−1, −1, −1), (−1, 2, 4), (−.5, −.5, .5).
    student, teacher = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    half = losses.squared_error_on_logits(student, teacher)
    np.testing.assert_array_equal(half, [1.5, 10.5, 0.375])
    np.testing.assert_array_equal(losses.squared_error_on_logits(student, teacher, 1.0), half * 2)
    gradient = jax.grad(lambda g: losses.squared_error_on_logits(g, teacher).sum())(student)
    np.testing.assert_array_equal(gradient, STUDENT - TEACHER)


def test_logits_tell_apart_what_probabilities_cannot():
    # Ba & Caruana §2.2: (10, 20, 30) and (−10, 0, 10) have the same softmax.
    a, b = jnp.array([[10.0, 20.0, 30.0]]), jnp.array([[-10.0, 0.0, 10.0]])
    np.testing.assert_array_equal(losses.squared_error_on_logits(a, b), [600.0])
    np.testing.assert_allclose(losses.squared_error_on_probabilities(a, b), [0.0], atol=1e-12)
    np.testing.assert_allclose(losses.kl_divergence(a, b, 1.0), [0.0], atol=1e-6)


def test_probabilities_by_hand():
    # softmax(0, ln 3) = (¼, ¾) against (½, ½): ½ · 2 · 1/16.
    student, teacher = jnp.log(jnp.array([[1.0, 3.0]])), jnp.zeros((1, 2))
    loss = losses.squared_error_on_probabilities(student, teacher)
    np.testing.assert_allclose(loss, [1 / 16], rtol=1e-6)


def test_standardised_by_hand_and_a_class_of_no_deviation():
    student, teacher = jnp.array([[3.0, 5.0]]), jnp.array([[1.0, 2.0]])
    mean = jnp.array([10.0, 2.0])

    def loss(g, deviation):
        return losses.squared_error_on_standardised_logits(g, teacher, mean, deviation).sum()

    assert loss(student, jnp.array([4.0, 2.0])) == 0.5 * (0.25 + 2.25)
    assert loss(student, jnp.array([4.0, 0.0])) == 0.5 * (0.25 + 9)
    gradient = jax.grad(loss)(student, jnp.array([4.0, 0.0]))
    np.testing.assert_array_equal(gradient, [[2 / 16, 3.0]])


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_kl_gradient_is_temperature_times_difference_of_probabilities(temperature):
    # Hinton et al. 2015, equation 2, times T².
    gradient = jax.grad(lambda g: losses.kl_divergence(g, jnp.asarray(TEACHER), temperature).sum())(
        jnp.asarray(STUDENT)
    )
    soft = special.softmax(STUDENT / temperature, 1) - special.softmax(TEACHER / temperature, 1)
    np.testing.assert_allclose(gradient, temperature * soft, rtol=1e-4, atol=1e-6)


def test_kl_at_high_temperature_is_squared_error_on_centred_logits():
    # Hinton et al. 2015, §2.1, equations 3 and 4.
    difference = STUDENT - TEACHER
    difference -= difference.mean(axis=1, keepdims=True)
    limit = (difference**2).sum(axis=1) / (2 * 3)
    temperature = 100.0
    loss = losses.kl_divergence(jnp.asarray(STUDENT), jnp.asarray(TEACHER), temperature)
    np.testing.assert_allclose(loss, limit, rtol=0.03, atol=5e-3)
    gradient = jax.grad(lambda g: losses.kl_divergence(g, jnp.asarray(TEACHER), temperature).sum())(
        jnp.asarray(STUDENT)
    )
    np.testing.assert_allclose(gradient, difference / 3, rtol=0.05, atol=5e-3)


def test_kl_is_no_symmetric_measure_and_is_of_the_teacher_from_the_student():
    # KL((¼, ¾) ‖ (½, ½)) = ln 2 + ¼ ln ¼ + ¾ ln ¾
    teacher, student = jnp.log(jnp.array([[1.0, 3.0]])), jnp.zeros((1, 2))
    expected = np.log(2) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    np.testing.assert_allclose(losses.kl_divergence(student, teacher), [expected], rtol=1e-5)
    assert abs(losses.kl_divergence(teacher, student)[0] - expected) > 0.01


@pytest.mark.parametrize('size', [1e4, 1e30, 3e38])
def test_huge_logits_give_no_nan(size):
    student = jnp.array([[size, -size, 0.0], [size, -size, 0.0]], jnp.float32)
    teacher = jnp.array([[size, 0.0, -size], [0.0, size, -size]], jnp.float32)
    labels = jnp.array([0, 0])
    for loss in (
        lambda g: losses.kl_divergence(g, teacher, 1.0),
        lambda g: losses.kl_divergence(g, teacher, 20.0),
        lambda g: losses.hinton(g, teacher, labels, 2.0, 0.5),
        lambda g: losses.cross_entropy(g, labels),
        lambda g: losses.squared_error_on_probabilities(g, teacher),
    ):
        assert not np.isnan(loss(student)).any()
        assert np.isfinite(jax.grad(lambda g, loss=loss: loss(g).sum())(student)).all()
        assert loss(student)[0] == 0.0  # the first row is right


def test_cross_entropy_by_hand_and_unlabelled_examples():
    logits = jnp.log(jnp.array([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]]))
    labels = jnp.array([0, 1, -1])
    loss = losses.cross_entropy(logits, labels)
    np.testing.assert_allclose(loss, [np.log(4), np.log(4 / 3), 0.0], rtol=1e-6)
    gradient = jax.grad(lambda g: losses.cross_entropy(g, labels).sum())(logits)
    np.testing.assert_allclose(gradient, [[-0.75, 0.75], [0.25, -0.25], [0, 0]], rtol=1e-5)


def test_hinton_between_its_ends():
    student, teacher, labels = (jnp.asarray(a) for a in (STUDENT, TEACHER, LABELS))
    soft = losses.kl_divergence(student, teacher, 3.0)
    hard = losses.cross_entropy(student, labels)
    np.testing.assert_array_equal(losses.hinton(student, teacher, labels, 3.0, 1.0), soft)
    np.testing.assert_array_equal(losses.hinton(student, teacher, labels, 3.0, 0.0), hard)
    quarter = losses.hinton(student, teacher, labels, 3.0, 0.25)
    np.testing.assert_allclose(quarter[:2], 0.25 * soft[:2] + 0.75 * hard[:2], rtol=1e-6)
    np.testing.assert_allclose(quarter[2], 0.25 * soft[2], rtol=1e-6)  # unlabelled


def test_z_scores_forget_size_and_offset():
    """Sun et al. 2024: a student whose logits are a line in its teacher's has nothing left to learn."""
    student = jnp.asarray(5 * TEACHER - 3)
    loss = losses.kl_of_z_scores(student, jnp.asarray(TEACHER), 2.0)
    np.testing.assert_allclose(loss, 0, atol=1e-6)
    assert losses.kl_divergence(student, jnp.asarray(TEACHER), 2.0).min() > 0.1


def test_z_scores_by_hand():
    # (0, 2) and (3, 1): scores (−1, 1) and (1, −1). At T = 2, softmax(±½): e = 1 / (1 + exp(−1)).
    loss = losses.kl_of_z_scores(jnp.array([[0.0, 2.0]]), jnp.array([[3.0, 1.0]]), 2.0)
    high = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(loss, [4 * (high - (1 - high)) * 1.0], rtol=1e-6)


def test_dkds_parts_add_up_to_the_divergence():
    """Zhao et al. 2022, equation 5: KL = target + (1 − teacher's probability of it) · others."""
    student, teacher = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    labels = jnp.array([0, 2, 1])
    target = losses.decoupled(student, teacher, labels, 3.0, 1.0, 0.0)
    others = losses.decoupled(student, teacher, labels, 3.0, 0.0, 1.0)
    rest = 1 - special.softmax(TEACHER / 3, 1)[np.arange(3), labels]
    whole = losses.kl_divergence(student, teacher, 3.0)
    np.testing.assert_allclose(target + rest * others, whole, rtol=1e-5)
    # Two classes have one other, which nothing is among.
    two = losses.decoupled(student[:, :2], teacher[:, :2], jnp.array([0, 1, 0]), 1.0, 0.0, 1.0)
    np.testing.assert_allclose(two, 0, atol=1e-7)


def test_dist_by_hand():
    """Probabilities (¼, ¾), (¾, ¼) against (½, ½), (¼, ¾): the first example's rows do not correlate."""
    student = jnp.log(jnp.array([[1.0, 3.0], [3.0, 1.0]]))
    teacher = jnp.log(jnp.array([[1.0, 1.0], [1.0, 3.0]]))
    over_classes = losses.correlation_distance(student, teacher, jnp.ones(2), 1.0, 1.0, 0.0)
    np.testing.assert_allclose(over_classes, [1, 2], atol=1e-6)  # ρ = 0 of a constant, and −1
    over_examples = losses.correlation_distance(student, teacher, jnp.ones(2), 1.0, 0.0, 1.0)
    np.testing.assert_allclose(over_examples, [2, 2], atol=1e-6)  # up where the teacher goes down


def test_dist_leaves_padding_out():
    student = np.array(STUDENT)
    student[2] = [9.0, -9.0, 3.0]  # padding, whose teacher's logits are just as arbitrary

    def loss(g):
        mask = jnp.asarray(MASK)
        return losses.correlation_distance(g, jnp.asarray(TEACHER), mask, 2.5, 0.7, 3.0) * mask

    expected = correlated(student, TEACHER, 2.5, MASK, 0.7, 3.0)[:2]
    np.testing.assert_allclose(loss(jnp.asarray(student))[:2], expected, rtol=1e-5)
    gradient = jax.grad(lambda g: loss(g).sum())(jnp.asarray(student))
    np.testing.assert_array_equal(gradient[2], 0)
    assert np.abs(gradient[:2]).max() > 1e-3


@pytest.mark.parametrize('margin', [12, 24, 30, 40])
def test_dist_of_confident_nets(margin):
    """In each example one logit lies so far above the others, which differ a little."""
    small = np.random.default_rng(margin).normal(size=(2, 6, 5)) / 10
    student, teacher = small
    student[np.arange(6), [0, 1, 2, 3, 0, 1]] += margin
    teacher[np.arange(6), [0, 1, 2, 0, 3, 1]] += margin
    ones, p, q = np.ones(6), special.softmax(student, 1), special.softmax(teacher, 1)
    # A class that nobody takes for likely has the same probability everywhere: it does not correlate.
    rows = np.array([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    columns = []
    for a, b in zip(p.T, q.T, strict=True):
        varies = min(np.sum((a - a.mean()) ** 2), np.sum((b - b.mean()) ** 2)) > 1e-16
        columns.append(1 - np.corrcoef(a, b)[0, 1] if varies else 1.0)
    expected = 0.7 * rows + 3.0 * np.mean(columns)
    if margin >= 24:
        assert columns[4] == 1.0

    def loss(g):
        given = jnp.asarray(teacher, jnp.float32), jnp.asarray(ones)
        return losses.correlation_distance(g, *given, 1.0, 0.7, 3.0)

    at = jnp.asarray(student, jnp.float32)
    np.testing.assert_allclose(loss(at), expected, rtol=2e-4, atol=2e-6)
    gradient = jax.grad(lambda g: loss(g).sum())(at)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize('name', ['kl_of_z_scores', 'correlation_distance', 'decoupled'])
def test_equal_logits_give_finite_losses_and_gradients(name):
    """A net whose output layer starts at 0, and a batch of one example."""
    teacher, more = jnp.asarray(TEACHER), {'decoupled': [jnp.asarray(LABELS)]}
    more['correlation_distance'] = [jnp.asarray(MASK)]
    for student, target in ((jnp.zeros((3, 3)), teacher), (teacher, jnp.zeros((3, 3)))):
        for rows in (3, 1):
            given = [argument[:rows] for argument in (student, target, *more.get(name, []))]
            loss = getattr(losses, name)
            value = loss(*given)
            gradient = jax.grad(lambda g, loss=loss, rest=given[1:]: loss(g, *rest).sum())(given[0])
            assert np.isfinite(value).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize('name', ['squared_error_on_logits', 'kl_divergence', 'kl_of_z_scores'])
def test_the_teacher_is_a_constant(name):
    loss = getattr(losses, name)
    gradient = jax.grad(lambda z: loss(jnp.asarray(STUDENT), z).sum())(jnp.asarray(TEACHER))
    np.testing.assert_array_equal(gradient, np.zeros((3, 3)))


def test_shapes_and_types_that_do_not_agree_are_refused():
    student = jnp.asarray(STUDENT)
    for wrong in (jnp.zeros((3, 2)), jnp.zeros((1, 3)), jnp.zeros(3), jnp.zeros((3, 3), int)):
        with pytest.raises(AssertionError):
            losses.squared_error_on_logits(student, wrong)
        with pytest.raises(AssertionError):
            losses.kl_divergence(student, wrong)
    for wrong in (jnp.zeros(2, int), jnp.zeros((3, 1), int), jnp.zeros(3)):
        with pytest.raises(AssertionError):
            losses.cross_entropy(student, wrong)
    with pytest.raises(AssertionError):
        losses.squared_error_on_standardised_logits(
            student, jnp.asarray(TEACHER), jnp.zeros(1), jnp.ones(3)
        )
