"""genparams trains the parameters of generative models written as ordinary Python functions."""

from importlib import import_module
from typing import Any

from genparams.constraints import (
    interval,
    lower_cholesky,
    ordered,
    positive,
    simplex,
    unit_interval,
)
from genparams.dsl.call import Call
from genparams.dsl.check import GradientCheck, check_gradients
from genparams.dsl.combinators import map_, mask, recurse, switch, unfold
from genparams.dsl.custom import custom_gradient, custom_random
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.categorical import categorical
from genparams.dsl.distributions.composite import product
from genparams.dsl.distributions.continuous import (
    beta,
    beta_uniform,
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
    von_mises,
    weibull,
)
from genparams.dsl.distributions.discrete import (
    bernoulli,
    beta_binomial,
    binomial,
    geometric,
    neg_binomial,
    poisson,
    uniform_discrete,
)
from genparams.dsl.distributions.limits.limited import censored, truncated, truncated_normal
from genparams.dsl.distributions.mixture import mixture
from genparams.dsl.distributions.multivariate import dirichlet, multinomial
from genparams.dsl.distributions.mvnormal import mvnormal
from genparams.dsl.distributions.own import distribution, from_scipy
from genparams.dsl.distributions.piecewise import piecewise_uniform
from genparams.dsl.distributions.sequences import kernels as kernels
from genparams.dsl.distributions.sequences.autoregressive import (
    autoregressive,
    autoregressive_coefficients,
)
from genparams.dsl.distributions.sequences.autoregressive_forecast import autoregressive_forecast
from genparams.dsl.distributions.sequences.gaussian_process import (
    gaussian_process,
    gaussian_process_posterior,
)
from genparams.dsl.distributions.sequences.hidden_markov import hidden_markov
from genparams.dsl.distributions.sequences.hidden_markov_states import (
    hidden_markov_path,
    hidden_markov_smoother,
    hidden_markov_states,
)
from genparams.dsl.distributions.sequences.linear_gaussian import linear_gaussian
from genparams.dsl.distributions.sequences.linear_gaussian_states import (
    linear_gaussian_filter,
    linear_gaussian_forecast,
    linear_gaussian_smoother,
    linear_gaussian_states,
)
from genparams.dsl.distributions.sequences.markov_chain import markov_chain
from genparams.dsl.distributions.transformed import affine, transformed
from genparams.dsl.distributions.zero_inflated import zero_inflated
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.gen import GenFunction, gen
from genparams.dsl.gradients import accumulate_param_gradients
from genparams.dsl.interpreter import param
from genparams.dsl.parallel.placed import PlacedTraces, place
from genparams.dsl.parallel.processes import LocalProcesses
from genparams.dsl.parameters import (
    get_param,
    get_param_grad,
    increment_param_grad,
    init_param,
    set_param,
    set_param_grad,
    zero_param_grad,
)
from genparams.errors import (
    ComputedHere,
    DivergentTrajectories,
    FitWarning,
    GenParamsError,
    GenParamsWarning,
    GradientsWaiting,
    ReplacedFunction,
    UnreadParameter,
    UntrainedParameter,
)
from genparams.learning.fitting.fit import fit
from genparams.learning.fitting.result import FitResult
from genparams.learning.latent.bound_gradients import (
    accumulate_elbo_gradients,
    accumulate_vimco_gradients,
)
from genparams.learning.latent.e_steps import EStep, filter_e_step, importance_e_step, mcmc_e_step
from genparams.learning.latent.em import monte_carlo_em
from genparams.learning.latent.lecture import lecture, lecture_batched
from genparams.learning.latent.variational import black_box_vi, black_box_vimco
from genparams.learning.latent.wake_sleep import reweighted_wake_sleep, wake_sleep
from genparams.learning.sampling.draws import Draws
from genparams.learning.sampling.elliptical import elliptical_slice
from genparams.learning.sampling.hmc import hmc
from genparams.learning.sampling.importance import importance_resampling, importance_sampling
from genparams.learning.sampling.mala import mala
from genparams.learning.sampling.map_optimize import map_optimize
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.metropolis import metropolis_hastings
from genparams.learning.sampling.nuts import nuts
from genparams.learning.sampling.particle_filter import ParticleFilter
from genparams.learning.sampling.particles import Particles
from genparams.learning.training.events import Event
from genparams.learning.training.history import History
from genparams.learning.training.loggers import TensorBoardLogger
from genparams.learning.training.stopping import (
    EarlyStopping,
    StopAtChange,
    StopAtGradient,
    StopAtPlateau,
)
from genparams.learning.training.train import train
from genparams.mistakes import unknown_name
from genparams.params import Parameter, ParamStore
from genparams.trace.choices import ChoiceMap
from genparams.trace.selection import Selection, everything, nothing, select
from genparams.trace.trace import Trace
from genparams.types import Constraint, real
from genparams.update.adaptive import (
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_nadam,
    scale_by_radam,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    scale_by_yogi,
)
from genparams.update.by_name import by_name, from_hyperparameters, known_rules
from genparams.update.checkpoint import checkpoint_metadata, load_checkpoint, save_checkpoint
from genparams.update.clipping import (
    centralize,
    clip,
    clip_by_global_norm,
    clip_by_norm,
    scale_by_trust_ratio,
)
from genparams.update.formula import elementwise
from genparams.update.grouping import accumulate, only, partition, project, with_schedule
from genparams.update.momentum import momentum_trace, scale_by_lion
from genparams.update.named_rules import (
    ADAM,
    LAMB,
    LARS,
    SGD,
    AdaBelief,
    AdaDelta,
    AdaGrad,
    Adamax,
    AdamW,
    AMSGrad,
    FixedStepGradientDescent,
    GradientDescent,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    RAdam,
    RMSProp,
    Yogi,
)
from genparams.update.param_update import ParamUpdate
from genparams.update.plateau import ReduceOnPlateau
from genparams.update.projections import (
    project_ball,
    project_box,
    project_monotonic,
    project_monotonic_approximately,
    project_simplex,
)
from genparams.update.regularizing import add_decayed_weights, add_noise
from genparams.update.rule import Rule, chain, identity, stateful, stateless
from genparams.update.scaling import (
    scale,
    scale_by_inverse_time,
    scale_by_schedule,
    scale_by_state,
)
from genparams.update.schedules import (
    constant_schedule,
    cosine_decay,
    exponential_decay,
    inverse_time_decay,
    join_schedules,
    one_over_sqrt,
    piecewise_constant,
    polynomial_decay,
)
from genparams.update.tracer import GradientTracer

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in ("datasets", "plotting", "reporting"):
        return import_module(f"genparams.{name}")
    raise unknown_name(name, __all__)


