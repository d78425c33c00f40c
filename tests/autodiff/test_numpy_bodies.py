"""Bodies of models that change arrays, share them, copy them, or run threads.

Each body is run by numpy and on traced values: the gradient is the difference of what numpy
computes, or the body is refused. `WORKS` names the bodies that have to work.
"""

import contextlib
import copy
import itertools
import math
import pickle
import random
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any

import numpy as np
import pytest
from numpy_law import PLAIN, Form, verdict
from scipy import special

from genparams.autodiff import gradient
from genparams.errors import TracedValueError

X = np.array([[0.4, -1.1, 0.7], [1.3, 0.2, -0.6]])
BODIES: dict[str, tuple[Any, str]] = {}


def body(arguments: str) -> Any:
    """Registers a body under its name, with the traced values that it takes."""

    def register(function: Any) -> Any:
        BODIES[function.__name__] = function, arguments
        return function

    return register


# --- A change in place of an array that nothing else names


@body("V, S")
def an_offset_added_to_a_fresh_array(w, b):
    mu = X @ w
    mu += b
    return mu


@body("V, S")
def every_operator_in_place_on_fresh_arrays(w, b):
    y = X @ w
    y *= b
    y -= 0.3
    y /= 1.7
    y **= 2
    return y


@body("V, S")
def numbers_changed_in_place(w, b):
    total = 0.0
    for x in w:
        total += x * b
    total *= b
    total -= w[0]
    return total


@body("V, M")
def a_sum_of_arrays_in_a_loop(w, m):
    total = np.zeros(3)
    for row in m:
        total = total + row * w
    return total


@body("V, M")
def a_sum_in_place_that_starts_from_zeros(w, m):
    total = np.zeros(3)
    for row in m:
        total += row * w
    return total


@body("V, S")
def a_power_in_place_of_a_number(w, b):
    z = b
    z **= 2
    return z + b + w


@body("V")
def a_product_in_place_is_by_a_matrix(w):
    y = np.diag(w)
    y @= np.ones((3, 3))
    return y


# --- A change in place that another name sees


@body("V")
def another_name_of_a_changed_array(w):
    y = w * 2.0
    z = y
    z += 1.0
    return y * y


@body("V")
def another_name_of_a_scaled_array(w):
    y = w * 2.0
    z = y
    z *= w
    return y.sum() + z.sum()


@body("V")
def an_argument_changed_by_a_helper(w):
    def centre(x):
        x -= x.mean()
        return x

    y = w * 1.0
    centre(y)
    return y * np.array([1.0, 2.0, 3.0])


@body("V")
def a_view_scaled_in_place(w):
    y = w * 1.0
    r = y[1:]
    r *= 2.0
    return y * y


@body("V")
def a_changed_slice(w):
    y = w * 1.0
    y[1:] *= 2.0
    return y * y


@body("V")
def a_changed_entry(w):
    y = w * 1.0
    y[0] += 3.0
    return y * y


@body("V")
def a_mask_assigned(w):
    y = w * 1.0
    y[y < 0.0] = 0.0
    return y * y


@body("V")
def a_whole_array_assigned(w):
    y = w * 1.0
    y[:] = w * w
    return y + w


@body("V")
def an_assigned_entry_of_a_plain_array(w):
    y = np.zeros(3)
    y[1] = w[1] * 2.0
    return y + w


@body("V")
def an_array_filled_in_a_loop(w):
    y = np.empty(3)
    for i in range(3):
        y[i] = np.exp(w[i])
    return y


@body("M")
def rows_normalised_in_place(m):
    table = np.exp(m)
    for row in table:
        row /= row.sum()
    return table * m


@body("M")
def rows_of_an_iterator_changed(m):
    table = m * 1.0
    for row, k in zip(table, (2.0, 3.0), strict=True):
        row *= k
    return table * table


@body("M")
def a_reshaped_view_changed(m):
    table = m * 1.0
    flat = table.reshape(-1)
    flat += 1.0
    return table * table


