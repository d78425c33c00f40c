"""Every world is right: at the reference its model has the log-likelihood, no slope, and the
curvature that gives the standard errors."""

import numpy as np
import pytest
from world import COMPUTED
from worlds import WORLDS

from genparams import datasets

BY_NAME = {world.name: world for world in WORLDS}
INSIDE = [world for world in WORLDS if not world.at_bound]
TABLES = [n for n in datasets.__all__ if n[0].islower() and not n.startswith("nist")]
each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
each_inside = pytest.mark.parametrize("world", INSIDE, ids=lambda world: world.name)


def coordinates(function):
    """The unconstrained coordinates of all parameters, as one vector."""
    return np.concatenate([np.ravel(p.coordinates) for p in function.params.values()])


def natural(function, theta):
    """The natural values by name at a vector of coordinates."""
    found, left = {}, theta
    for name, p in function.params.items():
        size = np.size(p.coordinates)
        found[name] = p.constraint.natural(left[:size].reshape(np.shape(p.coordinates)))
        left = left[size:]
    return found


def flat(values):
    return np.concatenate([np.ravel(v) for v in values.values()])


def gradient(world, values):
    """The gradient of the log-likelihood by the coordinates."""
    function = world.at(values)
    trace, _ = function.generate(world.args, world.constraints)
    (found,) = trace.param_gradients().values()
    return flat({name: found[name] for name in values})


def slopes(f, at, steps):
    """A row of central differences to fourth order for each entry."""
    rows = []
    for h in np.diag(steps):
        near, far = f(at + h) - f(at - h), f(at + 2.0 * h) - f(at - 2.0 * h)
        rows.append((8.0 * near - far) / (12.0 * h.sum()))
    return np.array(rows)


def test_the_names_of_worlds_differ():
    assert len(BY_NAME) == len(WORLDS)


@pytest.mark.parametrize("table", TABLES)
def test_every_fit_of_a_table_is_a_world(table):
    for name, fit in getattr(datasets, table)().fits.items():
        world = BY_NAME[f"{table}.{name}"]
        assert world.estimates == fit.estimates
        assert world.log_likelihood == fit.log_likelihood


def test_every_set_of_nist_is_a_world_from_both_starts():
    for name in datasets.nist_names():
        data, world = datasets.nist(name), BY_NAME[f"nist.{name}"]
        assert all(
            np.array_equal(start["b"], b)
            for start, b in zip(world.starts, data.starts, strict=True)
        )
        assert world.estimates["b"] == pytest.approx(data.certified, rel=1e-9)
        variance = data.sum_of_squares / len(data.y)
        assert world.estimates["sigma"] ** 2 == pytest.approx(variance, rel=1e-9)


def test_every_computed_reference_is_used():
    assert COMPUTED.keys() <= BY_NAME.keys()


@each_inside
def test_the_model_has_the_log_likelihood_of_the_reference(world):
    trace, weight = world.at(world.estimates).generate(world.args, world.constraints)
    assert trace.log_prob == pytest.approx(world.log_likelihood, abs=1e-7)
    assert weight == pytest.approx(trace.log_prob, abs=1e-9)


@each_inside
def test_the_gradient_is_0_and_the_curvature_gives_the_standard_errors(world):
    function = world.at(world.estimates)
    theta = coordinates(function)
    errors = flat({name: error for name, (_, error) in world.reference.items()})
    g = gradient(world, natural(function, theta))

    to_natural = slopes(lambda at: flat(natural(function, at)), theta, np.full(len(theta), 1e-4))
    steps = 3e-4 / (np.abs(to_natural) / errors).max(axis=1)
    H = slopes(lambda at: gradient(world, natural(function, at)), theta, steps)
    cov = np.linalg.inv(-(H + H.T) / 2.0)
    found = np.sqrt(np.diag(to_natural.T @ cov @ to_natural))
    assert found == pytest.approx(errors, rel=1e-5)
    assert g @ cov @ g < 1e-8  # a Newton step is less than 1e-4 standard errors


def test_eight_schools_rise_to_the_bound():
    world = BY_NAME["eight_schools.marginal"]
    (mu, _), (tau, error) = world.reference["mu"], world.reference["tau"]
    assert (tau, error) == (0.0, None)
    found = []
    for tau in (3.0, 1.0, 0.1, 1e-5):
        trace, _ = world.at({"mu": mu, "tau": tau}).generate(world.args, world.constraints)
        found.append(trace.log_prob)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(world.log_likelihood, abs=1e-7)


@each_world
def test_every_start_is_legal_and_poor(world):
    assert world.starts
    for i in range(len(world.starts)):
        function, args, constraints = world.make(i)
        trace, _ = function.generate(args, constraints)
        assert trace.log_prob < world.log_likelihood - 0.05
        assert function.params.keys() == world.reference.keys()
        (gradients,) = trace.param_gradients().values()
        assert all(np.all(np.isfinite(g)) for g in gradients.values())


def test_a_world_makes_new_parameters_each_time():
    world = BY_NAME["mtcars.line"]
    first, second = world.make()[0], world.make()[0]
    first.params["slope"].set(7.0)
    assert second.params["slope"].value == 0.0
    assert world.make(1)[0].params["sigma"].value == 100.0
