"""Every error that genparams raises, in one tree.

    GenParamsError
    |- AddressError (LookupError)
    |  |- AddressConflict          visited twice, or nested under another choice
    |  |- UnusedConstraint         a value given for an address that was never visited
    |  |- MissingChoice            an execution needs a value that was not given
    |  `- UnknownAddress           a trace or choice map has no value there
    |- ModelError (TypeError)
    |  |- NotRunning               `param` or `@` outside a running generative function
    |  |- UnaddressedChoice        a call used as a value: `@ "name"` is missing
    |  |  `- UnaddressedAttribute     (AttributeError) an attribute of its value was read
    |  |- ArgumentError            the wrong number or names of arguments
    |  |- ImmutableError           an assignment into a trace or a choice map
    |  `- TracedValueError         what cannot be done to a value that is being differentiated
    |     `- TracedAttribute          (AttributeError) an attribute that such a value does not have
    |- InvalidValue (ValueError)
    |  |- DistributionError        an argument outside a distribution's domain
    |  |- ShapeError               the wrong shape
    |  |  `- GradientShapeError    a user's gradient of the wrong count or shape
    |  `- ConstraintError          a parameter's value outside its constraint
    |- WrongGradient (ArithmeticError)   a gradient disagrees with finite differences
    |- UnknownAttribute (AttributeError)   an attribute that an object does not have
    |- ParameterError (LookupError)
    |  |- UnknownParameter         no parameter of that name
    |  |- UninitializedParameter   read before it was given a value
    |  `- UnknownFunction          no live function of that name, or two
    |- TraceError (RuntimeError)
    |  |- ReplayDiffers            a replay of a trace gives other results than its run
    |  |- ImpossibleTrace          a gradient of a log probability that is not finite
    |  |- ForeignParameters        a trace of another process, where parameters have other values
    |  |- StaticDiffers            a static function computes something else than its recording
    |  `- StructureChange          moving a choice changes which other choices there are
    |- FitError (RuntimeError)
    |  |- LatentChoice             a fit or a training of a model with choices without data
    |  |- ChoicesDiffer            other choices at other parameters: the likelihood has a jump
    |  |- NoModel                  a fit loaded from a file is asked for what needs its model
    |  |- ModelChanged             what the model of a fit reads has changed since
    |  |- NotComparable            two fits that a test cannot compare
    |  `- NoProfile                a profile that cannot be computed
    |- InferenceError (RuntimeError)
    |  |- NoDensity                no trace has a probability density: weights that are all zero
    |  |- ProposalMismatch         a proposal makes other choices than it can be used for
    |  |- NoStepSize               no step size makes a sampler's steps accurate
    |  |- GuideMismatch            a guide whose choices do not fit its model
    |  `- NotInvolution            an involution that does not lead back, or a wrong Jacobian
    |- CannotRecord (RuntimeError)   a computation that cannot be recorded as operations
    |  `- TooManyOperations       a recording that would be too long
    |- NotPicklable (TypeError)   what cannot be sent to another process
    |- WorkersLost (RuntimeError)   work that has ended several worker processes
    |- DeepRecursion (RecursionError)    a model that calls itself deeper than Python allows
    |- UpdateError (RuntimeError)
    |  |- NothingAccumulated       `apply` without a gradient
    |  |- AccumulatorsNotEmpty     a training loop begins where gradients wait already
    |  |- NothingToTrain           an update that shares no parameter with the model
    |  |- NonFiniteGradient        a gradient with a NaN or an infinity
    |  `- StateMismatch            a saved state that does not fit
    |- UnknownImport (ImportError)   an import of a name that genparams does not have
    |- MissingExtra (ImportError)   a package of an extra is not installed
    `- CheckpointError (OSError)   a file that is not a checkpoint, or is damaged

Each also derives from the builtin in brackets, has its data as attributes, and says what to write
instead.

What may be a mistake or intended is a warning:

    GenParamsWarning (UserWarning)
    |- UntrainedParameter   gradients wait at a parameter that no update moves
    |- UnreadParameter      no run reads a parameter, and one with a similar name is read
    |- GradientsWaiting     a new update finds gradients that were accumulated before it
    |- ComputedHere         a worker could not do its work, and the calling process did it
    |- ReplacedFunction     an update trains a function that was defined again later
    |- NotStatic            a static function is interpreted
    |- CannotCache          compiled code cannot be kept for the next process
    |- DivergentTrajectories   a sampler left the region where its integrator is accurate
    `- FitWarning           what a fit says of its estimates
       |- NotConverged         the search did not end at a maximum
       |- AtBoundary           the maximum is at the bound of a constraint
       |- Separation           the likelihood rises without end as a parameter grows
       |- Collapse             the likelihood has no bound as a scale goes to 0
       |- FlatDirection        the data do not determine a parameter or a combination
       `- IllConditioned       the estimates lose digits to rounding
"""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a misspelt name: the nearest known name, or some known names.

    Names are compared by their letters and digits, without quotes, brackets, hyphens and case.
    """
    known = sorted(known)
    near = likely(str(name), known)
    if near is not None:
        return f"did you mean {near}?"
    more = f", and {len(known) - 5} more" if len(known) > 5 else ""
    return f"known: {', '.join(known[:5])}{more}" if known else "there are none"


def likely(name: str, known: Iterable[str]) -> str | None:
    """The known name that was likely meant; None if none is similar."""
    by_letters = {_letters(k): k for k in sorted(known, reverse=True)}
    letters = _letters(name)
    alike = 0.5 if len(letters) < 4 else 0.6
    if not any(map(str.isalpha, letters)):
        alike = 1.0  # another number is not a misspelling
    near = get_close_matches(letters, by_letters, n=1, cutoff=alike)
    return by_letters[near[0]] if near else None


def _letters(name: str) -> str:
    has_letters = any(map(str.isalpha, name))  # the sign of a number is no hyphen
    return name.translate(_HYPHENS if has_letters else _QUOTES).lower()


_QUOTES = str.maketrans("", "", "'\"(),")
_HYPHENS = str.maketrans("", "", "'\"(),-_")


class GenParamsError(Exception):
    """What every error of genparams derives from. It pickles, so that a worker can send it."""

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(
    cls: type[Exception], args: tuple[object, ...], data: dict[str, object]
) -> Exception:
    """An error with this message and this data, made without `__init__`."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(data)
    return error