@body("M")
def a_transposed_view_changed(m):
    table = m * 1.0
    flipped = table.T
    flipped *= 2.0
    return table * table


@body("M")
def a_ravelled_view_changed(m):
    table = m * 1.0
    flat = table.ravel()
    flat *= 3.0
    return table * table


@body("M")
def a_diagonal_filled(m):
    table = m[:, :2] * 1.0
    np.fill_diagonal(table, 0.5)
    return table * table


@body("V")
def an_array_in_a_list_changed(w):
    kept = [w * 1.0]
    kept[0] += 1.0
    return kept[0] * w


@body("V")
def an_array_in_two_lists_changed(w):
    y = w * 1.0
    kept = [y, y]
    kept[0] += 1.0
    return kept[1] * w


@body("V")
def an_attribute_changed(w):
    class Holder:
        pass

    holder = Holder()
    holder.y = w * 2.0  # pyright: ignore
    before = holder.y  # pyright: ignore
    holder.y *= 2.0  # pyright: ignore
    return before * w


@body("V")
def a_name_kept_by_a_closure(w):
    y = w * 1.0

    def later():
        return y * y

    z = y
    z += 1.0
    return later()


@body("V")
def the_argument_changed(w):
    w += 1.0
    return w * w


@body("V")
def the_argument_changed_after_its_use(w):
    y = w * w
    w *= 3.0
    return y + w


@body("V")
def a_result_after_its_operand_changed(w):
    y = w * 1.0
    r = np.exp(y)
    y += 1.0
    return r * y


@body("V")
def a_function_that_returns_its_operand_unchanged(w):
    y = w * 1.0
    z = +y
    z += 1.0
    return y * z


@body("V")
def a_copy_changed(w):
    y = w * 1.0
    z = y.copy()
    z += 1.0
    return y * z


@body("V")
def a_copy_by_numpy_changed(w):
    y = w * 1.0
    z = np.copy(y)
    z *= 2.0
    return y * z


@body("V")
def an_array_by_asarray_changed(w):
    y = w * 1.0
    z = np.asarray(y)
    z += 1.0
    return y * y


@body("V")
def an_array_by_array_changed(w):
    y = w * 1.0
    z = np.array(y)
    z += 1.0
    return y * z


@body("V")
def a_copy_by_astype_changed(w):
    y = w * 1.0
    z = y.astype(float)
    z += 1.0
    return y * z


@body("V")
def an_astype_without_copy_changed(w):
    y = w * 1.0
    z = y.astype(float, copy=False)
    z += 1.0
    return y * z


@body("V")
def a_flattened_copy_changed(w):
    y = w * 1.0
    z = y.flatten()
    z += 1.0
    return y * z


@body("V")
def a_deep_copy_changed(w):
    y = w * 1.0
    z = copy.deepcopy(y)
    z += 1.0
    return y * z


@body("V")
def a_shallow_copy_changed(w):
    y = w * 1.0
    z = copy.copy(y)
    z += 1.0
    return y * z


@body("V")
def atleast_1d_changed(w):
    y = w * 1.0
    z = np.atleast_1d(y)
    z += 1.0
    return y * y


@body("V")
def a_squeezed_view_changed(w):
    y = (w * 1.0)[None, :]
    z = np.squeeze(y)
    z += 1.0
    return y * y


@body("M")
def a_swapped_view_changed(m):
    y = m * 1.0
    z = np.swapaxes(y, 0, 1)
    z += 1.0
    return y * y


@body("V")
def a_real_part_changed(w):
    y = w * 1.0
    z = y.real
    z += 1.0
    return y * y


@body("V")
def a_part_of_a_split_changed(w):
    y = w * 1.0
    first = np.split(y, 3)[0]
    first += 1.0
    return y * y


@body("V")
def a_broadcast_view_and_a_change(w):
    y = w * 1.0
    wide = np.broadcast_to(y, (2, 3))
    y += 1.0
    return wide * wide


