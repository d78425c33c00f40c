"""Rules that scale directions."""

from genparams.update.rule import Rule, State, Tree, sqrt, stateless, zeros


def scale(factor: float) -> Rule:
    """Multiply by a fixed factor: direction = factor * g."""
    return stateless(lambda g, theta: {k: factor * v for k, v in g.items()}, "scale", factor=factor)


def scale_by_inverse_time(step_size_init: float, step_size_beta: float) -> Rule:
    """Multiply by a step size that falls with the number of steps.

        direction = step_size_init (step_size_beta + 1) / (step_size_beta + t) g

    t = 1, 2, ... counts the calls.
    """

    def init(theta: Tree) -> State:
        return {"t": 0}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict, State]:
        t = state["t"] + 1
        factor = step_size_init * (step_size_beta + 1.0) / (step_size_beta + t)
        return {k: factor * v for k, v in g.items()}, {"t": t}

    return Rule(
        init,
        apply,
        "scale_by_inverse_time",
        {"step_size_init": step_size_init, "step_size_beta": step_size_beta},
    )


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Rule:
    """Divide a running mean of gradients by the root of their running square.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon),   t = 1, 2, ...

    t counts the steps that a parameter took part in, so that one which joins late starts as it
    would have alone.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """

    def init(theta: Tree) -> State:
        return {
            "t": dict.fromkeys(theta, 0),
            "m": {k: zeros(v) for k, v in theta.items()},
            "v": {k: zeros(v) for k, v in theta.items()},
        }

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict, State]:
        steps, means, squares = dict(state["t"]), dict(state["m"]), dict(state["v"])
        directions = {}
        for k, d in g.items():
            t = steps[k] = steps[k] + 1
            m = means[k] = beta1 * means[k] + (1.0 - beta1) * d
            v = squares[k] = beta2 * squares[k] + (1.0 - beta2) * (d * d)
            directions[k] = (m / (1.0 - beta1**t)) / (sqrt(v / (1.0 - beta2**t)) + epsilon)
        return directions, {"t": steps, "m": means, "v": squares}

    return Rule(init, apply, "scale_by_adam", {"beta1": beta1, "beta2": beta2, "epsilon": epsilon})
