"""A dask cluster: the same bits on its workers, also when one of them dies."""

import logging
import os

import numpy as np
import parallel_models as models
import pytest

from genparams import gen, init_param, normal, param, positive, set_param, zero_param_grad
from genparams.dsl.gradients import accumulate_param_gradients
from genparams.dsl.parallel.placed import place
from genparams.errors import ArgumentError, ImpossibleTrace, NotPicklable, WorkersLost

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def long_lines():
    """Traces that are large enough to go to a worker beside the scheduler."""
    init_param(models.line, "slope", 0.5)
    init_param(models.line, "intercept", 0.0)
    init_param(models.line, "noise", 1.0, positive)
    table = np.random.default_rng(0).normal(size=(3000, 11))
    traces = [models.line.simulate((table[:, i],), i) for i in range(11)]
    set_param(models.line, "slope", -1.0)
    return traces


def gradients():
    found = {name: np.array(p.grad) for name, p in models.line.params.items()}
    for name in found:
        zero_param_grad(models.line, name)
    return found


def test_a_cluster_adds_the_same_to_the_bit(client):
    traces = long_lines()
    expected = accumulate_param_gradients(traces, 0.3), gradients()
    placed = place(traces, client)
    for given in (traces, placed, placed, placed.chosen(range(11))):
        executor = client if given is traces else None
        found = accumulate_param_gradients(given, 0.3, executor), gradients()
        assert repr(found) == repr(expected)


def test_many_parameters_go_beside_the_scheduler(client):
    rng = np.random.default_rng(0)
    init_param(models.row, "weights", rng.normal(size=10_000))
    init_param(models.row, "std", 1.0, positive)
    xs = rng.normal(size=(3, 10_000))
    traces = [models.row.generate((x,), {"hidden": 0.0, "y": 1.0})[0] for x in xs]
    accumulate_param_gradients(traces)
    expected = models.row.params["weights"].grad
    zero_param_grad(models.row, "weights")
    accumulate_param_gradients(traces, executor=client)
    np.testing.assert_array_equal(models.row.params["weights"].grad, expected)
    models.row.params.discard("weights")


def test_functions_of_no_module_are_sent_whole(client):
    @gen
    def inner(x):
        return normal(param("a", 2.0) * x, 1.0) @ "y"

    @gen
    def outer(x):
        return normal((inner(x) @ "inner") * param("b", 1.0), 1.0) @ "z"

    traces = [outer.simulate((1.0,), i) for i in range(3)]
    set_param(inner, "a", 5.0)
    accumulate_param_gradients(traces)
    expected = inner.params["a"].grad, outer.params["b"].grad
    zero_param_grad(inner, "a")
    zero_param_grad(outer, "b")
    accumulate_param_gradients(traces, executor=client)
    assert (inner.params["a"].grad, outer.params["b"].grad) == expected


def test_errors_are_the_same_and_nothing_is_added(client):
    trace = models.line.generate((np.ones(2),), {"ys": [np.inf, 0.0]})[0]
    with pytest.raises(ImpossibleTrace, match="'ys' of line"):
        accumulate_param_gradients([trace], executor=client)
    with pytest.raises(NotPicklable, match="the argument thing of trace 0"):
        accumulate_param_gradients(
            [models.holding.simulate((models.Unsendable(lock=models.lock),), 0)], executor=client
        )
    assert not models.line.params["slope"].accumulated


def test_an_asynchronous_client_is_refused():
    class Asynchronous:
        __module__ = "distributed.client"
        asynchronous = True
        submit = scatter = None

    with pytest.raises(ArgumentError, match="method submit"):
        place([], Asynchronous())


def test_traces_that_kill_every_worker_are_named(client, monkeypatch):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    init_param(models.dying, "a", 1.0)
    traces = [models.dying.simulate((x, os.getpid()), 0) for x in (1.0, 3.0)]
    with pytest.raises(WorkersLost, match=r"traces 1 to 1 was given up, .*workers: 1"):
        accumulate_param_gradients(traces, executor=client)
    assert not models.dying.params["a"].accumulated


def test_the_work_of_a_worker_that_dies_in_the_middle_is_done_again(client, tmp_path):
    file = tmp_path / "marks"
    file.write_text(str(os.getpid()))
    init_param(models.dying_once, "a", 1.0)
    traces = [models.dying_once.simulate((float(i), str(file)), i) for i in range(4)]
    accumulate_param_gradients(traces)
    expected = models.dying_once.params["a"].grad
    zero_param_grad(models.dying_once, "a")
    accumulate_param_gradients(traces, executor=client)
    assert file.read_text().split()[1] == "died"
    assert models.dying_once.params["a"].grad == expected
    zero_param_grad(models.dying_once, "a")
