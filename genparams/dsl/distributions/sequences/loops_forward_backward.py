"""`forward_backward` as loops over single numbers, which numba can compile."""

import math

import numpy as np

NEVER = -1e300
ALWAYS = 1e200
FAINT = 1e-140
STEEPEST = 600.0


def forward_backward(initial, transition, log_emissions):
    """As `forward_backward.forward_backward`: scaled step by step, or else by logarithms."""
    count, states, length = log_emissions.shape
    kinds = transition.shape[1]
    log_p = np.empty(count)
    by_initial = np.zeros((count, states))
    by_transition = np.zeros((count, kinds, states, states))
    by_log_e = np.empty((count, states, length))
    alpha = np.empty((length, states))
    e = np.empty((length, states))
    masses = np.empty(length)
    log_e = np.empty((length, states))
    beta = np.empty(states)
    after = np.empty(states)
    for n in range(count):
        pi = initial[n if initial.shape[0] > 1 else 0]
        a = transition[n if transition.shape[0] > 1 else 0]
        for t in range(length):
            for j in range(states):
                log_e[t, j] = min(max(log_emissions[n, j, t], NEVER), ALWAYS)

        # --- With scaled probabilities

        faint = False
        total = 0.0
        for t in range(length):
            top = 2.0 * NEVER
            for j in range(states):
                if t > 0:
                    top = max(top, log_e[t, j])
                elif pi[j] > 0.0:
                    top = max(top, math.log(pi[j]) + log_e[0, j])
            mass = 0.0
            for j in range(states):
                e[t, j] = math.exp(min(log_e[t, j] - top, STEEPEST))
                v = 0.0
                if t > 0:
                    step = t - 1 if kinds > 1 else 0
                    for i in range(states):
                        v += alpha[t - 1, i] * a[step, i, j]
                elif pi[j] > 0.0:
                    v = pi[j]
                alpha[t, j] = v * e[t, j]
                mass += alpha[t, j]
            if not mass > FAINT:
                faint = True
                break
            masses[t] = mass
            total += math.log(mass) + top
            for j in range(states):
                alpha[t, j] /= mass
        if not faint:
            log_p[n] = total
            for j in range(states):
                beta[j] = 1.0
            for t in range(length - 1, -1, -1):
                for j in range(states):
                    by_log_e[n, j, t] = alpha[t, j] * beta[j]
                    after[j] = e[t, j] * beta[j] / masses[t]
                if t == 0:
                    for j in range(states):
                        by_initial[n, j] = after[j]
                    break
                step = t - 1 if kinds > 1 else 0
                for i in range(states):
                    beta[i] = 0.0
                    for j in range(states):
                        by_transition[n, step, i, j] += alpha[t - 1, i] * after[j]
                        beta[i] += a[step, i, j] * after[j]
                    if not beta[i] < 1.0 / FAINT:
                        faint = True
                if faint:
                    break

        # --- With logarithms

        if faint:
            for t in range(length):
                for j in range(states):
                    if t == 0:
                        level = math.log(pi[j]) if pi[j] > 0.0 else NEVER
                    else:
                        step = t - 1 if kinds > 1 else 0
                        top = 4.0 * NEVER
                        for i in range(states):
                            p = a[step, i, j]
                            after[i] = alpha[t - 1, i] + (math.log(p) if p > 0.0 else NEVER)
                            top = max(top, after[i])
                        mass = 0.0
                        for i in range(states):
                            mass += math.exp(after[i] - top)
                        level = math.log(mass) + top
                    alpha[t, j] = level + log_e[t, j]
            top = np.max(alpha[length - 1])
            log_p[n] = math.log(np.sum(np.exp(alpha[length - 1] - top))) + top
            by_transition[n] = 0.0
            for j in range(states):
                beta[j] = 0.0
            for t in range(length - 1, -1, -1):
                for j in range(states):
                    by_log_e[n, j, t] = math.exp(alpha[t, j] + beta[j] - log_p[n])
                    after[j] = log_e[t, j] + beta[j] - log_p[n]
                if t == 0:
                    for j in range(states):
                        by_initial[n, j] = math.exp(min(after[j], STEEPEST))
                    break
                step = t - 1 if kinds > 1 else 0
                for i in range(states):
                    top = 4.0 * NEVER
                    for j in range(states):
                        p = a[step, i, j]
                        level = (math.log(p) if p > 0.0 else NEVER) + after[j]
                        top = max(top, level)
                        by_transition[n, step, i, j] += math.exp(
                            min(alpha[t - 1, i] + after[j], STEEPEST)
                        )
                    mass = 0.0
                    for j in range(states):
                        p = a[step, i, j]
                        mass += math.exp((math.log(p) if p > 0.0 else NEVER) + after[j] - top)
                    beta[i] = math.log(mass) + top + log_p[n]
        if log_p[n] < 0.1 * NEVER:
            log_p[n] = -np.inf
        elif log_p[n] > 0.1 * ALWAYS:
            log_p[n] = np.inf
    return log_p, by_initial, by_transition, by_log_e