class AddressError(GenParamsError, LookupError):
    """Something is wrong with an address."""


class AddressConflict(AddressError):
    """An address is visited twice, or is nested under a choice, or a choice is nested under it."""


class UnusedConstraint(AddressError):
    """A value was given for an address that the execution never visited."""


class MissingChoice(AddressError):
    """The execution needs the value of a choice that was not given."""


class UnknownAddress(AddressError):
    """There is no value at that address."""


class ModelError(GenParamsError, TypeError):
    """A model does something that a model cannot do."""


class NotRunning(ModelError):
    """`param` or `@` was used while no generative function runs."""


class UnaddressedChoice(ModelError):
    """A call was used as a value before `@` gave it an address."""


class UnaddressedAttribute(UnaddressedChoice, AttributeError):
    """An attribute of a call's value was read before `@` gave the call an address."""


class ArgumentError(ModelError):
    """A function was called with the wrong number or names of arguments."""


class ImmutableError(ModelError):
    """An assignment into a trace or a choice map, which do not change."""


class TracedValueError(ModelError):
    """A value that is being differentiated was used in a way that would lose its derivative."""


class TracedAttribute(TracedValueError, AttributeError):
    """A value that is being differentiated does not have the attribute that was read."""


class InvalidValue(GenParamsError, ValueError):
    """A value that cannot be used where it was given."""


class DistributionError(InvalidValue):
    """A distribution was given an argument or a value outside its domain."""


class ShapeError(InvalidValue):
    """An array of the wrong shape."""


class GradientShapeError(ShapeError):
    """A gradient that a user gave has the wrong count or shape."""


class ConstraintError(InvalidValue):
    """A parameter's value lies outside its constraint."""


class WrongGradient(GenParamsError, ArithmeticError):
    """A gradient disagrees with finite differences of its function."""


class UnknownAttribute(GenParamsError, AttributeError):
    """An attribute was read or set that the object does not have, or that cannot be set."""


class ParameterError(GenParamsError, LookupError):
    """Something is wrong with a parameter's name."""


class UnknownParameter(ParameterError):
    """There is no parameter of that name."""


class UninitializedParameter(ParameterError):
    """A parameter was read before it was given a value."""


class UnknownFunction(ParameterError):
    """There is no live function of that name, or there are two."""


class TraceError(GenParamsError, RuntimeError):
    """A trace cannot be used in this way."""


class ReplayDiffers(TraceError):
    """A replay of a trace, at the parameters of its run, gives other results than the run.

    `address` is the first choice that differs, None for the return value. `then` and `now` are the
    log probabilities there (for the return value, the values) in the run and in the replay, None
    where the choice was not visited. `found` says what differs, if it is something else.
    """

    def __init__(
        self,
        function: str,
        address: str | None,
        then: object,
        now: object,
        cause: str,
        found: str = "",
    ):
        self.function, self.address, self.then, self.now = function, address, then, now
        difference = found or self._difference()
        super().__init__(
            f"a gradient runs {function} again on its trace, and this replay differs from the run: "
            f"{difference}. {cause}"
        )

    def _difference(self) -> str:
        address, then, now = self.address, self.then, self.now
        if then is None:
            return f"the replay visits {address}, which the run did not visit"
        if now is None:
            return f"the run visited {address}, which the replay does not visit"
        if address:
            return (
                f"at {address} the log probability was {then!r} in the run and is {now!r} in the "
                "replay"
            )
        return f"the return value was {then} in the run and is {now} in the replay"


