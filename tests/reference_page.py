"""Writes `docs/reference.md`, a page on every public name, from the docstrings.

python tests/reference_page.py

A name has its place by the module that it comes from. A new module needs a line in `GROUPS`, a new
method that users call a word in `MEMBERS`.
"""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from textwrap import dedent, indent, wrap
from types import FunctionType
from typing import Any

import genparams
from genparams import datasets, errors, kernels, plotting

PARTS = {"datasets": datasets, "kernels": kernels, "plotting": plotting}
"""The modules whose names are reached through them, as `genparams.datasets.faithful`."""

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

HEAD = """# Reference

Every public name: how it is called and what its docstring says, as `help(name)` shows it. The
[guide](guide.md) explains how the names work together.

This page is written by `make docs` from the docstrings. Do not edit it: edit the docstring.
"""

GROUPS = {
    "Modelling": "dsl.gen dsl.function dsl.interpreter dsl.call dsl.distributions.base",
    "Distributions": "distributions",
    "Distributions made of others": "dsl.distributions",
    "Sequences": "dsl.distributions.sequences",
    "Kernels of Gaussian processes": "kernels",
    "Distributions of your own": "dsl.distributions.own",
    "Combinators": "dsl.combinators",
    "Functions with gradients by hand": "dsl.custom",
    "Traces, choices and selections": "trace.trace trace.choices trace.selection",
    "Gradients": "dsl.gradients dsl.check",
    "Parameters": "params dsl.parameters",
    "Constraints": "constraints types",
    "Fits": "learning.fitting",
    "Training": "learning.training",
    "Inference": "learning.sampling",
    "Learning from incomplete data": "learning.latent",
    "Several processes": "dsl.parallel",
    "Updating": "update.param_update update.tracer update.plateau",
    "Checkpoints": "update.checkpoint",
    "Rules by name": "update.named_rules update.by_name",
    "Making rules": "update.rule update.formula update.grouping",
    "Parts of rules": "update",
    "Schedules": "update.schedules",
    "Projections": "update.projections",
    "Data": "datasets",
    "Pictures of fits": "plotting",
    "Errors and warnings": "errors",
}
"""The headings, each with modules. A name belongs to the longest of them that its module is in.

A module may be a folder. `distributions` means the objects that are distributions, such as
`normal`, wherever they are defined.
"""

MEMBERS = {
    "GenerativeFunction": "__call__ simulate generate propose assess",
    "GenFunction": "inline with_params",
    "Call": "log_prob log_probs sample",
    "Distribution": "log_prob log_probs sample has_gradients support",
    "Trace": "log_prob __getitem__ accumulate_param_gradients param_gradients choice_gradients"
    " update regenerate project rescored is_stale restore_parameters",
    "ChoiceMap": "get view rows to_dict merge select without to_array from_array",
    "Selection": "check",
    "ParamStore": "init items values discard",
    "Parameter": "value coordinates grad set set_grad increment_grad zero_grad accumulated freeze"
    " thaw frozen",
    "ParamUpdate": "apply parameters steps skipped learning_rate learning_rates set_learning_rates"
    " state_dict load_state_dict",
    "GradientTracer": "global_norm",
    "ReduceOnPlateau": "step state_dict load_state_dict",
    "GradientCheck": "",
    "Constraint": "",
    "FitResult": "estimates std_errors entries labels status missing warnings converged message"
    " iterations evaluations log_likelihood log_posterior num_params num_obs data_id df_residual"
    " aic aicc bic cov corr conf_int condition with_errors profile lr_test wald_test derive"
    " bootstrap simulate predict fitted residuals summary to_frame plot_profile plot_fit"
    " plot_residuals plot_qq plot_curve to_dict from_dict to_json from_json",
    "Draws": "traces values log_prob accept_rate divergent stats to_frame to_arviz",
    "EStep": "",
    "EarlyStopping": "",
    "Event": "params stop",
    "History": "steps epochs log_prob params grad_norm seconds objective stopped_because plot"
    " to_frame",
    "LocalProcesses": "",
    "ParticleFilter": "initialize step maybe_resample move particles log_marginal_likelihood"
    " effective_sample_size",
    "Particles": "log_weights values log_marginal_likelihood effective_sample_size"
    " expectation resample",
    "PlacedTraces": "",
    "StopAtChange": "",
    "StopAtGradient": "",
    "StopAtPlateau": "",
    "TensorBoardLogger": "close",
    "Kernel": "",
    "NISTSet": "x y degrees_of_freedom",
    "ReferenceFit": "",
    "Table": "",
}
"""The members of classes that a user calls."""

MADE_BY_A_USER = {"ChoiceMap", "ParamStore", "ParamUpdate", "GradientTracer", "ReduceOnPlateau"}
MADE_BY_A_USER |= {"EStep", "EarlyStopping", "LocalProcesses", "ParticleFilter", "StopAtChange"}
MADE_BY_A_USER |= {"StopAtGradient", "StopAtPlateau", "TensorBoardLogger"}
"""The classes above that a user calls; the library makes objects of the others."""

OBJECTS = {
    "everything": "The selection of all addresses.",
    "nothing": "The selection of no address.",
    "identity": "The rule that leaves every direction as it is.",
}
"""Objects whose docstring says what their class is."""


def listed() -> list[str]:
    """Every public name."""
    return [*genparams.__all__, *(name for part in PARTS.values() for name in part.__all__)]


