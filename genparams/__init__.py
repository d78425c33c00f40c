"""genparams trains the parameters of generative models written as ordinary Python functions."""

from genparams.constraints import (
    interval,
    lower_cholesky,
    ordered,
    positive,
    simplex,
    unit_interval,
)
from genparams.dsl.check import GradientCheck, check_gradients
from genparams.dsl.combinators import map_, mask, recurse, switch, unfold
from genparams.dsl.custom import custom_gradient, custom_random
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.bounded import (
    beta_uniform,
    piecewise_uniform,
    truncated_normal,
    von_mises,
)
from genparams.dsl.distributions.composite import product, zero_inflated
from genparams.dsl.distributions.continuous import (
    beta,
    cauchy,
    exponential,
    gamma,
    half_cauchy,
    half_normal,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    normal,
    student_t,
    uniform,
    weibull,
)
from genparams.dsl.distributions.discrete import (
    bernoulli,
    beta_binomial,
    binomial,
    categorical,
    geometric,
    neg_binomial,
    poisson,
    uniform_discrete,
)
from genparams.dsl.distributions.limited import censored, truncated
from genparams.dsl.distributions.mixture import mixture
from genparams.dsl.distributions.multivariate import dirichlet, multinomial, mvnormal
from genparams.dsl.distributions.own import distribution, from_scipy
from genparams.dsl.distributions.transformed import affine, transformed
from genparams.dsl.gen import GenerativeFunction, gen
from genparams.dsl.gradients import accumulate_param_gradients
from genparams.dsl.interpreter import Call, param
from genparams.dsl.parameters import (
    get_param,
    get_param_grad,
    increment_param_grad,
    init_param,
    set_param,
    set_param_grad,
    zero_param_grad,
)
from genparams.errors import GenParamsError
from genparams.params import Parameter, ParamStore, real
from genparams.trace.choices import ChoiceMap
from genparams.trace.selection import Selection, everything, nothing, select
from genparams.trace.trace import Trace
from genparams.update.configurations import ADAM, FixedStepGradientDescent, GradientDescent
from genparams.update.param_update import ParamUpdate
from genparams.update.rule import Rule, chain, stateless
from genparams.update.adaptive import scale_by_adam
from genparams.update.scaling import scale, scale_by_inverse_time

__all__ = [
    "ADAM",
    "Call",
    "ChoiceMap",
    "Distribution",
    "FixedStepGradientDescent",
    "GenParamsError",
    "GenerativeFunction",
    "GradientCheck",
    "GradientDescent",
    "ParamStore",
    "ParamUpdate",
    "Parameter",
    "Rule",
    "Selection",
    "Trace",
    "accumulate_param_gradients",
    "affine",
    "bernoulli",
    "beta",
    "beta_binomial",
    "beta_uniform",
    "binomial",
    "categorical",
    "cauchy",
    "censored",
    "chain",
    "check_gradients",
    "custom_gradient",
    "custom_random",
    "dirichlet",
    "distribution",
    "everything",
    "exponential",
    "from_scipy",
    "gamma",
    "gen",
    "geometric",
    "get_param",
    "get_param_grad",
    "half_cauchy",
    "half_normal",
    "increment_param_grad",
    "init_param",
    "interval",
    "inv_gamma",
    "laplace",
    "logistic",
    "lognormal",
    "lower_cholesky",
    "map_",
    "mask",
    "mixture",
    "multinomial",
    "mvnormal",
    "neg_binomial",
    "normal",
    "nothing",
    "ordered",
    "param",
    "piecewise_uniform",
    "poisson",
    "positive",
    "product",
    "real",
    "recurse",
    "scale",
    "scale_by_adam",
    "scale_by_inverse_time",
    "select",
    "set_param",
    "set_param_grad",
    "simplex",
    "stateless",
    "student_t",
    "switch",
    "transformed",
    "truncated",
    "truncated_normal",
    "unfold",
    "uniform",
    "uniform_discrete",
    "unit_interval",
    "von_mises",
    "weibull",
    "zero_inflated",
    "zero_param_grad",
]