@body("V")
def a_sum_after_a_view_was_taken(w):
    y = w * 1.0
    r = y[1:]
    y *= 2.0
    return r * r


# --- Methods and functions that change arrays


@body("V")
def a_sort_in_place(w):
    y = w * 1.0
    y.sort()
    return y * np.array([1.0, 2.0, 3.0])


@body("V")
def a_partition_in_place(w):
    y = w * 1.0
    y.partition(1)
    return y * np.array([1.0, 2.0, 3.0])


@body("V")
def a_fill(w):
    y = w * 1.0
    y.fill(w[0])
    return y + w


@body("V")
def a_put(w):
    y = w * 1.0
    np.put(y, [0], 2.0)
    return y * w


@body("V")
def a_put_method(w):
    y = w * 1.0
    y.put([0], 2.0)
    return y * w


@body("V")
def a_copyto(w):
    y = np.zeros(3)
    np.copyto(y, w)
    return y + w


@body("V")
def a_copyto_over_a_traced_array(w):
    y = w * 1.0
    np.copyto(y, 0.5)
    return y * w


@body("V")
def a_putmask(w):
    y = w * 1.0
    np.putmask(y, y > 0.0, 0.0)
    return y + w


@body("V")
def a_place(w):
    y = w * 1.0
    np.place(y, y > 0.0, [0.25])
    return y + w


@body("V")
def an_addition_at_places(w):
    y = w * 1.0
    np.add.at(y, [0, 0], 1.5)
    return y * w


@body("V")
def an_addition_at_places_of_a_plain_array(w):
    y = np.zeros(3)
    np.add.at(y, [0, 0, 1], w)
    return y + w


@body("V")
def a_resize_in_place(w):
    y = w * 1.0
    y.resize((4,), refcheck=False)
    return y.sum() * w


@body("M")
def a_shape_assigned(m):
    y = m * 1.0
    y.shape = (3, 2)
    return y * np.arange(6.0).reshape(3, 2)


@body("V")
def a_flat_assigned(w):
    y = w * 1.0
    y.flat[0] = 2.0
    return y * w


@body("V")
def an_itemset_by_put_along_axis(w):
    y = w * 1.0
    np.put_along_axis(y, np.array([1]), 3.0, axis=0)
    return y * w


@body("V")
def a_shuffle(w):
    y = w * 1.0
    np.random.default_rng(0).shuffle(y)
    return y * np.array([1.0, 2.0, 3.0])


@body("V")
def a_permutation(w):
    return np.random.default_rng(0).permutation(w) * np.array([1.0, 2.0, 3.0])


@body("V")
def a_random_shuffle_of_a_list(w):
    y = list(w)
    random.Random(0).shuffle(y)
    return y[0] * 2.0 + y[1] * 3.0


@body("V")
def a_list_sorted_in_place(w):
    y = list(w)
    y.sort()
    return y[0] * 2.0 + y[1] * 3.0


@body("V")
def a_list_changed(w):
    y = [t * 1.0 for t in w]
    y[0] = y[1] * 2.0
    y.append(w[2])
    y[2] += 1.0
    return np.array(y)


# --- Buffers


@body("V")
def a_cumulative_sum_into_a_buffer(w):
    buffer = np.zeros(3)
    np.cumsum(w, out=buffer)
    return buffer * w


@body("V")
def a_sum_into_a_buffer(w):
    buffer = np.zeros(())
    np.sum(w, out=buffer)
    return buffer * w


@body("V")
def a_clip_into_a_buffer(w):
    buffer = np.zeros(3)
    np.clip(w, -0.5, 0.5, out=buffer)
    return buffer + w


@body("V")
def a_clip_into_itself(w):
    y = w * 1.0
    np.clip(y, -0.5, 0.5, out=y)
    return y + w


@body("V")
def an_exponential_into_a_buffer(w):
    buffer = np.zeros(3)
    np.exp(w, out=buffer)
    return buffer + w


