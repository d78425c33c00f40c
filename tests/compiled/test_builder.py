"""Programs are built of operations in their simplest form, each one once."""

import operator

import numpy as np
import pytest
from scipy import special

from genparams.compiled.algebra.builder import Builder, nodes_in
from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.simplify import live, straight
from genparams.compiled.algebra.totals import inner
from genparams.errors import CannotRecord
from genparams.program.recorded import DATA, PARAMETERS, Recording, recordable


@pytest.fixture
def b():
    return Builder()


@pytest.fixture
def x(b):
    return b.input(DATA, (4,), float, "x")


@pytest.fixture
def y(b):
    return b.input(PARAMETERS, (4,), float, "y")


@pytest.fixture
def a(b):
    return b.input(PARAMETERS, (), float, "a")


def product_of(b, x, y):
    return b.make(inner, (x, y), (), (), float)


def test_an_operation_on_equal_arguments_is_one_node(b, x, y):
    assert b.make(np.add, (x, y)) is b.make(np.add, (y, x))
    assert b.make(np.subtract, (x, y)) is not b.make(np.subtract, (y, x))
    assert b.make(np.arctan2, (x, 0.0)) is not b.make(np.arctan2, (x, -0.0))
    assert b.make(np.maximum, (x, np.nan)) is b.make(np.maximum, (x, np.nan))


def test_an_operation_on_constants_is_a_constant(b):
    assert b.make(np.exp, (1,)) == np.exp(1.0)
    assert type(b.make(np.log, (0.0,))) is float
    assert b.make(np.sum, (np.ones((2, 3)),), (("axis", -1),)).tolist() == [3.0, 3.0]


def test_the_stage_is_the_latest_one_of_the_arguments(b, x, y):
    assert b.make(np.exp, (x,)).stage == DATA
    assert b.make(np.stack, ((x, y),)).stage == PARAMETERS


@pytest.mark.parametrize(
    ("op", "args", "options"),
    [
        (np.sum, (), (("axis", -1),)),
        (np.max, (), (("axis", (0, 2)), ("keepdims", True))),
        (np.all, (), ()),
        (np.matmul, (np.ones((4, 5)),), ()),
        (np.matmul, (np.ones(4),), ()),
        (np.reshape, ((4, -1),), ()),
        (np.transpose, ((1, 0, 2),), ()),
        (np.swapaxes, (0, 2), ()),
        (operator.getitem, ((slice(None), 1, None),), ()),
        (operator.getitem, ((np.array([0, 0, 1]),)), ()),
        (np.where, (2.0, 1), ()),
        (np.broadcast_to, ((7, 2, 3, 4),), ()),
    ],
)
def test_shapes_and_dtypes_are_the_ones_of_numpy(b, op, args, options):
    made = b.make(op, (b.input(DATA, (2, 3, 4), float, "x"), *args), options)
    expected = op(np.ones((2, 3, 4)), *args, **dict(options))
    assert (made.shape, made.dtype) == (expected.shape, expected.dtype)


def test_the_shape_of_an_unknown_function_has_to_be_given(b, x):
    def middle(values):
        return np.median(values)

    with pytest.raises(CannotRecord, match="shape of the result of middle"):
        b.make(middle, (x,))
    assert b.make(middle, (x,), (), (), float).shape == ()


def test_operations_that_change_nothing_are_left_out(b, x):
    for made in (
        b.make(np.multiply, (1.0, x)),
        b.make(np.multiply, (x, np.ones(4))),
        b.make(np.add, (x, 0)),
        b.make(np.negative, (b.make(np.negative, (x,)),)),
        b.make(np.reshape, (x, (4,))),
        b.make(np.transpose, (x,)),
        b.make(np.power, (x, 1)),
        b.make(np.where, (True, x, 2.0)),
        b.make(operator.getitem, (x, slice(None))),
        b.make(np.sum, (b.make(np.reshape, (x, (4, 1))),), (("axis", 1),)),
    ):
        assert made is x


def test_zero_times_a_number_stays_an_operation(b, x):
    assert isinstance(b.make(np.multiply, (x, 0.0)), Node)
    assert isinstance(b.make(np.subtract, (x, x)), Node)


