"""The forms of call that the law of numpy tries, made by walking numpy and scipy.special.

Every public function is found in its module; lines that call it are made from its name and its
signature, and numpy itself says which of them are calls (the others are dropped). Functions that
need particular arguments have lines of their own in `SPECIAL`, and so have idioms in `IDIOMS`.
`numpy_law` tells how a line is read.
"""

import ast
import inspect
import itertools
import math
import operator
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy_law import Form, accepts, finite, plain
from scipy import special

MODULES = {
    "np": np,
    "np.linalg": np.linalg,
    "np.fft": np.fft,
    "np.emath": np.emath,
    "special": special,
    "math": math,
}
FULL_NAMES = {"np": "numpy", "special": "scipy.special", "math": "math"}

# They read or write files, or change or report numpy's own settings.
NOT_CALLS = {
    *("save", "savez", "savez_compressed", "savetxt", "load", "loadtxt"),
    *("fromfile", "genfromtxt", "fromregex", "show_config", "show_runtime", "test", "info"),
    *("seterr", "geterr", "seterrcall", "geterrcall", "setbufsize", "getbufsize"),
    *("set_printoptions", "get_printoptions", "printoptions"),
    *("get_include", "add_docstring", "add_newdoc"),
    *("empty", "empty_like"),  # their numbers are not set
    "bmat",  # it knows its arguments by their type
    "isscalar",  # it asks for Python's type, and a traced number has its own
    "can_cast",  # of types
    "from_dlpack",  # it asks for the memory of an array
}


def listed(text: str) -> list[str]:
    """The parts of a text, with "; " between them."""
    return text.split("; ")


def full_name(name: str) -> str:
    head, _, tail = name.partition(".")
    return f"{FULL_NAMES.get(head, head)}.{tail}"