@body("V")
def an_exponential_into_itself(w):
    y = w * 1.0
    np.exp(y, out=y)
    return y + w


@body("V")
def an_einsum_into_a_buffer(w):
    buffer = np.zeros(())
    np.einsum("i,i->", w, w, out=buffer)
    return buffer + w


@body("V")
def a_method_into_a_buffer(w):
    buffer = np.zeros(())
    w.max(out=buffer)
    w.std(out=buffer)
    return buffer + w


@body("V")
def a_dot_into_a_buffer(w):
    buffer = np.zeros(2)
    np.dot(X, w, out=buffer)
    return buffer * w[0]


@body("V")
def a_take_into_a_buffer(w):
    buffer = np.zeros(2)
    np.take(w, [0, 1], out=buffer, mode="clip")
    return buffer * w[0]


@body("V")
def a_stack_into_a_buffer(w):
    buffer = np.zeros((2, 3))
    np.stack([w, w], out=buffer)
    return buffer * w


# --- Values that leave the tape


@body("V")
def full_of_an_entry(w):
    return np.full_like(w, w[0]) * w


@body("V")
def full_of_a_number(w):
    return np.full(3, w[0]) * w


@body("V, S")
def an_array_of_numbers(w, s):
    return np.array([s, 1.0, w[0]]) @ w


@body("V, S")
def an_array_of_rows(w, s):
    return np.array([[s, 0.5, w[0]], w]) @ w


@body("V, S")
def an_array_with_a_dtype(w, s):
    return np.array([s, 1.0, w[0]], dtype=float) @ w


@body("V")
def an_array_from_an_iterator(w):
    return np.fromiter((t * t for t in w), float, 3) * w


@body("V")
def a_function_of_math(w):
    return math.exp(w[0]) * w


@body("V")
def a_sum_by_math(w):
    return math.fsum(w) * w


@body("V")
def a_number_by_float(w):
    return float(w[0]) * w


@body("V")
def an_item(w):
    return w.item(0) * w


@body("V")
def items(w):
    a, b, c = w.tolist()
    return a * b * c * w


@body("V")
def a_rounded_number(w):
    return np.round(w[0], 2) + w


@body("V")
def bytes_and_back(w):
    return np.frombuffer(w.tobytes()) * w


@body("V")
def a_pickle_and_back(w):
    return pickle.loads(pickle.dumps(w)) * w


@body("V")
def a_memory_view(w):
    return np.asarray(memoryview(w)) * w


@body("V")
def complex_numbers(w):
    return np.abs(np.exp(1j * w) + w) ** 2


@body("V")
def a_spectrum(w):
    return np.abs(np.fft.fft(w)) ** 2


@body("V")
def a_real_spectrum(w):
    return np.real(np.fft.rfft(w))


@body("V")
def a_complex_array_of_numbers(w):
    return np.abs(w.astype(complex) * (1.0 + 2.0j))


@body("V")
def a_complex_number(w):
    return abs(complex(w[0], w[1])) + w


@body("V")
def a_root_of_a_negative_number(w):
    return np.abs(np.emath.sqrt(w))


@body("V")
def a_masked_array(w):
    return np.ma.masked_array(w, mask=[False, True, False]).sum() + w


@body("V")
def a_matrix(w):
    return np.asarray(np.asmatrix(w) * 2.0).ravel() * w


@body("V")
def a_vectorised_function(w):
    return np.vectorize(lambda t: t * t)(w) * w


@body("V")
def a_structured_view(w):
    return w.view(np.ndarray) * w


@body("V")
def an_integer_view(w):
    return w.view(np.int64).astype(float) * 0.0 + w


@body("V")
def an_integer_of_a_value(w):
    return int(w[0]) + w


@body("V")
def a_comparison_that_branches(w):
    return w * w if w[0] > 0.0 else -w


@body("V")
def a_truth_of_an_array_of_one(w):
    return w * 2.0 if w[:1] else w