class ImpossibleTrace(TraceError):
    """The log probability of a trace is not finite, and has no gradient."""

    def __init__(self, function: str, address: str, log_prob: float, why: str):
        self.function, self.address, self.log_prob = function, address, log_prob
        super().__init__(
            f"{address} of {function} has log probability {log_prob} at the present parameters, "
            f"which has no gradient: {why}. Correct or leave out the data, or take a distribution "
            "whose support holds them"
        )


class ForeignParameters(TraceError):
    """A trace from another process is used, and its parameters have other values here."""

    def __init__(self, function: str, parameter: str, then: object, now: str):
        self.function, self.parameter, self.then = function, parameter, then
        super().__init__(
            f"this trace was made in another process, where parameter {parameter!r} of {function} "
            f"was {then}; here it {now}. Write trace.restore_parameters() to give the parameters "
            "the values of that run, or trace.rescored() for a trace at the values here"
        )


class StaticDiffers(TraceError):
    """A static function computes something else than the operations that were recorded of it."""


class StructureChange(TraceError):
    """Moving a choice along a gradient changes which other choices there are.

    `address` is the choice that appears or disappears.
    """

    def __init__(self, function: str, address: str, appears: bool):
        self.function, self.address, self.appears = function, address, appears
        what = "visits {}, which the trace does not have" if appears else "no longer visits {}"
        super().__init__(
            f"as its choices move along a gradient, {function} {what.format(address)}; select "
            "choices that do not decide which others there are, and move the choice that decides "
            "by metropolis_hastings"
        )


class FitError(GenParamsError, RuntimeError):
    """A fit cannot begin, or cannot give what it is asked for."""


class LatentChoice(FitError):
    """A fit or a training is asked for a model with choices that have no data."""


class ChoicesDiffer(FitError):
    """A model makes other choices at other parameters, so that its likelihood has a jump."""


class NoModel(FitError):
    """The result of a fit was loaded from a file, and what it is asked for needs the model."""


class ModelChanged(FitError):
    """The model of a fit gives another log likelihood than at the fit."""


class NotComparable(FitError):
    """Two fits that a test cannot compare."""


class NoProfile(FitError):
    """The profile of a likelihood cannot be computed."""


class InferenceError(GenParamsError, RuntimeError):
    """A method of inference cannot be used for this model or these data."""


class NoDensity(InferenceError):
    """Every log probability is -inf, or one is NaN: there is nothing to weigh or to begin at."""

    def __init__(self, function: str, address: str, log_prob: float, what: str):
        self.function, self.address, self.log_prob = function, address, log_prob
        super().__init__(
            f"{what}: {address} of {function} has log probability {log_prob}. Correct the data, "
            "give values of other choices in their support, or take a distribution whose support "
            "holds them"
        )


class ProposalMismatch(InferenceError):
    """A proposal makes other choices than those that it can be used for."""


class GuideMismatch(InferenceError):
    """A guide makes choices that its model does not make, or to which it gives no density."""


class NotInvolution(InferenceError):
    """A transformation is not its own inverse, or the Jacobian that it gives is not its own."""


class NoStepSize(InferenceError):
    """A sampler that follows gradients finds no step size at which its steps are accurate."""

    def __init__(self, function: str, step_size: float):
        self.function, self.step_size = function, step_size
        why = (
            "however small its steps are, they change the log probability by much: it jumps where "
            "the chain begins; begin elsewhere"
            if step_size < 1.0
            else "however long its steps are, they do not change the log probability: it does not "
            "depend on the selected choices enough to be a distribution"
        )
        super().__init__(f"no step size fits {function} near {step_size:.0e}: {why}")


class CannotRecord(GenParamsError, RuntimeError):
    """A computation does something that cannot be recorded as operations on numbers and arrays."""


class TooManyOperations(CannotRecord):
    """A recording would have more operations than it may have."""


class NotPicklable(GenParamsError, TypeError):
    """A part of some work cannot be sent to another process."""

    def __init__(self, part: str, why: str):
        self.part, self.why = part, why
        super().__init__(
            f"{part} cannot be sent to another process: {why}. Define functions and models at the "
            "top of a module, and keep open files, locks and lambdas out of arguments"
        )