@cache
def functions() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Each public function by the name under which the forms call it, with its other names."""
    names: dict[int, list[str]] = {}
    found: dict[int, Any] = {}
    for prefix, module in MODULES.items():
        for name in dir(module):
            function = getattr(module, name)
            if name.startswith("_") or not callable(function) or isinstance(function, type):
                continue
            if name not in NOT_CALLS:
                found[id(function)] = function
                names.setdefault(id(function), []).append(f"{prefix}.{name}")
    return {_best(names[key], found[key]): (found[key], tuple(names[key])) for key in found}


def _best(names: list[str], function: Any) -> str:
    own = getattr(function, "__name__", "")
    return next((n for n in names if n.rpartition(".")[2] == own), names[0])


# --- Ufuncs


def takes_floats(ufunc: np.ufunc) -> bool:
    return any(set("dfg") & set(types.split("->")[0]) for types in ufunc.types)


UNARY = [
    "{f}(S{r})",
    "{f}(V{r})",
    "{f}(M{r})",
    "{f}(C{r})",
    "{f}(V{r}[1:])",
    "{f}(M{r}.T)",
    "{f}([V{r}[0], V{r}[2]])",
    "{f}([V{r}[0], {low}[1]])",
    "{f}([V{r}, W{r}])",
    "{f}(np.array([V{r}[0], V{r}[2]]))",
    "{f}(np.array([V{r}[0], {low}[1]]))",
]
UNARY_OPTIONS = {
    "empty": ["{f}(E)"],
    "where": ["{f}(V{r}, where=mask3)", "{f}(V{r}, where=mask3, out=b3)"],
    "out": ["{f}(V{r}, out=b3)", "{f}(V{r}, b3)", "{f}(V{r}, out=(b3,))", "{f}({low}, out=V{r})"],
    "dtype": ["{f}(V{r}, dtype=np.float32)", "{f}(V{r}, dtype=float)", "{f}(V{r}, dtype=complex)"],
    "order": ["{f}(M{r}, order='F')"],
    "casting": ["{f}(V{r}, casting='unsafe')"],
    "subok": ["{f}(V{r}, subok=False)"],
    "at": ["{f}.at(V{r}, [0, 2])"],
}
BINARY = [
    "{f}(S{a}, Y{b})",
    "{f}(V{a}, W{b})",
    "{f}(M{a}, V{b})",
    "{f}(V{a}, M{b})",
    "{f}(S{a}, V{b})",
    "{f}(V{a}, S{b})",
    "{f}(V{a}[:, None], W{b})",
    "{f}([V{a}[0], V{a}[1], V{a}[2]], W{b})",
    "{f}([V{a}[0], v{a}[1], V{a}[2]], W{b})",
    "{f}(V{a}, [W{b}[0], w{b}[1], W{b}[2]])",
    "{f}(np.array([V{a}[0], v{a}[1], V{a}[2]]), W{b})",
    "{f}(V{a}, np.array([W{b}[0], w{b}[1], W{b}[2]]))",
    "{f}([V{a}, W{a}], W{b})",
    "{f}(V{a}, 2)",
    "{f}(V{a}, 1.4)",
    "{f}(2, V{b})",
    "{f}(V{a}, [1, 2, 3])",
]
BINARY_OPTIONS = {
    "empty": ["{f}(E, E)", "{f}(E, S{b})"],
    "where": ["{f}(V{a}, W{b}, where=mask3)"],
    "out": ["{f}(V{a}, W{b}, out=b3)", "{f}(V{a}, w{b}, b3)", "{f}(v{a}, w{b}, out=V{a})"],
    "dtype": ["{f}(V{a}, W{b}, dtype=np.float32)", "{f}(V{a}, W{b}, dtype=float)"],
    "order": ["{f}(M{a}, J{b}, order='F')"],
    "casting": ["{f}(V{a}, W{b}, casting='unsafe')"],
}
UFUNC_METHODS = {
    "reduce": [
        "{f}.reduce(V{a})",
        "{f}.reduce(M{a})",
        "{f}.reduce(M{a}, axis=1)",
        "{f}.reduce(M{a}, axis=-1, keepdims=True)",
        "{f}.reduce(M{a}, axis=None)",
        "{f}.reduce(M{a}, axis=(0, 1))",
        "{f}.reduce(C{a}, (0, 2))",
        "{f}.reduce([V{a}[0], V{a}[1], 1.3])",
        "{f}.reduce([V{a}, W{a}])",
        "{f}.reduce(np.array([V{a}[0], 1.3, V{a}[2]]))",
    ],
    "accumulate": [
        "{f}.accumulate(V{a})",
        "{f}.accumulate(M{a}, axis=1)",
        "{f}.accumulate([V{a}[0], 1.3, V{a}[2]])",
    ],
    "reduceat": ["{f}.reduceat(V{a}, [0, 2])", "{f}.reduceat(M{a}, [0, 1], axis=1)"],
    "outer": [
        "{f}.outer(V{a}, W{b})",
        "{f}.outer(M{a}, W{b})",
        "{f}.outer(S{a}, W{b})",
        "{f}.outer([V{a}[0], 1.3], W{b})",
    ],
    "at": [
        "{f}.at(V{a}, [0, 2], 1.3)",
        "{f}.at(V{a}, [0, 0], W{b}[:2])",
        "{f}.at(b3, [0, 2], S{b})",
    ],
}
REDUCE_OPTIONS = {
    "initial": ["{f}.reduce(M{a}, initial=0.37)", "{f}.reduce(V{a}, initial=S{b})"],
    "where": ["{f}.reduce(M{a}, axis=1, where=mask23, initial=1.1)"],
    "out": ["{f}.reduce(M{a}, out=b3)"],
    "dtype": ["{f}.reduce(M{a}, dtype=np.float32)"],
}


def ufunc_forms(name: str, ufunc: np.ufunc) -> Iterator[Form]:
    if not takes_floats(ufunc):
        return
    if ufunc.signature is not None:
        yield from plain_forms(name, ufunc)
    elif ufunc.nin == 1:
        yield from _unary_forms(name, ufunc)
    elif ufunc.nin == 2:
        yield from _binary_forms(name, ufunc)
    else:
        yield from _many_forms(name, ufunc.nin)


def _safe(name: str, options: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """The options that may be tried: with `where` some ufuncs of scipy write outside their memory,
    and so do those of complex or of several results with any option.
    """
    for option, lines in options.items():
        if not name.startswith("special."):
            yield option, lines
        elif option != "where":
            yield option, lines[:1]  # numpy's own ufuncs say what options do


def _unary_forms(name: str, ufunc: np.ufunc) -> Iterator[Form]:
    ranges = [r for r in ("u", "p", "") if finite(Form(name, f"{name}(v{r})"))]
    for r in ranges[1:]:
        yield from _made(name, UNARY[:3], r=r, low=f"v{r}")
    for r in ranges[:1]:
        yield from _made(name, UNARY, r=r, low=f"v{r}")
        for option, lines in _safe(name, UNARY_OPTIONS) if ufunc.nout == 1 else ():
            yield from _made(name, lines, option, r=r, low=f"v{r}")


INTEGER_FIRST = ["{f}(2, S{b})", "{f}(2, V{b})", "{f}([0, 1, 2], V{b})", "{f}(3, [V{b}[0], 1.2])"]


def _binary_forms(name: str, ufunc: np.ufunc) -> Iterator[Form]:
    sides = [("p", "u"), ("u", "u"), ("", "p"), ("u", "p"), ("p", "p"), ("", "")]
    sides = [(a, b) for a, b in sides if finite(Form(name, f"{name}(v{a}, w{b})"))]
    for a, b in sides[1:3]:
        yield from _made(name, BINARY[:3], a=a, b=b)
    for a, b in sides[:1]:
        yield from _made(name, BINARY, a=a, b=b)
        if {"dd->d", "dd->?"} & set(ufunc.types):
            for option, lines in _safe(name, BINARY_OPTIONS | UFUNC_METHODS):
                yield from _made(name, lines, option, a=a, b=b)
            for option, lines in _safe(name, REDUCE_OPTIONS):
                yield from _made(name, lines, f"reduce {option}", a=a, b=b)
    if not sides:
        for b in ("u", "p", ""):
            yield from _made(name, INTEGER_FIRST, b=b)


def _many_forms(name: str, count: int) -> Iterator[Form]:
    """Three and more arguments: numbers, arrays, whole numbers first, and lists."""
    made = 0
    for ranges in itertools.product(("u", "p", ""), repeat=count if count < 4 else 2):
        ranges = (*ranges, *(ranges[-1],) * (count - len(ranges)))
        for whole in [(), *([(2,), (2, 1)] if count > 2 else [])]:
            parts = [
                str(whole[i]) if i < len(whole) else f"{'VW'[i % 2]}{ranges[i]}"
                for i in range(count)
            ]
            line = f"{name}({', '.join(parts)})"
            if not finite(Form(name, line.lower())):
                continue
            yield from split(Form(name, line))
            numbers = line.replace("V", "S").replace("W", "Y")
            yield from split(Form(name, numbers))
            mixed = ", ".join([*parts[:-1], f"[{parts[-1]}[0], 1.1, {parts[-1]}[2]]"])
            if len(whole) < count:
                yield from split(Form(name, f"{name}({mixed})"))
                yield from _accepted(Form(name, line[:-1] + ", out=b3)", "out"))
            made += 1
            if made == 2:
                return


# --- Plain functions

# What a function with so many positional arguments may take.
POSITIONAL = {
    1: listed(
        "V; M; Q; P; C; S; K; Vu; Mp; E; EM; [V[0], V[1], 1.2]; np.array([V[0], 1.2, V[2]]); "
        "[V, W]; (V, w); [[S, 1.2], [Y, S]]; np.array([[P[0, 0], 0.2], [0.2, P[1, 1]]]); [M, J]; "
        "(S, Y); V, W; 2; (2, 3)"
    ),
    2: listed(
        "V, W; M, J; S, Y; Q, R; P, V; P, Q; K, Q; K, O; M, V; V, S; S, V; C, M[0]; "
        "[V[0], 1.2, V[2]], W; V, [W[0], 1.2, W[2]]; np.array([V[0], 1.2, V[2]]), W; "
        "V, np.array([W[0], 1.2, W[2]]); Q, [V[0], 1.2, V[2]]; Vp, Wp; V, 1; M, 1; V, [0, 2]; "
        "M, [0, 1]; M, (3, 2); V, (2, 3); V, index3; P, 2; C, 2; [V[0], V[1], 1.2], 1; "
        "[V, W], 0; 1, V; 2, S; 2, Vu; 3, Sp; 2, Vp; (2, 3), S; mask3, V; "
        "[mask3, ~mask3], [V, W]; E, E; S, 3"
    ),
    3: listed(
        "V, W, V; M, J, M; S, Y, S; S, Y, 4; V, S, Y; V, -0.2, 0.3; mask3, V, W; mask23, M, V; "
        "mask3, S, 1.2; mask3, [V[0], 1.2, V[2]], W; V, [0, 2], S; V, 1, S; M, [0], V; V, 0, 1; "
        "M, 0, 1; C, 0, 2; V, mask3, W; 2, 1, Su; 2, 1, Vu; 2, 1, Sp; 1, S, Y; "
        "Su, [0.0, 1.0], V[:2]; 2, Vp, Wp; 2, Sp, Yp; np.sum, 0, M; np.sum, M, [0]; Sp, Yp, 2; "
        "3, 1.4, Su"
    ),
    4: ["V, W, Vp, Wp", "S, Y, Sp, Yp", "2, 1, Su, Yu", "1, 2, Sp, Yp", "Vp, Wp, Sp, Yp"],
    5: ["S, Y, Sp, Yp, S", "2, 1, Sp, Yp, Su", "Sp, Yp, 2, 1, 3"],
    6: ["Sp, Yp, 1, 1, 2, 1", "S, Y, S, Y, S, Y"],
}

KEYWORDS: dict[str, list[str]] = {
    "axis": ["0", "-1", "None", "(0, 1)", "1", "(-1, -2)"],
    "axes": ["(1, 0)", "(0,)", "1", "0", "(0, 1)"],
    "axis1": ["1"],
    "axis2": ["-1"],
    "keepdims": ["True"],
    "ddof": ["1"],
    "correction": ["1", "0.5"],
    "initial": ["0.37", "9.5"],
    "where": ["mask3", "np.array([[True], [False]])", "mask23"],
    "dtype": ["float", "np.float32", "int", "complex", "bool"],
    "like": ["None"],
    "order": ["'C'", "'F'", "'A'", "'K'"],
    "ord": ["1", "2", "-2", "inf", "-inf", "'fro'", "'nuc'", "3", "0", "-1"],
    "mode": listed(
        "'valid'; 'same'; 'full'; 'wrap'; 'clip'; 'reduced'; 'complete'; 'r'; 'constant'; 'edge'; "
        "'reflect'; 'linear_ramp'; 'mean'; 'maximum'; 'symmetric'; 'minimum'; 'median'; 'empty'"
    ),
    "casting": ["'unsafe'", "'same_kind'"],
    "subok": ["True", "False"],
    "copy": ["True", "False", "None"],
    "k": ["1", "-1"],
    "m": ["1"],
    "offset": ["1", "-1"],
    "n": ["2", "4", "1"],
    "N": ["2", "4"],
    "deg": ["1"],
    "decimals": ["1", "0", "-1"],
    "bins": ["3", "[-2.0, 0.0, 2.0]"],
    "range": ["(-2.0, 2.0)"],
    "density": ["True"],
    "weights": [],
    "rowvar": ["False"],
    "bias": ["True"],
    "side": ["'right'"],
    "sorter": ["index3"],
    "method": listed(
        "'linear'; 'nearest'; 'lower'; 'higher'; 'midpoint'; 'hazen'; 'inverted_cdf'; 'weibull'; "
        "'averaged_inverted_cdf'; 'median_unbiased'"
    ),
    "overwrite_input": ["True"],
    "equal_nan": ["True"],
    "nan": ["0.5"],
    "posinf": ["2.5"],
    "neginf": ["-2.5"],
    "period": ["4.0"],
    "return_index": ["True"],
    "return_inverse": ["True"],
    "return_counts": ["True"],
    "returned": ["True"],
    "kind": ["'stable'", "'heapsort'"],
    "stable": ["True"],
    "descending": ["True"],
    "indexing": ["'ij'"],
    "sparse": ["True"],
    "compute_uv": ["False"],
    "full_matrices": ["False"],
    "hermitian": ["True"],
    "UPLO": ["'U'"],
    "upper": ["True"],
    "rcond": ["1e-10", "None"],
    "rtol": ["1e-8"],
    "atol": ["1e-8"],
    "tol": ["1e-8"],
    "optimize": ["True"],
    "assume_unique": ["True"],
    "invert": ["True"],
    "norm": ["'ortho'", "'forward'"],
    "s": ["(2, 4)"],
    "return_sign": ["True"],
    "include_initial": ["True"],
    "edge_order": ["2"],
    "dx": ["0.5"],
    "shape": ["(2, 3)", "(3,)", "3", "(3, 2)", "(2, 2)"],
    "newshape": ["(3, 2)"],
    "shift": ["1", "(1, 2)"],
    "repeats": ["2", "[1, 0, 2]"],
    "trim": ["'f'"],
    "increasing": ["True"],
    "endpoint": ["False"],
    "retstep": ["True"],
    "num": ["4"],
    "base": ["2.0"],
    "num_integer": ["2"],
    "exact": ["False", "True"],
    "repetition": ["True"],
    "derivative": ["True"],
    "extend": ["True"],
    "discont": ["2.0"],
    "full": ["True"],
    "cov": ["True"],
    "ndmin": ["2"],
    "ndim": ["2"],
    "start": ["1"],
    "step": ["2"],
    "diff_n": ["1"],
    "branch_cut": ["2"],
    "z": ["0.3"],
    "mu": ["0.3"],
}

# Keywords tried with two sets of arguments; the others with one.
EVERYWHERE = {"axis", "keepdims", "ddof", "correction", "initial", "where", "out", "dtype", "ord"}
# Traced values for an optional argument of any name.
TRACED_OPTIONS = ["Sp", "Vp", "Mp"]
COMBINED = [
    ("axis=1", "keepdims=True"),
    ("axis=(0, 1)", "keepdims=True"),
    ("axis=1", "ddof=1"),
    ("axis=0", "correction=1"),
    ("axis=1", "ord=1"),
    ("axis=1", "ord=inf"),
    ("axis=(0, 1)", "ord='fro'"),
    ("axis=1", "initial=0.37"),
    ("axis=1", "where=mask23"),
    ("axis=1", "mode='clip'"),
]


def keywords_of(function: Any) -> list[str] | None:
    """The optional arguments of a function; None where it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in named and p.default is not p.empty]


