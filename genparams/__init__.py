"""genparams trains the parameters of generative models written as ordinary Python functions."""

from genparams.constraints import (
    interval,
    lower_cholesky,
    ordered,
    positive,
    simplex,
    unit_interval,
)
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import (
    beta,
    exponential,
    gamma,
    laplace,
    lognormal,
    normal,
    student_t,
    uniform,
)
from genparams.dsl.distributions.discrete import bernoulli, binomial, categorical, poisson
from genparams.dsl.distributions.mixture import mixture
from genparams.dsl.distributions.multivariate import dirichlet, mvnormal
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
from genparams.trace.trace import Trace
from genparams.update.configurations import ADAM, FixedStepGradientDescent, GradientDescent
from genparams.update.param_update import ParamUpdate
from genparams.update.rule import Rule, chain, stateless
from genparams.update.scaling import scale, scale_by_adam, scale_by_inverse_time

__all__ = [
    "ADAM",
    "Call",
    "ChoiceMap",
    "Distribution",
    "FixedStepGradientDescent",
    "GenParamsError",
    "GenerativeFunction",
    "GradientDescent",
    "ParamStore",
    "ParamUpdate",
    "Parameter",
    "Rule",
    "Trace",
    "accumulate_param_gradients",
    "bernoulli",
    "beta",
    "binomial",
    "categorical",
    "chain",
    "dirichlet",
    "exponential",
    "gamma",
    "gen",
    "get_param",
    "get_param_grad",
    "increment_param_grad",
    "init_param",
    "interval",
    "laplace",
    "lognormal",
    "lower_cholesky",
    "mixture",
    "mvnormal",
    "normal",
    "ordered",
    "param",
    "poisson",
    "positive",
    "real",
    "scale",
    "scale_by_adam",
    "scale_by_inverse_time",
    "set_param",
    "set_param_grad",
    "simplex",
    "stateless",
    "student_t",
    "uniform",
    "unit_interval",
    "zero_param_grad",
]