class WorkersLost(GenParamsError, RuntimeError):
    """Some work was given up, because each worker that it was given to has died."""

    def __init__(self, work: str, attempts: int, why: str):
        self.work, self.attempts, self.why = work, attempts, why
        super().__init__(
            f"{work} was given up, because every worker that had it died; workers: {attempts}, the "
            f"last error: {why.strip('. ')}. If it takes more memory than there is, use fewer "
            "workers at a time or smaller traces; a script that starts processes does its work "
            'under if __name__ == "__main__":'
        )


class DeepRecursion(GenParamsError, RecursionError):
    """A generative function calls itself deeper than Python's stack allows."""

    def __init__(self, function: str, depth: int, limit: int):
        self.function, self.depth, self.limit = function, depth, limit
        super().__init__(
            f"{function} was {depth} calls deep when Python's limit of {limit} frames was reached; "
            "write the recursion as a loop, unfold(kernel)(length, state), or raise the limit by "
            "sys.setrecursionlimit(...)"
        )


class UpdateError(GenParamsError, RuntimeError):
    """An update cannot be applied."""


class NothingAccumulated(UpdateError):
    """`apply` was called while no gradient has been accumulated."""


class AccumulatorsNotEmpty(UpdateError):
    """Gradients wait at parameters while a training loop begins, which would add to them."""


class NothingToTrain(UpdateError):
    """An update shares no parameter with the model that is trained."""


class NonFiniteGradient(UpdateError):
    """A gradient contains a NaN or an infinity."""

    def __init__(self, function: str, parameter: str, step: int, address: str | None):
        self.function, self.parameter, self.step, self.address = function, parameter, step, address
        where = f"; the log probability of {address} made it" if address else ""
        super().__init__(
            f"the gradient of {function}'s parameter {parameter!r} is not finite at step "
            f"{step}{where}. "
            "Nothing was changed: zero the accumulators, then lower the step size or correct "
            "the model"
        )


class StateMismatch(UpdateError):
    """A saved state does not fit what it is loaded into."""


class UnknownImport(GenParamsError, ImportError):
    """genparams has no public name of that spelling."""


class MissingExtra(GenParamsError, ImportError):
    """Something needs a package that is installed with an extra of genparams.

    Args:
        why: What the import said of a package that is installed.
    """

    def __init__(self, wanted: str, package: str, extra: str, why: str | None = None):
        self.wanted, self.package, self.extra, self.why = wanted, package, extra, why
        found = f"which cannot be imported ({why})" if why else "which is not installed"
        super().__init__(f"{wanted} needs {package}, {found}; run pip install genparams[{extra}]")


class CheckpointError(GenParamsError, OSError):
    """A file is not a checkpoint, is damaged, or has a format that is not known."""


class GenParamsWarning(UserWarning):
    """What every warning of genparams derives from."""


class UntrainedParameter(GenParamsWarning):
    """A parameter that the model's runs read has gradients, and no update moves it."""


class UnreadParameter(GenParamsWarning):
    """No run has read a parameter of a function, and the runs read one with a similar name."""


class GradientsWaiting(GenParamsWarning):
    """The parameters of a new update have gradients that were accumulated before it."""


class ComputedHere(GenParamsWarning):
    """A worker could not do some work, which the calling process has done in its place."""


class ReplacedFunction(GenParamsWarning):
    """An update moves the parameters of a function that was defined again later."""


class CannotCache(GenParamsWarning):
    """A folder for compiled code cannot be written, so each process compiles again."""

    def __init__(self, folder: str, why: str):
        self.folder, self.why = folder, why
        super().__init__(
            f"compiled code cannot be kept in {folder} ({why}), so each process compiles again; "
            "set GENPARAMS_CACHE to a folder that can be written"
        )


class DivergentTrajectories(GenParamsWarning):
    """A sampler that follows gradients left the region where its integrator is accurate."""


class FitWarning(GenParamsWarning):
    """What a fit says of its estimates: each warning is in `FitResult.warnings` too."""


class NotConverged(FitWarning):
    """The search did not end at a maximum."""


class AtBoundary(FitWarning):
    """The likelihood is largest at the bound of a constraint, where no coordinate is."""


class Separation(FitWarning):
    """The likelihood rises without end as a parameter grows, so that it has no maximum."""


class Collapse(FitWarning):
    """The likelihood has no bound: a scale goes to 0 around single observations."""


class FlatDirection(FitWarning):
    """The data do not determine a parameter, or a combination of parameters."""


class IllConditioned(FitWarning):
    """The estimates are so nearly dependent that rounding takes many of their digits."""


class NotStatic(GenParamsWarning):
    """A static function is interpreted, because no recording of it can be used."""