# Arguments that no traced value is given for: flags, and `out`, of another shape than which numpy
# writes outside its memory.
NOT_NUMBERS = set(
    listed(
        "complex; copy; derivative; diff_n; dtype; exact; full_matrices; keepdims; like; monic; "
        "mu; ord; order; out; overwrite_input"
    )
)


def required(function: Any) -> list[int]:
    """How many positional arguments to try."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [1, 2, 3]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    least = sum(p.kind in positional and p.default is p.empty for p in parameters)
    most = sum(p.kind in positional for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return sorted({max(least, 1), least + 1, 3})
    names = [p.name for p in parameters if p.kind in positional]
    counts = range(max(least, 1), min(most, max(least + 1, 3), 6) + 1)
    return [n for n in counts if not NOT_NUMBERS - {"out"} & set(names[least:n])] or [1]


def plain_forms(name: str, function: Any) -> Iterator[Form]:
    """Forms of a function that is no elementwise ufunc."""
    bases: list[str] = []
    counts = required(function)
    for count in counts:
        tried = len(bases)
        for arguments in POSITIONAL.get(count, []):
            if len(bases) > tried + (24 if count == counts[0] else 10):
                break
            form = Form(name, f"{name}({arguments})", "empty" if "E" in arguments else "")
            if form.traced and accepts(form):
                bases.append(arguments)
                yield from split(form)
    names = keywords_of(function)
    wide = [a for a in bases if a in ("V", "M", "V, W", "M, J", "Q", "P", "M, 1", "V, W, V")]
    chosen = (wide or bases)[:2]
    for keyword in KEYWORDS if names is None else names:
        yield from _keyword_forms(name, keyword, chosen)
    if names is None or "axis" in names:
        for one, two in COMBINED:
            if names is None or two.partition("=")[0] in names:
                for arguments in chosen:
                    option = two.partition("=")[0]
                    yield from _accepted(Form(name, f"{name}({arguments}, {one}, {two})", option))


def _keyword_forms(name: str, keyword: str, bases: list[str]) -> Iterator[Form]:
    values = KEYWORDS.get(keyword, ["True", "1", "0.4"])
    everywhere = keyword in EVERYWHERE
    for arguments in bases if everywhere else bases[:1]:
        for value in _buffers(f"{name}({arguments})") if keyword == "out" else values:
            yield from _accepted(Form(name, f"{name}({arguments}, {keyword}={value})", keyword))
        for value in TRACED_OPTIONS if keyword not in NOT_NUMBERS else ():
            line = f"{name}({arguments}, {keyword}={value})"
            if accepts(Form(name, line)):
                yield from split(Form(name, line, keyword))
                yield from split(
                    Form(name, f"{name}({arguments.lower()}, {keyword}={value})", keyword)
                )
                break


def _buffers(line: str) -> list[str]:
    """The name of an array to write the result of a call into, of its shape."""
    found = list(plain(_untraced(Form("", line))).leaves)
    shape = found[0].value.shape if found else None
    return [{(): "b", (2,): "b2", (3,): "b3", (2, 3): "b23", (3, 3): "b33"}.get(shape, "None")]


# --- Methods and attributes of arrays, operators, the math module

METHOD_ARGUMENTS = [
    "",
    *listed(
        "0; 1; (1, 0); 3, 2; (3, 2); [0, 1]; W; 0, 1; 0.1, 0.6; S, None; mask23; mask3; 2, 4.5; "
        "(0, 1), 4.5; float; np.float32; int; 'C'; 'F'; [0, 1], [M, M * 2.0]; J.T; np.ndarray"
    ),
]
METHOD_OPTIONS = {
    "axis": ["0", "-1", "(0, 1)"],
    "keepdims": ["True"],
    "where": ["mask23"],
    "dtype": ["np.float32"],
    "initial": ["0.37"],
    "ddof": ["1"],
    "correction": ["1"],
    "order": ["'F'"],
    "mode": ["'clip'"],
    "mean": ["0.3"],
    "copy": ["False"],
}


UNTRIED_METHODS = {"dump", "tofile", "setflags", "setfield", "resize"}  # they write files or memory


def methods() -> list[str]:
    """The public methods and attributes of an array."""
    names = [name for name in dir(np.ndarray) if not name.startswith("_")]
    return [f"ndarray.{name}" for name in names if name not in UNTRIED_METHODS]


def method_forms(subject: str) -> Iterator[Form]:
    name = subject.removeprefix("ndarray.")
    if not callable(getattr(np.ndarray, name)):
        for letter in ("V", "M", "S", "C"):
            yield from _accepted(Form(subject, f"{letter}.{name}"))
        return
    for letter in ("M", "V", "S", "C", "Q", "E"):
        option = "empty" if letter == "E" else ""
        for arguments in METHOD_ARGUMENTS if letter in "MV" else METHOD_ARGUMENTS[:3]:
            yield from _accepted(Form(subject, f"{letter}.{name}({arguments})", option))
    for letter, (keyword, values) in itertools.product("MV", METHOD_OPTIONS.items()):
        for value in values:
            yield from _accepted(Form(subject, f"{letter}.{name}({keyword}={value})", keyword))
    for arguments in METHOD_ARGUMENTS[:2]:
        call = f"M.{name}({arguments})"
        if hasattr(np, name) and accepts(Form(subject, call)):
            out = f"out={_buffers(call)[0]})"
            line = f"{call[:-1]}, {out}" if arguments else f"{call[:-1]}{out}"
            yield from _accepted(Form(subject, line, "out"))


PAIRS = listed(
    "M, J; V, W; M, V; S, Y; V, S; S, V; V, 2; 2, V; S, 2; 2, S; S, 1.3; 1.3, S; "
    "V, [1.1, 1.2, 1.3]; [1.1, 1.2, 1.3], V; V, [S, 1.2, Y]; [S, 1.2, Y], V; P, Q; Q, V; M, W; "
    "V, np.array([S, 1.2, Y]); np.array([S, 1.2, Y]), V; np.array([S, 1.2, Y]), w; "
    "M, (V[0], V[1], 1.2); K, O; E, E; V, np.float64(1.3); np.float64(1.3), V; V, np.array(1.3); "
    "V, True; S, np.int64(2); V, index3; index3, V; V, mask3; V, w.astype(np.float32); "
    "M, [[1, 2, 3]]; V, nan"
)


UNTRIED_OPERATORS = set(
    listed("attrgetter; call; delitem; is_; is_not; itemgetter; length_hint; methodcaller; setitem")
)
BUILTINS = listed(
    "abs; round; float; int; complex; bool; sum; min; max; sorted; list; tuple; reversed; "
    "enumerate; len; all; any; repr; str; format; set; iter; divmod; pow"
)


def operators() -> list[str]:
    """The operators of Python, those in place included, and the builtins that take numbers."""
    names = [name for name in operator.__all__ if name not in UNTRIED_OPERATORS]
    return [*(f"operator.{name}" for name in names), *(f"builtins.{name}" for name in BUILTINS)]


def operator_forms(subject: str) -> Iterator[Form]:
    name = subject.removeprefix("builtins.")
    for arguments in ["S", "V", "M", "Vp", "[S, Y]", "V, S", "S, 1", "V[:1]"]:
        yield from _accepted(Form(subject, f"{name}({arguments})"))
    for arguments in PAIRS:
        if "pow" in name and arguments == "M, (V[0], V[1], 1.2)":
            continue  # Python's own power of a negative float is complex
        if name == "sum" and "float32" in arguments:
            continue  # numbers added one by one: a traced number counts as a float of Python
        yield from _accepted(Form(subject, f"{name}({arguments})"))
        if "pow" in name or "mod" in name:
            raised = re.sub(r"\b([VMSWYJ])\b", r"\1p", arguments)
            yield from _accepted(Form(subject, f"{name}({raised})"))


INDEX = listed(
    "0; -1; 1:; ::-1; ..., 0; None; [0, 1]; [1, 1, 0]; mask3; (); ...; index3; 0, 1; :, 0; "
    "0, ...; [0, 1], [1, 2]; mask23; np.array([[0, 1], [1, 0]]); 1:1; :, None; "
    "[True, False, True]; np.int64(1); np.array(1); []; slice(0, 2)"
)


STORES = [
    "operator.setitem(b3, 1, S)",
    "operator.setitem(b3, slice(1, 3), V[1:])",
    "operator.setitem(b3, mask3, S)",
    "operator.setitem(b23, 0, V)",
    "operator.setitem(b23, (0, 1), S)",
    "operator.setitem(b3, ..., V)",
]


def index_forms(subject: str) -> Iterator[Form]:
    """Reading `x[index]`, and writing to it."""
    read = subject == "ndarray.__getitem__"
    for letter, index in itertools.product(("V", "M", "C", "S"), INDEX):
        if read:
            yield from _accepted(Form(subject, f"{letter}[{index}]"))
        else:
            for value in ("1.3", "S", "Y"):
                line = f"operator.setitem({letter}, {_as_object(index)}, {value})"
                yield from _accepted(Form(subject, line))
    for line in () if read else STORES:
        yield from _accepted(Form(subject, line))


def _as_object(index: str) -> str:
    """An index as an expression: slices and ellipses by name."""
    parts = []
    for part in re.split(r",\s*(?![^\[\(]*[\]\)])", index):
        if re.fullmatch(r"-?\d*:-?\d*(:-?\d*)?", part):
            ends = [end or "None" for end in part.split(":")]
            part = f"slice({', '.join(ends)})"
        parts.append(part)
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def math_forms(name: str) -> Iterator[Form]:
    pairs = "S, Y; Sp, Yp; S, 2; Sp, 2; [S, Y], [1.2, S]; V, W; S, Y, 1.1"
    for arguments in ["S", "Su", "Sp", "[S, Y, 1.2]", "V", *listed(pairs)]:
        yield from _accepted(Form(name, f"{name}({arguments})"))


# --- What models are written with

WANTED = [
    "M @ V + S",
    "np.exp(M)",
    "np.log(Vp)",
    "np.log1p(Vu)",
    "np.expm1(V)",
    "np.sqrt(Vp)",
    "np.square(V)",
    "np.abs(V)",
    "np.sin(V) * np.cos(W) + np.tan(Vu)",
    "np.tanh(V)",
    "np.arctan(V) + np.arcsin(Vu) + np.arccos(Vu)",
    "np.sinh(V) + np.cosh(V) + np.arcsinh(V) + np.arctanh(Vu)",
    "np.arccosh(Vp)",
    "np.exp2(V) + np.log2(Vp) + np.log10(Vp)",
    "np.cbrt(Vp)",
    "np.sinc(V)",
    "np.deg2rad(V) + np.radians(V)",
    "np.hypot(V, W)",
    "np.arctan2(V, W)",
    "np.maximum(V, 0.0)",
    "np.minimum(M, V)",
    "np.fmax(V, W) + np.fmin(V, W)",
    "np.logaddexp(V, W)",
    "np.logaddexp2(V, W)",
    "np.power(Vp, W)",
    "Vp**W",
    "Vp**2",
    "2.0**V",
    "V / Wp",
    "V // 1.0 + V % 1.0",
    "np.mod(V, 1.3)",
    "divmod(V, 1.3)",
    "divmod(S, 0.4)",
    "np.divmod(V, 1.3)",
    "np.copysign(V, W)",
    "np.float_power(Vp, W)",
    "np.sign(V) * V",
    "np.heaviside(V, 0.5) * V",
    "np.clip(V, -0.5, 0.5)",
    "np.clip(V, S - 2.5, Sp)",
    "np.clip(V, None, Sp)",
    "V.clip(0)",
    "V.clip(-0.5, Sp)",
    "V.clip(min=0.0)",
    "np.where(V > 0.0, V, 0.1 * V)",
    "np.where(mask3, V, W)",
    "np.select([v > 1.0, v > 0.0], [V, 2.0 * V], 0.5 * V)",
    "np.select([V > 1.0, V > 0.0], [V, W], S)",
    "np.nan_to_num(V)",
    "np.sum(M)",
    "np.sum(M, axis=0)",
    "np.sum(C, axis=(0, 2))",
    "np.sum(M, axis=-1, keepdims=True)",
    "np.sum([S, Y, 1.0])",
    "sum([S, Y, 1.0])",
    "sum(V)",
    "M.sum()",
    "M.sum(axis=1)",
    "M.sum(1)",
    "M.mean(axis=0)",
    "M.mean(axis=1, keepdims=True)",
    "np.mean(M, axis=(0, 1))",
    "np.var(M)",
    "np.var(M, axis=0, ddof=1)",
    "np.var(M, axis=1, correction=1)",
    "np.var(M, axis=1, keepdims=True)",
    "np.std(V)",
    "np.std(M, axis=1, ddof=1)",
    "np.std(M, axis=0, keepdims=True)",
    "M.std(axis=0)",
    "M.var()",
    "M.max(axis=1)",
    "M.min()",
    "M.prod()",
    "np.max(M, axis=0)",
    "np.min(V)",
    "np.amax(V)",
    "np.ptp(V)",
    "np.ptp(M, axis=1)",
    "np.prod(V)",
    "np.prod(M, axis=1)",
    "np.prod(np.append(V, 0.0))",
    "np.cumsum(V)",
    "np.cumsum(M, axis=1)",
    "V.cumsum()",
    "np.cumprod(V)",
    "np.cumprod(M, axis=1)",
    "V.cumprod()",
    "np.diff(V)",
    "np.diff(M, n=2, axis=1)",
    "np.ediff1d(V)",
    "np.gradient(V)",
    "np.gradient(F, 0.5)",
    "np.median(V)",
    "np.median(F)",
    "np.median(M, axis=1)",
    "np.quantile(V, 0.3)",
    "np.quantile(M, [0.2, 0.7], axis=1)",
    "np.percentile(V, 35)",
    "np.percentile(M, [20, 70], axis=0)",
    "np.average(V)",
    "np.average(V, weights=Wp)",
    "np.average(M, axis=1, weights=Vp)",
    "np.trapezoid(V)",
    "np.trapezoid(V, dx=0.1)",
    "np.trapezoid(V, [0.0, 0.5, 2.0])",
    "np.nansum([V[0], nan, V[1]])",
    "np.nansum(M, axis=0)",
    "np.nanmean(M, axis=1)",
    "np.nanmean(np.where(mask23, M, nan), axis=1)",
    "np.nanmax(V) + np.nanmin(V)",
    "np.nanstd(M) + np.nanvar(M)",
    "np.cov(M)",
    "np.cov(V, W)",
    "np.cov(M, rowvar=False)",
    "np.corrcoef(M)",
    "np.corrcoef(V, W)",
    "np.interp(S, [-1.0, 0.0, 2.0], [1.0, 3.0, 2.0])",
    "np.interp(V, [-2.0, 0.0, 2.0], W)",
    "np.interp([0.3, 0.9], [0.0, 0.5, 2.0], V)",
    "np.convolve(V, W)",
    'np.convolve(F, [0.25, 0.5, 0.25], mode="same")',
    'np.convolve(F, V, mode="valid")',
    "np.correlate(F, V)",
    "np.dot(V, W)",
    "np.dot(M, V)",
    "V.dot(W)",
    "M.dot(V)",
    "np.vdot(V, W)",
    "np.inner(V, W)",
    "np.inner(M, V)",
    "np.outer(V, W)",
    "np.kron(V, W)",
    "np.kron(M, J)",
    "np.cross(V, W)",
    "np.matmul(M, V)",
    "np.tensordot(M, J, axes=2)",
    "np.tensordot(M, Q, axes=([1], [0]))",
    'np.einsum("i,i->", V, W)',
    'np.einsum("ij,j->i", M, V)',
    'np.einsum("ii", Q)',
    'np.einsum("ii->i", Q)',
    'np.einsum("ij,kj->ik", M, J)',
    'np.einsum("bij,bj->bi", K, M)',
    'np.einsum("i,j", V, W)',
    "np.trace(Q)",
    "Q.trace()",
    "np.diag(Q)",
    "np.diag(V)",
    "np.diagonal(Q, offset=1)",
    "Q.diagonal()",
    "np.tril(Q)",
    "np.triu(Q, 1)",
    "np.vander(V, 3)",
    "np.polyval(V, 0.7)",
    "np.polyval(V, W)",
    "np.polynomial.polynomial.polyval(0.7, V)",
    "w @ np.array([S, 1.0, Y])",
    "W @ np.array([S, 1.0, Y])",
    "np.dot(W, [S, 1.0, Y])",
    "np.array([[S, 0.2], [0.2, Y]]) @ V[:2]",
    "np.array([S, Y]) * 2.0 + 1.0",
    "np.exp(np.array([S, Y]))",
    "np.reshape(M, (3, 2))",
    "M.reshape(3, 2)",
    "M.reshape(-1)",
    "M.reshape((6,))",
    "M.ravel()",
    "np.ravel(M)",
    "M.flatten()",
    "M.T",
    "M.mT",
    "K.mT",
    "M.transpose()",
    "C.transpose(2, 0, 1)",
    "np.transpose(C, (1, 0, 2))",
    "np.permute_dims(C, (1, 0, 2))",
    "np.matrix_transpose(K)",
    "np.moveaxis(C, 0, -1)",
    "np.swapaxes(C, 0, 2)",
    "C.swapaxes(0, 1)",
    "np.rollaxis(C, 2)",
    "np.expand_dims(V, 1)",
    "np.squeeze(V[:, None])",
    "V[None, :].squeeze()",
    "np.atleast_1d(S)",
    "np.atleast_2d(V)",
    "np.atleast_3d(M)",
    "np.broadcast_to(V, (2, 3))",
    "np.broadcast_arrays(V, M)",
    "np.concatenate([V, W])",
    "np.concatenate([V, [1.0]])",
    "np.concatenate((M, J), axis=1)",
    "np.concat([V, W])",
    "np.stack([V, W])",
    "np.stack([V, W], axis=1)",
    "np.stack([S, Y, 1.0])",
    "np.hstack([V, W])",
    "np.vstack([V, W])",
    "np.dstack([V, W])",
    "np.column_stack([V, W])",
    "np.block([[Q, V[:, None]], [W, 1.0]])",
    "np.append(V, S)",
    "np.insert(V, 1, S)",
    "np.delete(V, 1)",
    "np.tile(V, 2)",
    "np.repeat(V, 2)",
    "np.repeat(V, [1, 0, 2])",
    "np.roll(V, 1)",
    "np.flip(V)",
    "np.flip(M, axis=1)",
    "np.fliplr(M)",
    "np.flipud(M)",
    "np.rot90(M)",
    "np.take(V, [0, 2])",
    "np.take(M, 1, axis=1)",
    "V.take([0, 2])",
    "np.take_along_axis(M, np.array([[0], [2]]), axis=1)",
    "np.compress(mask3, V)",
    "np.extract(mask3, V)",
    "np.choose([0, 1, 0], [V, W])",
    "np.split(V, 3)",
    "np.array_split(V, 2)",
    "np.hsplit(M, 3)",
    "np.vsplit(M, 2)",
    "np.sort(V)",
    "np.sort(M)",
    "np.sort(M, axis=0)",
    "V[np.argsort(V)]",
    "np.pad(V, 1)",
    "np.pad(V, (1, 2), constant_values=0.5)",
    'np.pad(V, 1, mode="edge")',
    "np.pad(M, ((1, 0), (0, 2)))",
    "np.meshgrid(V, W)",
    'np.meshgrid(V, W, indexing="ij")',
    "np.linspace(S, Yp, 4)",
    "np.linspace(0.0, S, 5)",
    "np.full(3, S)",
    "np.full_like(V, S)",
    "np.zeros_like(V) + V",
    "np.ones_like(V) * S",
    "np.logspace(S, Y, 3)",
    "np.triu_indices(3) and Q[np.triu_indices(3)]",
    "V[mask3]",
    "V[[0, 0, 2]]",
    "M[:, 1]",
    "M[0]",
    "M[..., None]",
    "M[np.arange(2), [0, 2]]",
    "V[::-1]",
    "V[-1]",
    "V.item(1)",
    "V.item(-1)",
    "M.item(0, 2)",
    "S.item()",
    "V.tolist()",
    "M.tolist()",
    "list(V)",
    "[t * 2.0 for t in V]",
    "V.copy()",
    "np.copy(V)",
    "np.array(V)",
    "np.asarray(V)",
    "np.ascontiguousarray(V)",
    "np.array([V, W])",
    "V.astype(float)",
    "copy.copy(V)",
    "copy.deepcopy(V)",
    "np.real(V) + np.imag(V)",
    "np.linalg.solve(P, V)",
    "np.linalg.solve(P, Q)",
    "np.linalg.solve(K, M[:, :, None])",
    "np.linalg.inv(P)",
    "np.linalg.inv(K)",
    "np.linalg.pinv(Q)",
    "np.linalg.det(Q)",
    "np.linalg.det(K)",
    "np.linalg.slogdet(P)",
    "np.linalg.slogdet(K)[1]",
    "np.linalg.cholesky(P)",
    "np.linalg.cholesky(K)",
    "np.linalg.eigh(P)",
    "np.linalg.eigh(P)[0]",
    "np.linalg.eigvalsh(P)",
    "np.linalg.svd(M, full_matrices=False)",
    "np.linalg.svd(Q)",
    "np.linalg.svd(Q, compute_uv=False)",
    "np.linalg.svdvals(M)",
    "np.linalg.qr(Q)",
    "np.linalg.qr(M.T)",
    "np.linalg.norm(V)",
    "np.linalg.norm(M)",
    "np.linalg.norm(M, axis=1)",
    "np.linalg.norm(M, axis=1, keepdims=True)",
    "np.linalg.norm(V, ord=1)",
    "np.linalg.norm(V, ord=inf)",
    'np.linalg.norm(M, "fro")',
    "np.linalg.multi_dot([M, Q, V])",
    "np.linalg.matrix_power(Q, 3)",
    "np.linalg.matrix_power(P, -1)",
    "np.linalg.trace(Q)",
    "np.linalg.outer(V, W)",
    "np.linalg.vecdot(V, W)",
    "np.vecdot(M, V)",
    "np.add.reduce(M)",
    "np.add.outer(V, W)",
    "np.subtract.outer(V, W)",
    "np.multiply.outer(V, W)",
    "np.multiply.reduce(V)",
    "np.add.accumulate(V)",
    "np.logaddexp.reduce(M, axis=1)",
    "np.logaddexp.reduce(np.stack([V, W]))",
    "np.maximum.reduce(M)",
    "np.minimum.reduce([V, W])",
    "special.logsumexp(V)",
    "special.logsumexp(M, axis=1)",
    "special.logsumexp(M, axis=0, keepdims=True)",
    "special.logsumexp(V, b=[0.5, 1.0, 2.0])",
    "special.logsumexp(V, b=Wp)",
    "special.logsumexp([S, Y, 0.0])",
    "special.softmax(V)",
    "special.softmax(M, axis=1)",
    "special.log_softmax(V)",
    "special.log_softmax(M, axis=-1)",
    "special.expit(V)",
    "special.logit(Vu)",
    "special.log_expit(V)",
    "special.gamma(Vp)",
    "special.gammaln(Vp)",
    "special.loggamma(Vp)",
    "special.digamma(Vp)",
    "special.psi(Vp)",
    "special.polygamma(1, Vp)",
    "special.polygamma(2, Sp)",
    "special.multigammaln(Sp + 1.0, 2)",
    "special.beta(Vp, Wp)",
    "special.betaln(Vp, Wp)",
    "special.binom(4.0, Vp)",
    "special.gammainc(2.5, Vp)",
    "special.gammaincc(2.5, Vp)",
    "special.betainc(2.0, 3.0, Vu)",
    "special.erf(V)",
    "special.erfc(V)",
    "special.erfcx(V)",
    "special.erfinv(Vu)",
    "special.ndtr(V)",
    "special.ndtri(Vu)",
    "special.log_ndtr(V)",
    "special.i0(V)",
    "special.i1(V)",
    "special.i0e(V)",
    "special.i1e(V)",
    "special.iv(1, Vp)",
    "special.kv(1, Vp)",
    "special.jv(1, Vp)",
    "special.j0(V) + special.j1(V)",
    "special.xlogy(V, Wp)",
    "special.xlog1py(V, Wp)",
    "special.entr(Vp)",
    "special.rel_entr(Vp, Wp)",
    "special.kl_div(Vp, Wp)",
    "special.huber(0.5, V)",
    "special.boxcox(Vp, S)",
    "special.exprel(V)",
    "special.log1p(Vu)",
    "special.expm1(V)",
    "special.cbrt(Vp)",
    "special.poch(Vp, 2.0)",
    "special.rgamma(Vp)",
    "special.softplus(V)",
    "np.i0(V)",
    "float(len(V)) * V",
    "max(S, Y)",
    "max(V)",
    "min([S, Y])",
    "sorted(V)",
    "abs(S)",
    "V @ P @ V",
    "-V + +W",
    "V == W",
    "(V > 0.0) * V",
    "np.any(V > 0.0) * V",
    "np.argmax(V)",
    "np.isfinite(V)",
    "np.allclose(V, W)",
    "np.array_equal(V, W)",
    "np.searchsorted([0.0, 1.0], V)",
    "np.floor(V) + V",
    "np.triu(P) @ V",
    "np.fmod(V, 0.7)",
    "np.ix_([0, 1], [2, 0]) and M[np.ix_([0, 1], [2, 0])]",
    "operator.iadd(m @ V, 1.0)",
    "operator.iadd(M @ v, np.ones(2))",
    "operator.imul(M * 2.0, 3.0)",
    'np.reshape(M, (3, 2), order="F")',
    'np.ravel(C, order="F")',
    "np.transpose(C, (-1, 0, 1))",
    "np.broadcast_to(M[:, :1], (2, 4))",
    "np.broadcast_to(S, (2, 4))",
    "np.where(mask23, S, 1.0)",
    "np.where(mask23, 0.0, V)",
    "np.where(V > 0.2, V, 3.0 * V * V)",
    "Q @ Q",
    "V @ V",
    "K @ Q",
    "K @ K",
    "np.dot(S, Q)",
    "M[1, 2]",
    "M[-1, ::-1]",
    "M[:, None, :]",
    "V[np.array([0, 1, 0, 0])]",
    "V[np.array([[0, 1], [1, 2]])]",
    "M[[0, 1, 1], [2, 0, 0]]",
    "M[:, [0, 2, 2]]",
    "sum(row * row for row in M)",
    "np.stack([*V][::-1])",
    "np.concatenate([M, V], axis=None)",
    "np.concatenate([V[:1], W, V])",
    "np.concatenate((M, J), axis=-1)",
    "np.stack([V, W], axis=-1)",
    "np.stack([M, M * J], axis=1)",
    "np.column_stack([V, np.ones((3, 2))])",
    "np.hstack([V, 1.0, V[0]])",
    "np.array([V[0], V[1], V[2]]) @ Q",
    "np.diagonal(K, axis1=-2, axis2=-1)",
    'np.einsum("ij,ij->i", M, M * M)',
    "np.sum(C, axis=(0, -1), keepdims=True)",
    "np.sum(C, axis=np.int64(1))",
]

# Lines of functions that need arguments of their own, whatever comes of them.
SPECIAL = [
    "np.ldexp(V, 2)",
    "np.put_along_axis(M, np.array([[0], [2]]), S, axis=1)",
    "np.fromfunction(lambda i: i * S, (3,))",
    "np.frompyfunc(lambda t: t * t, 1, 1)(V)",
    "special.ndtri_exp(-Vp)",
    "special.wofz(V)",
    "special.sph_harm_y(2, 1, S, Y)",
    "special.pro_ang1(1, 2, Sp, Yu)",
    "special.obl_ang1(1, 2, Sp, Yu)",
    "special.pro_cv(1, 2, Vp)",
    "special.legendre_p_all(2, Su)",
    "special.roots_jacobi(3, Sp, Yp)",
    'np.einsum("ij", M)',
    'np.einsum("ij->ji", M)',
    'np.einsum("ij->", M)',
    'np.einsum("ij->j", M)',
    'np.einsum("ji", M)',
    'np.einsum("ij,ij->i", M, J)',
    'np.einsum("ij,ij", M, J)',
    'np.einsum("ij,jk,k->i", M, Q, V)',
    'np.einsum("...j,j->...", C, V[:2])',
    'np.einsum("...ij,...jk->...ik", K, L)',
    'np.einsum("bij->bji", K)',
    'np.einsum("bii->b", K)',
    'np.einsum("bii->bi", K)',
    'np.einsum("iij->j", K[:, :2])',
    'np.einsum("i,i,i->i", V, W, V)',
    'np.einsum("i,i,i", V, V, V)',
    "np.einsum(M, [0, 1], V, [1], [0])",
    "np.einsum(Q, [0, 0])",
    'np.einsum("ij,j->i", M, [S, 1.2, Y])',
    'np.einsum("ij,j->i", m, [S, 1.2, Y])',
    'np.einsum("i,j->ij", V, W, optimize=True)',
    'np.einsum("i,i->", V, W, out=b)',
    'np.einsum("ij,j->i", M, V, order="F")',
    'np.einsum("i->", V)',
    'np.einsum("i,->i", V, S)',
    "np.tensordot(V, W, axes=1)",
    "np.tensordot(V, W, axes=0)",
    "np.tensordot(C, D, axes=([0, 2], [0, 2]))",
    "np.tensordot(C, Q, axes=(1, 0))",
    "np.tensordot(C, M, axes=[[0, 1], [0, 1]])",
    "np.tensordot(M, [S, 1.2, Y], axes=1)",
    "np.dot(C, D.transpose(0, 2, 1))",
    "np.dot(V, 2.0)",
    "np.dot([S, Y], [1.2, S])",
    "np.inner(C, D)",
    "np.matmul(K, V)",
    "np.matmul(V, K)",
    "np.matmul(M, K)",
    "np.matmul(K, L)",
    "np.matmul(V, Q)",
    "np.matmul(K[:, None], L)",
    "np.outer([S, Y], V)",
    "np.kron(V, M)",
    "np.kron(C, M)",
    "np.cross(V[:2], W[:2])",
    "np.cross(Q, R, axis=0)",
    "np.cross(Q, R, axisa=0, axisb=1, axisc=0)",
    "np.correlate(V, F)",
    'np.correlate(F, V, mode="full")',
    'np.correlate(F, V, "same")',
    'np.convolve(V, F, "same")',
    'np.convolve(F, V, "valid")',
    "np.convolve([S, Y], V)",
    "np.interp(V, [-2.0, 0.0, 2.0], [1.0, 0.0, 3.0], left=S, right=Y)",
    "np.interp(S, [0.0, Sp, 3.0], [1.0, 0.0, 3.0])",
    "np.interp(9.0, [0.0, 1.0], W[:2])",
    "np.interp(-9.0, [0.0, 1.0], W[:2])",
    "np.interp(S, [0.0, 1.0, 2.0], V, period=3.0)",
    "np.interp([S, Y], [0.0, 1.0, 2.0], [1.0, S, 2.0])",
    "np.interp(V, np.array([-2.0, S, 4.0]), W)",
    "np.interp(v, vp, W)",
    "np.quantile(V, Su)",
    "np.quantile(F, [0.1, Su, 0.9])",
    'np.quantile(F, 0.3, method="hazen")',
    'np.quantile(F, 0.3, method="inverted_cdf")',
    'np.quantile(F, 0.3, method="nearest")',
    "np.quantile(M, 0.3, axis=1, keepdims=True)",
    'np.quantile(F, 0.3, weights=[1.0, 2.0, 1.0, 1.0], method="inverted_cdf")',
    "np.quantile(M, 0.5, axis=(0, 1))",
    "np.quantile(F, 1.0)",
    "np.quantile(F, 0.0)",
    "np.percentile(F, [0, 50, 100])",
    "np.nanquantile(np.where(mask3, V, nan), 0.4)",
    "np.nanpercentile(M, 40, axis=0)",
    "np.nanmedian(np.where(mask23, M, nan), axis=1)",
    "np.median(M, axis=(0, 1), keepdims=True)",
    "np.median(C, axis=(0, 2))",
    "np.average(M, weights=Vp, axis=1, returned=True)",
    "np.average(M, weights=np.exp(J))",
    "np.average([S, Y], weights=[1.0, 2.0])",
    "np.average([S, Y], weights=Vp[:2])",
    "np.cov(M, ddof=0)",
    "np.cov(M, bias=True)",
    "np.cov(M, aweights=[1.0, 2.0, 1.5])",
    "np.cov(M, aweights=Vp)",
    "np.cov(M, fweights=[1, 2, 1])",
    "np.cov(V, y=W)",
    "np.corrcoef(M, rowvar=False)",
    "np.var(M, mean=M.mean(axis=0, keepdims=True), axis=0)",
    "np.var(M, axis=(0, 1), ddof=1, keepdims=True)",
    "np.var(M, axis=1, where=mask23)",
    "np.std(M, axis=1, where=mask23)",
    "np.std(M, correction=1)",
    "np.mean(M, axis=1, where=mask23)",
    "np.mean(M, dtype=np.float32)",
    "np.sum(M, where=mask23)",
    "np.sum(M, initial=S)",
    "np.sum(M, axis=1, initial=2.0)",
    "np.prod(M, axis=1, where=mask23)",
    "np.prod(M, initial=S)",
    "np.prod(C, axis=(0, 2), keepdims=True)",
    "np.max(M, initial=0.3)",
    "np.max(M, axis=1, where=mask23, initial=-5.0)",
    "np.max(C, axis=(0, 1))",
    "np.min(M, axis=1, initial=9.0)",
    "np.ptp(M, axis=0, keepdims=True)",
    "np.cumsum(C, axis=1)",
    "np.cumsum(M, dtype=np.float32)",
    "np.cumprod(np.append(V, 0.0))",
    "np.cumprod(C, axis=-1)",
    "np.cumulative_sum(M, axis=1, include_initial=True)",
    "np.cumulative_prod(M, axis=0)",
    "np.diff(M, prepend=0.0)",
    "np.diff(M, axis=0, append=V[None, :])",
    "np.diff(V, n=0)",
    "np.diff(V, n=2, prepend=S)",
    "np.diff(V, prepend=S, append=Y)",
    "np.ediff1d(V, to_begin=S, to_end=[1.0, Y])",
    "np.gradient(F, edge_order=2)",
    "np.gradient(F, [0.0, 0.4, 1.0, 2.2])",
    "np.gradient(F, S)",
    "np.gradient(Q, axis=0)",
    "np.gradient(Q, 0.5, 0.7)",
    "np.gradient(f, F)",
    "np.trapezoid(M, axis=0)",
    "np.trapezoid(V, dx=S)",
    "np.trapezoid(M, [0.0, 1.0, 3.0], axis=1)",
    'np.pad(V, 2, mode="reflect")',
    'np.pad(V, 2, mode="symmetric")',
    'np.pad(V, 2, mode="wrap")',
    'np.pad(V, 1, mode="mean")',
    'np.pad(V, 1, mode="maximum")',
    'np.pad(V, 1, mode="linear_ramp", end_values=S)',
    "np.pad(V, 1, constant_values=S)",
    "np.pad(V, (1, 2), constant_values=(S, Y))",
    "np.pad(M, {-1: (1, 0)})",
    'np.pad(M, 1, mode="median")',
    'np.pad(M, 1, mode="reflect", reflect_type="odd")',
    "np.select([mask3], [V])",
    "np.select([mask3, ~mask3], [V, 1.0])",
    "np.select([mask3, mask3], [V, W], default=S)",
    "np.select([mask3], [v], default=S)",
    "np.where(mask23, V, S)",
    "np.where(mask3[:, None], V, 0.0)",
    "np.where(V > 0.0, np.sqrt(np.where(V > 0.0, V, 1.0)), 0.0)",
    "np.where([True, False, True], [S, Y, 1.2], V)",
    "np.where(mask3, [S, Y, 1.2], v)",
    "np.where(V > W, V, W)",
    "np.where(True, S, Y)",
    "np.where(index3, V, W)",
    "np.choose(index3, [V, W, 2.0])",
    'np.choose([0, 3, 1], [V, W], mode="wrap")',
    "np.take(V, [[0, 1], [2, 2]])",
    "np.take(M, [0, -1], axis=1)",
    'np.take(V, [0, 7], mode="clip")',
    'np.take(V, [0, 7], mode="wrap")',
    "np.take([S, Y, 1.2], [0, 0])",
    "np.take_along_axis(M, np.argsort(M, axis=1), axis=1)",
    "np.take_along_axis(V, np.array([2, 0]), 0)",
    "np.compress([True, False], M, axis=0)",
    "np.insert(V, [0, 2], [S, Y])",
    "np.insert(M, 1, V, axis=0)",
    "np.insert(M, 1, S, axis=1)",
    "np.delete(M, [0, 2], axis=1)",
    "np.delete(V, slice(0, 2))",
    "np.append(M, [[S, 1.2, Y]], axis=0)",
    "np.resize(V, (2, 4))",
    "np.repeat(M, 2, axis=0)",
    "np.repeat(M, [2, 1], axis=0)",
    "np.tile(M, (2, 1))",
    "np.roll(M, 1, axis=1)",
    "np.roll(M, (1, 2), axis=(0, 1))",
    "np.roll(M, 2)",
    "np.flip(C, axis=(0, 2))",
    "np.rot90(C, k=3, axes=(0, 2))",
    "np.sort(C, axis=1)",
    "np.sort(M, axis=None)",
    'np.sort(M, kind="stable")',
    "np.sort([S, Y, 0.1])",
    "np.partition(M, 1, axis=1)",
    "np.lexsort((V, W))",
    "np.split(M, [1], axis=1)",
    "np.split(V, [1, 2])",
    "np.array_split(M, 2, axis=1)",
    "np.unstack(C, axis=1)",
    "np.broadcast_arrays(S, M, V)",
    "np.broadcast_to(S, (2, 3))",
    "np.meshgrid(V, W, sparse=True)",
    "np.meshgrid(V, [0.0, 1.0], S)",
    "np.block([V, S])",
    "np.block([[M], [J]])",
    "np.stack([V, [S, 1.2, Y]], axis=-1)",
    "np.stack([M, J], axis=1)",
    "np.stack([[S, Y], [1.2, 0.3]])",
    "np.concatenate([[S], V, [1.0, Y]])",
    "np.concatenate([M, J], axis=None)",
    "np.concatenate([v, W], dtype=np.float32)",
    "np.hstack([S, V])",
    "np.vstack([V, M])",
    "np.column_stack([V, M.T])",
    "np.linspace(S, Y, 3, retstep=True)",
    "np.linspace(V, W, 4, axis=1)",
    "np.linspace(S, 2.0, 4, endpoint=False)",
    "np.linspace(0.0, S, 1)",
    "np.logspace(S, 1.0, 3, base=2.0)",
    "np.arange(S, 3.0)",
    "np.tri(3) * S",
    "np.diag([S, Y])",
    "np.diag(V, k=1)",
    "np.diag(M, k=-1)",
    "np.diagonal(C, axis1=0, axis2=2)",
    "np.trace(C, axis1=1, axis2=2)",
    "np.trace(Q, offset=1)",
    "np.triu(M, k=-1)",
    "np.vander(V, increasing=True)",
    "np.polyfit(V, W, 1)",
    "np.polyval([S, Y, 1.2], 0.4)",
    "np.clip(V, [-1.0, -0.5, 0.0], W + 3.0)",
    "np.clip(v, -0.2, Sp)",
    "np.clip(V, min=-0.3)",
    "np.clip(V, max=S, min=-9.0)",
    "np.clip([S, Y], 0.0, 1.0)",
    "np.nan_to_num(V, copy=False)",
    "np.nancumsum([V[0], nan, V[1]])",
    "np.nanprod([V[0], nan, V[1]])",
    "np.nanmax([V[0], nan, V[1]])",
    "np.nanvar(np.where(mask23, M, nan), axis=1, ddof=1)",
    "np.nanstd(np.where(mask3, V, nan))",
    "np.digitize(V, [0.0, 0.5])",
    "np.searchsorted([0.0, 0.5], V)",
    "np.searchsorted(np.sort(V), 0.2)",
    "np.histogram(V, bins=2)",
    "np.histogram([0.1, 0.2, 0.7], bins=2, weights=V)",
    "np.bincount([0, 1, 1], weights=V)",
    "np.piecewise(V, [V < 0.0], [0.0, 1.0])",
    "np.apply_along_axis(np.cumsum, 0, M)",
    "np.apply_over_axes(np.sum, C, [0, 2])",
    "np.full((2, 2), S)",
    "np.full(3, V)",
    "np.copyto(b3, V)",
    "np.place(V, mask3, [S])",
    "np.put(V, [0], S)",
    "np.fill_diagonal(Q, S)",
    "np.asarray(V, dtype=float)",
    "np.asarray(V, dtype=np.float32)",
    "np.array(V, dtype=complex)",
    "np.array([V, W], dtype=float)",
    "np.array([S, Y], dtype=float)",
    "np.array([[S, Y], [1.2, S]])",
    "np.linalg.norm(V, axis=0)",
    "np.linalg.norm(M, axis=(0, 1))",
    "np.linalg.norm(M, ord=1)",
    "np.linalg.norm(M, ord=inf)",
    "np.linalg.norm(M, ord=-inf)",
    "np.linalg.norm(M, ord=2)",
    "np.linalg.norm(M, ord=-2)",
    'np.linalg.norm(M, ord="nuc")',
    "np.linalg.norm(M, ord=3, axis=1)",
    "np.linalg.norm(M, ord=0.5, axis=1)",
    "np.linalg.norm(V, ord=0)",
    'np.linalg.norm(C, axis=(0, 2), ord="fro", keepdims=True)',
    "np.linalg.norm([S, Y])",
    "np.linalg.vector_norm(M, axis=1, keepdims=True)",
    'np.linalg.matrix_norm(K, ord="nuc")',
    "np.linalg.solve(P, M.T)",
    "np.linalg.solve(P, K)",
    "np.linalg.solve(K, V)",
    "np.linalg.solve([[S, 0.2], [0.1, Yp]], V[:2])",
    "np.linalg.solve(P, [S, 1.2, Y])",
    "np.linalg.inv([[S, 0.2], [0.1, Yp]])",
    "np.linalg.det([[S, 0.2], [0.1, Yp]])",
    "np.linalg.det(np.outer(V, W))",
    "np.linalg.slogdet(-P)",
    "np.linalg.cholesky(P, upper=True)",
    "np.linalg.cholesky([[Sp, 0.2], [0.2, Yp]])",
    'np.linalg.eigh(P, UPLO="U")',
    "np.linalg.eigh(P).eigenvalues",
    'np.linalg.eigvalsh(P, "U")',
    "np.linalg.svd(K, compute_uv=False)",
    "np.linalg.svd(M.T, full_matrices=False)",
    "np.linalg.svd(M).S",
    "np.linalg.svd(P, hermitian=True)",
    'np.linalg.qr(Q, mode="r")',
    'np.linalg.qr(Q, mode="complete")',
    "np.linalg.pinv(P, hermitian=True)",
    "np.linalg.pinv(M, rcond=1e-10)",
    "np.linalg.lstsq(Q, V)",
    "np.linalg.lstsq(M.T, V, rcond=None)",
    "np.linalg.matrix_power(Q, 0)",
    "np.linalg.matrix_power(Q, 1)",
    "np.linalg.matrix_power(K, 2)",
    "np.linalg.matrix_power(Q, -2)",
    "np.linalg.multi_dot([V, Q, R, W])",
    "np.linalg.multi_dot([M, Q])",
    "np.linalg.cond(P, 1)",
    "special.logsumexp(M, axis=(0, 1))",
    "special.logsumexp(V, b=W, return_sign=True)",
    "special.logsumexp(V, b=[1.0, -0.2, 0.5], return_sign=True)",
    "special.logsumexp(M, axis=1, b=Vp)",
    "special.logsumexp([V, W], axis=0)",
    "special.logsumexp([S, -inf])",
    "special.softmax(M, axis=(0, 1))",
    "special.softmax([S, Y])",
    "special.log_softmax([S, Y])",
    "special.log_softmax(M, axis=None)",
    "special.gammainc(Vp, 2.0)",
    "special.gammainc(Vp, Wp)",
    "special.gammaincinv(2.0, Vu)",
    "special.betainc(Vp, 2.0, 0.3)",
    "special.betaincinv(2.0, 3.0, Vu)",
    "special.polygamma(0, Vp)",
    "special.polygamma([1, 2, 3], Vp)",
    "special.polygamma(3, 1.2 * Sp)",
    "special.multigammaln([Sp + 2.0], 2)",
    "special.zeta(Vp + 1.0)",
    "special.zeta(Vp + 1.0, 2.0)",
    "special.comb(5.0, Vp)",
    "special.comb(Vp, 2)",
    "special.factorial(Vp)",
    "special.stdtr(3.0, V)",
    "special.chdtr(3.0, Vp)",
    "special.fdtr(3.0, 4.0, Vp)",
    "special.bdtr(2.0, 5, Vu)",
    "special.pdtr(2.0, Vp)",
    "special.nbdtr(2, 3, Vu)",
    "special.owens_t(V, W)",
    "special.voigt_profile(V, Sp, Yp)",
    "special.jv(1.5, Vp)",
    "special.kv(Vp, 2.0)",
    "special.iv(0, Vp)",
    "special.kve(2, Vp)",
    "special.yv(1, Vp)",
    "special.spherical_jn(1, Vp)",
    "special.eval_legendre(3, Vu)",
    "special.eval_hermite(3, V)",
    "special.eval_chebyt(3, Vu)",
    "special.hyp1f1(1.5, 2.5, V)",
    "special.hyp2f1(0.5, 1.5, 2.5, Vu)",
    "special.lambertw(Vp)",
    "special.expn(2, Vp)",
    "special.pseudo_huber(1.0, V)",
    "special.inv_boxcox(Vp, 0.5)",
    "special.boxcox1p(Vp, 0.3)",
    "special.logit([Su, 0.3])",
    "special.xlogy([S, 0.0], [Yp, 0.0])",
    "special.tklmbda(V, 0.3)",
    "special.agm(Vp, Wp)",
    "special.diric(V, 3)",
]


# --- Together


def _made(name: str, lines: Iterable[str], option: str = "", **parts: str) -> Iterator[Form]:
    for line in lines:
        yield from _accepted(Form(name, line.format(f=name, **parts), option))


def _untraced(form: Form) -> Form:
    return Form(form.subject, lowered(form.text, form.traced), form.option)


def _accepted(form: Form) -> Iterator[Form]:
    if accepts(form):
        yield from split(form)


def lowered(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = re.sub(rf"(?<![\w'.]){name}(?![\w'])", name.lower(), text)
    return text


def split(form: Form) -> Iterator[Form]:
    """The form, and where it traces several values each of these alone."""
    if form.traced:
        yield form
    if len(form.traced) > 1 and not form.option:
        for name in form.traced:
            others = [other for other in form.traced if other != name]
            alone = Form(form.subject, lowered(form.text, others), form.option)
            if alone.traced == (name,):
                yield alone


# Of a list or an array of objects alone these give something else than of its numbers, and numpy
# shows the traced values to nobody: `and` and `or` of the objects, a fold in another order, bytes.
OTHER_OF_OBJECTS = {
    *("np.logical_and", "np.logical_or", "np.power", "np.arctan2"),
    *("np.frombuffer", "np.fromstring"),  # the latter reads bytes before numpy 2.3
}


def of_another_version(line: str) -> bool:
    """Whether a line calls what the numpy or scipy that is installed does not have."""
    name = line.split("(")[0]
    if name.startswith(("np.", "special.")) and name not in functions():
        return True
    return line in SINCE and np.lib.NumpyVersion(np.__version__) < SINCE[line]


SINCE = {"np.pad(M, {-1: (1, 0)})": "2.4.0"}
"""The numpy that was the first to take a line."""


def of_objects_alone(form: Form) -> bool:
    """Whether every traced value of a form is inside a list."""
    outside = re.sub(r"(?:np\.array\()?(?<![\w\])])\[(?:[^\[\]]|\[[^\[\]]*\])*\]\)?", "", form.text)
    return not any(re.search(rf"\b{name}\b", outside) for name in form.traced)


def calls(line: str, subject: str) -> bool:
    """Whether a line is one call of that function and nothing else."""
    if not line.startswith(f"{subject}("):
        return False
    expression = ast.parse(line, mode="eval").body
    return isinstance(expression, ast.Call) and ast.unparse(expression.func) == subject


@cache
def subjects() -> tuple[str, ...]:
    """What the forms call: every public function, method and operator."""
    items = ["ndarray.__getitem__", "ndarray.__setitem__"]
    return (*sorted(functions()), *methods(), *items, *operators())


@cache
def forms_of(subject: str) -> tuple[Form, ...]:
    """Every form of a function; none where it takes no floats."""
    made: dict[str, Form] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line in (*WANTED, *SPECIAL):
            if calls(line, subject) and accepts(Form(subject, line)):
                made.update((form.text, form) for form in split(Form(subject, line)))
        for form in _forms_of(subject):
            if subject not in OTHER_OF_OBJECTS or not of_objects_alone(form):
                made.setdefault(form.text, form)
    return tuple(made.values())


def _forms_of(subject: str) -> Iterator[Form]:
    if subject.startswith("math."):
        return math_forms(subject)
    if subject.startswith("ndarray.__"):
        return index_forms(subject)
    if subject.startswith("ndarray."):
        return method_forms(subject)
    if subject.startswith(("operator.", "builtins.")):
        return operator_forms(subject)
    function = functions()[subject][0]
    if isinstance(function, np.ufunc):
        return ufunc_forms(subject, function)
    return plain_forms(subject, function)
