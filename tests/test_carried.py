"""Carried parameters: in one thread, a store has the parameters of another process or moment."""

from threading import Thread

import pytest

from genparams import ParamStore, gen, normal, param, positive
from genparams.errors import UninitializedParameter
from genparams.params import carried, loose, record_of


@gen
def model():
    return normal(param("mu"), 1.0) @ "x"


@gen
def declaring():
    return normal(param("mu", 2.0), 1.0) @ "x"


def copies(store, **values):
    """Parameters as another process might send them, with other values."""
    other = ParamStore()
    for name, value in values.items():
        other.init(name, value, positive)
    return [loose(record_of(p), store) for p in other.values()]


def test_a_run_reads_the_carried_parameters_and_the_own_ones_stay():
    model.params.init("mu", -1.0)
    elsewhere = []
    with carried({model.params: copies(model.params, mu=5.0)}):
        trace = model.generate((), {"x": 5.0})[0]
        trace.accumulate_param_gradients()
        assert model.params["mu"].constraint == positive
        thread = Thread(target=lambda: elsewhere.append(model.params["mu"].value))
        thread.start()
        thread.join()
    assert trace.parameters == {(model, "mu"): 5.0}
    assert elsewhere == [-1.0]
    assert model.params["mu"].value == -1.0
    assert not model.params["mu"].accumulated
    assert trace.is_stale


def test_a_store_that_is_not_carried_has_no_parameters():
    model.params.init("mu", -1.0)
    with carried({}), pytest.raises(UninitializedParameter, match="'mu' of model"):
        model.simulate()
    assert "mu" in model.params


def test_what_is_declared_meanwhile_is_seen_and_not_kept():
    with carried({}) as layer:
        declaring.simulate()
        assert [*layer[declaring.params]] == ["mu"]
    assert len(declaring.params) == 0


def test_an_error_ends_it_too():
    model.params.init("mu", -1.0)
    with pytest.raises(ZeroDivisionError), carried({model.params: copies(model.params, mu=5.0)}):
        raise ZeroDivisionError
    assert model.params["mu"].value == -1.0