def test_a_power_of_two_is_a_product(b, x):
    assert b.make(np.power, (x, 2)) is b.make(np.multiply, (x, x))


def test_what_only_feeds_elementwise_operations_is_not_broadcast(b, x, a):
    wide = b.make(np.broadcast_to, (a, (4,)))
    assert b.make(np.multiply, (x, wide)) is b.make(np.multiply, (x, a))
    assert b.make(np.exp, (wide,)).op is np.broadcast_to
    assert b.make(np.sum, (wide,)) is b.make(np.multiply, (a, 4.0))


def test_signs_and_single_numbers_leave_a_sum_of_products(b, x, y, a):
    product = b.make(np.multiply, (b.make(np.negative, (x,)), b.make(np.true_divide, (y, a))))
    total = b.make(np.sum, (product,))
    assert total.op is np.negative
    assert total.args[0].args == (product_of(b, x, y), a)


def test_a_residual_is_not_split(b, x, a):
    assert b.make(np.sum, (b.make(np.subtract, (x, a)),)).op is np.sum


def test_a_density_is_split_into_an_inner_product_and_a_number(b, x, a):
    square = b.make(np.multiply, (x, x))
    total = b.make(np.sum, (b.make(np.subtract, (square, a)),))
    assert total.op is np.subtract
    assert total.args[0] is product_of(b, x, x)


def test_parts_of_a_sum_that_follow_each_other_are_one(b, x, y):
    rest = b.make(operator.getitem, (x, slice(1, None)))
    first = b.make(operator.getitem, (x, 0))
    assert b.make(np.add, (b.make(np.sum, (rest,)), first)) is b.make(np.sum, (x,))
    others = b.make(operator.getitem, (y, slice(1, 4)))
    product = b.make(np.multiply, (b.make(operator.getitem, (y, -4)), first))
    assert b.make(np.add, (product, product_of(b, rest, others))) is product_of(b, x, y)
    assert b.make(np.concatenate, ((b.make(operator.getitem, (x, np.array([0]))), rest),)) is x


def test_expit_and_log_expit_of_both_signs_share_one_exponential(b, x):
    less = b.make(np.negative, (x,))
    for op in (special.expit, special.log_expit):
        b.make(op, (x,))
        b.make(op, (less,))
    assert sum(n.op is np.exp for n in b.nodes) == 1


def test_a_finite_difference_with_itself_is_a_test_of_finiteness(b, x):
    same = b.make(np.equal, (b.make(np.subtract, (x, x)), 0.0))
    assert same.op is np.isfinite


def test_what_results_do_not_read_is_left_out():
    recording = Recording(100)
    x = recording.input(np.arange(3.0), DATA, "x")
    a = recording.input(2.0, PARAMETERS, "a")
    used, _unused = x * a, np.exp(x)
    assert live(recording, [used]) == [x, a, used]
    program = straight(recording, [used, 1.0])
    assert [n.op for n in program.nodes] == [np.multiply]
    assert [len(program.data), len(program.parameters)] == [1, 1]
    assert program.results == [program.nodes[0], 1.0]


def test_tests_of_a_recording_are_tests_of_the_program():
    recording = Recording(100)
    a = recording.input(2.0, PARAMETERS, "a")
    assert a > 1.0
    program = straight(recording, [a * 2.0])
    assert [(t.asked.op, t.answer) for t in program.tests] == [(np.greater, True)]
    assert program.tests[0].asked in program.nodes


def test_an_input_as_a_keyword_is_refused_by_name():
    recording = Recording(100)
    x = recording.input(np.arange(3.0), PARAMETERS, "x")
    a = recording.input(2.0, PARAMETERS, "a")
    with pytest.raises(CannotRecord, match="keyword argument of max"):
        straight(recording, [np.max(x, initial=a)])  # type: ignore[call-overload]


def test_members_of_tuples_are_nodes():
    recording = Recording(100)
    x = recording.input(np.arange(3.0), PARAMETERS, "x")
    ends = recordable()(lambda v: (float(v[0]), v[1:]))
    first, rest = ends(x)
    program = straight(recording, [first, rest])
    assert [r.shape for r in program.results] == [(), (2,)]
    assert nodes_in(program.results[0].args) == nodes_in(program.results[1].args)