def sources() -> dict[str, str]:
    """The module that each public name comes from, without `genparams.` in front."""
    tree = ast.parse(Path(genparams.__file__).read_text(encoding="utf-8"))
    found = {name: home for home, part in PARTS.items() for name in part.__all__}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.removeprefix("genparams.")
            found |= {alias.name: module for alias in node.names}
    public = {name: found[name] for name in listed()}
    families = [name for name in public if isinstance(find(name), genparams.Distribution)]
    return public | dict.fromkeys(families, "distributions")


def groups() -> dict[str, list[str]]:
    """The public names under each heading, in the order of its modules, functions first."""
    titles = {m: title for title, modules in GROUPS.items() for m in modules.split()}
    order = list(titles)
    places = {name: longest(module, titles) for name, module in sources().items()}
    found = defaultdict(list)
    for name in sorted(places, key=lambda n: (order.index(places[n]), n[0].isupper(), n)):
        found[titles[places[name]]].append(name)
    return found


def longest(module: str, known: Iterable[str]) -> str:
    """The longest of the known modules that a module is or is inside of."""
    inside = [m for m in known if f"{module}.".startswith(f"{m}.")]
    if not inside:
        raise LookupError(f"the names of genparams.{module} need a heading in GROUPS")
    return max(inside, key=len)


def find(name: str) -> Any:
    parts = (part for part in PARTS.values() if name in part.__all__)
    return getattr(next(parts, genparams), name)


def page() -> str:
    return "\n".join([HEAD, *(section(title, names) for title, names in groups().items())])


def section(title: str, names: list[str]) -> str:
    """A heading, links to its names, and the names; what the docstrings share is said once."""
    texts = {name: paragraphs(docstring(name)) for name in names}
    shared = [p for p in texts[names[0]] if len(names) > 2 and all(p in t for t in texts.values())]
    links = ", ".join(f"[{name}](#{name.lower()})" for name in names)
    parts = [f"## {title}", "\n".join(wrap(links, 100, break_on_hyphens=False))]
    if title == "Errors and warnings":
        parts.append(markdown(paragraphs(inspect.cleandoc(errors.__doc__ or ""))))
    if shared:
        parts += ["For all of them:", markdown(shared)]
    parts += [entry(name, [p for p in texts[name] if p not in shared]) for name in names]
    return "\n\n".join(parts) + "\n"


def entry(name: str, text: list[str]) -> str:
    """A name, how it is called, what its docstring says, and a line on each member."""
    parts = [f"### {name}", called(name), markdown(text)]
    if names := MEMBERS.get(name):
        parts += ["Members:", "\n".join(member(find(name), m) for m in names.split())]
    return "\n\n".join(filter(None, parts))


def docstring(name: str) -> str:
    return OBJECTS.get(name) or inspect.cleandoc(find(name).__doc__)


def called(name: str) -> str:
    """How a name is called, as a block of code; nothing if it is not called."""
    thing = find(name)
    is_called = isinstance(thing, (type, FunctionType, genparams.Distribution))
    is_error = isinstance(thing, type) and issubclass(thing, Exception)
    if not is_called or is_error or (name in MEMBERS and name not in MADE_BY_A_USER):
        return ""
    lines = wrap(name + arguments(thing), 92, break_on_hyphens=False, subsequent_indent="    ")
    return indent("\n".join(lines), "    ")


def arguments(function: Any) -> str:
    """The names and defaults of arguments, without types."""
    listed = inspect.signature(function).parameters.values()
    plain = [p.replace(annotation=p.empty) for p in listed if p.name not in ("self", "cls")]
    return re.sub(r"Ellipsis|<[^>]*>", "...", str(inspect.Signature(plain)))


def member(cls: type, name: str) -> str:
    """A method or property with the first sentence about it."""
    if name in (said := field_docstrings(cls)):
        text = " ".join(paragraphs(said[name])[0].split())
        return "\n".join(wrap(f"- `{name}`: {text}", 100, subsequent_indent="  "))
    there = inspect.getattr_static(cls, name)
    if isinstance(there, cached_property):
        there = property(there.func)
    function = getattr(there, "fget", None) or getattr(there, "__func__", there)
    listed = "" if isinstance(there, property) else arguments(function)
    shown = {"__call__": f"f{listed}", "__getitem__": "trace[address]"}.get(name, f"{name}{listed}")
    first = " ".join(paragraphs(inspect.cleandoc(function.__doc__ or ""))[0].split())
    return "\n".join(wrap(f"- `{shown}`: {first}", 100, subsequent_indent="  "))


def field_docstrings(cls: type) -> dict[str, str]:
    """The strings that follow the annotations of fields."""
    (code,) = ast.parse(dedent(inspect.getsource(cls))).body
    assert isinstance(code, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(str(text.value.value))
        for field, text in pairwise(code.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def paragraphs(text: str) -> list[str]:
    return [p for p in re.split(r"\n\s*\n", text) if p.strip()]


def markdown(texts: list[str]) -> str:
    return "\n\n".join(map(paragraph, texts))


def paragraph(text: str) -> str:
    """A paragraph of a docstring; examples become code, lists of arguments or errors lists."""
    if text.startswith((">>>", "log p(x) =")):
        return indent(text, "    ")
    title, _, rest = text.partition("\n")
    if re.match(r"(Args|Raises|Warns)\b.*:$", title):
        items = re.sub(r"^    ([\w, ]+): ", r"- `\1`: ", rest, flags=re.MULTILINE)
        return f"{title}\n\n" + re.sub(r"^ +", "  ", items, flags=re.MULTILINE)
    if title == "Returns:":
        return f"{title}\n{dedent(rest)}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