# models
__all__ = ["Call", "GenFunction", "GenerativeFunction", "custom_gradient", "custom_random", "gen"]
__all__ += ["param"]
# combinators
__all__ += ["map_", "mask", "recurse", "switch", "unfold"]
# gradients, traces
__all__ += ["ChoiceMap", "GradientCheck", "Selection", "Trace", "accumulate_param_gradients"]
__all__ += ["check_gradients", "everything", "nothing", "select"]
# distributions
__all__ += ["Distribution", "affine", "bernoulli", "beta", "beta_binomial", "beta_uniform"]
__all__ += ["binomial", "categorical", "cauchy", "censored", "dirichlet", "distribution"]
__all__ += ["exponential", "from_scipy", "gamma", "geometric", "half_cauchy", "half_normal"]
__all__ += ["inv_gamma", "laplace", "logistic", "lognormal", "mixture", "multinomial", "mvnormal"]
__all__ += ["neg_binomial", "normal", "piecewise_uniform", "poisson", "product", "student_t"]
__all__ += ["transformed", "truncated", "truncated_normal", "uniform", "uniform_discrete"]
__all__ += ["von_mises", "weibull", "zero_inflated"]
# sequences
__all__ += ["autoregressive", "autoregressive_coefficients", "autoregressive_forecast"]
__all__ += ["gaussian_process", "gaussian_process_posterior", "hidden_markov"]
__all__ += ["hidden_markov_path", "hidden_markov_smoother", "hidden_markov_states"]
__all__ += ["linear_gaussian", "linear_gaussian_filter", "linear_gaussian_forecast"]
__all__ += ["linear_gaussian_smoother", "linear_gaussian_states", "markov_chain"]
# parameters
__all__ += ["Constraint", "ParamStore", "Parameter", "get_param", "get_param_grad"]
__all__ += ["increment_param_grad", "init_param", "interval", "lower_cholesky", "ordered"]
__all__ += ["positive", "real", "set_param", "set_param_grad", "simplex", "unit_interval"]
__all__ += ["zero_param_grad"]
# fits
__all__ += ["FitResult", "fit"]
# training
__all__ += ["EarlyStopping", "Event", "History", "StopAtChange", "StopAtGradient", "StopAtPlateau"]
__all__ += ["TensorBoardLogger", "train"]
# inference
__all__ += ["Draws", "ParticleFilter", "Particles", "elliptical_slice", "hmc"]
__all__ += ["importance_resampling", "importance_sampling", "mala", "map_optimize", "mcmc"]
__all__ += ["metropolis_hastings", "nuts"]
# learning from incomplete data
__all__ += ["EStep", "accumulate_elbo_gradients", "accumulate_vimco_gradients", "black_box_vi"]
__all__ += ["black_box_vimco", "filter_e_step", "importance_e_step", "lecture", "lecture_batched"]
__all__ += ["mcmc_e_step", "monte_carlo_em", "reweighted_wake_sleep", "wake_sleep"]
# several processes
__all__ += ["LocalProcesses", "PlacedTraces", "place"]
# updates
__all__ += ["GradientTracer", "ParamUpdate", "ReduceOnPlateau", "by_name", "checkpoint_metadata"]
__all__ += ["from_hyperparameters", "known_rules", "load_checkpoint", "save_checkpoint"]
# rules
__all__ += ["ADAM", "LAMB", "LARS", "SGD", "AMSGrad", "AdaBelief", "AdaDelta", "AdaGrad", "AdamW"]
__all__ += ["Adamax", "FixedStepGradientDescent", "GradientDescent", "Lion", "Momentum", "NAdam"]
__all__ += ["Nesterov", "RAdam", "RMSProp", "Yogi"]
# parts of rules
__all__ += ["Rule", "accumulate", "add_decayed_weights", "add_noise", "centralize", "chain", "clip"]
__all__ += ["clip_by_global_norm", "clip_by_norm", "elementwise", "identity", "momentum_trace"]
__all__ += ["only", "partition", "project", "scale", "scale_by_adadelta", "scale_by_adam"]
__all__ += ["scale_by_adamax", "scale_by_amsgrad", "scale_by_belief", "scale_by_inverse_time"]
__all__ += ["scale_by_lion", "scale_by_nadam", "scale_by_radam", "scale_by_rms", "scale_by_rss"]
__all__ += ["scale_by_schedule", "scale_by_state", "scale_by_stddev", "scale_by_trust_ratio"]
__all__ += ["scale_by_yogi", "stateful", "stateless", "with_schedule"]
# schedules
__all__ += ["constant_schedule", "cosine_decay", "exponential_decay", "inverse_time_decay"]
__all__ += ["join_schedules", "one_over_sqrt", "piecewise_constant", "polynomial_decay"]
# projections
__all__ += ["project_ball", "project_box", "project_monotonic", "project_monotonic_approximately"]
__all__ += ["project_simplex"]
# errors
__all__ += [
    "ComputedHere",
    "DivergentTrajectories",
    "FitWarning",
    "GenParamsError",
    "GenParamsWarning",
    "GradientsWaiting",
    "ReplacedFunction",
]
__all__ += ["UnreadParameter", "UntrainedParameter"]
