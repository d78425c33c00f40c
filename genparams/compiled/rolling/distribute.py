"""The order in which the statements of a loop can be computed, each for all iterations at once.

Statements that need each other's values of earlier iterations form a *component*, and are computed
together. The components of a graph are found by Tarjan's algorithm (Tarjan, 1972, Depth-first
search and linear graph algorithms, SIAM Journal on Computing 1, 146-160), without recursion.
"""

from collections.abc import Sequence


def components(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components of a graph, each after those that it needs.

    Args:
        needs: For each node the nodes that it needs.
    """
    order: dict[int, int] = {}  # the number of each node in the order of the search
    lowest: dict[int, int] = {}
    stack: list[int] = []
    waiting: set[int] = set()  # the nodes of the stack
    found: list[list[int]] = []

    def enter(node: int) -> tuple[int, list[int]]:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        waiting.add(node)
        return node, list(needs[node])

    for root in range(len(needs)):
        path = [enter(root)] if root not in order else []
        while path:
            node, left = path[-1]
            if left:
                other = left.pop()
                if other not in order:
                    path.append(enter(other))
                elif other in waiting:
                    lowest[node] = min(lowest[node], order[other])
                continue
            path.pop()
            if path:
                lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
            if lowest[node] == order[node]:
                found.append(sorted(_popped(stack, node)))
                waiting.difference_update(found[-1])
    return found


def _popped(stack: list[int], last: int) -> list[int]:
    """What lies on a stack above an entry, and the entry."""
    taken = [stack.pop()]
    while taken[-1] != last:
        taken.append(stack.pop())
    return taken