@body("V")
def a_membership(w):
    return w * 2.0 if 0.25 in w else w


@body("V")
def a_maximum_by_python(w):
    return max(w) * w + min(w)


@body("V")
def a_product_by_reduce(w):
    return reduce(lambda a, b: a * b, w) + w


@body("V")
def an_accumulation(w):
    return list(itertools.accumulate(w))[-1] * w


@body("V")
def a_queue(w):
    return sum(deque(w, maxlen=2)) * w


@body("V")
def a_dictionary(w):
    table = dict(enumerate(w))
    return table[0] * w + table[2]


@body("V")
def an_unpacked_vector(w):
    a, *rest = w
    return a * rest[0] * w


@body("V")
def a_special_function_of_a_list(w):
    return special.expit([w[0], 0.3]) * w[0]


# --- Threads


@contextlib.contextmanager
def hurried_threads():
    """Threads take turns after every few instructions, so that a race is lost nearly always."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(25) as pool:
            yield pool
    finally:
        sys.setswitchinterval(usual)


@body("V")
def threads_that_each_compute(w):
    def work(k):
        y = w * float(k + 1)
        for _ in range(20):
            y = np.sin(y) + w * 0.1
        return np.sum(y)

    with hurried_threads() as pool:
        return sum(pool.map(work, range(25)))


@body("V")
def threads_of_numbers(w):
    def work(k):
        t = w[k % 3]
        for i in range(50):
            t = t * 0.9 + w[i % 3] * 0.01 * (k + 1)
        return t

    with hurried_threads() as pool:
        return sum(pool.map(work, range(25)))


WORKS = {
    "an_offset_added_to_a_fresh_array",
    "every_operator_in_place_on_fresh_arrays",
    "numbers_changed_in_place",
    "a_sum_of_arrays_in_a_loop",
    "a_power_in_place_of_a_number",
    "a_copy_changed",
    "a_list_changed",
    "an_array_of_numbers",
    "an_item",
    "items",
    "a_comparison_that_branches",
    "a_maximum_by_python",
    "a_product_by_reduce",
    "an_unpacked_vector",
    "threads_that_each_compute",
    "threads_of_numbers",
    "full_of_a_number",
}

PLAIN.update({name: function for name, (function, _) in BODIES.items()})


def said(name: str) -> str:
    return verdict(Form("body", f"{name}({BODIES[name][1]})"))


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_is_right_or_refused(name):
    assert said(name) in {"works", "flat", "refused", "refused by numpy"}


@pytest.mark.parametrize("name", sorted(WORKS))
def test_what_bodies_are_written_with_works(name):
    assert said(name) == "works"


def test_a_refusal_names_the_line_and_the_replacement():
    from genparams.autodiff import gradient

    def total(x):
        y = x * 1.0
        y[0] = 2.0  # the line
        return np.sum(y)

    with pytest.raises(TracedValueError, match=r"np\.where.*y\[0\] = 2\.0"):
        gradient(total, X[0])


# --- Where one derivative is infinite or missing and another one counts


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: np.sum(np.sqrt(np.where(x > 0.0, x, 0.0))), [1.0, -1.0], [0.5, 0.0]),
        (lambda x: special.logsumexp(x, b=[0.0, 1.0]), [1000.0, 1.0], [0.0, 1.0]),
        (lambda x: np.sum(np.fmax(x, np.nan)), [2.0, -3.0], [1.0, 1.0]),
        (lambda x: np.sum(np.fmin(np.nan, x)), [2.0, -3.0], [1.0, 1.0]),
        (lambda x: np.sum(np.fmax(x, 0.0)), [2.0, -3.0], [1.0, 0.0]),
        (lambda x: np.nanstd(np.stack([x[0], np.nan])), [2.0], [0.0]),
    ],
)
def test_a_derivative_that_is_not_finite_does_not_spoil_the_others(f, x, expected):
    with np.errstate(all="ignore"):
        assert gradient(f, np.array(x)).tolist() == expected
