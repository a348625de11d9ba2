"""What a supervisor tells about its children: frozen values, read from its table without asking its loop."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from klife_supervision.child_spec import ChildType
from klife_supervision.life import Child, ChildState
from klife_supervision.tree import TreeNode


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One child: what `start` returned (`child`, None unless it runs), and how it stands."""

    id: Hashable
    child: Any
    type: ChildType
    state: ChildState
    restarts: int


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """`specs` children in all, `active` of them running; of all, how many are `supervisors` and `workers`."""

    specs: int
    active: int
    supervisors: int
    workers: int


def info_of(child: Child) -> ChildInfo:
    """The row as a value."""
    life = child.life
    handle = life.handle if life is not None and life.reason is None else None
    return ChildInfo(child.spec.id, handle, child.spec.type, child.state, child.restarts)


def counts_of(children: list[Child]) -> ChildCounts:
    """The table as four numbers."""
    supervisors = sum(child.spec.type == "supervisor" for child in children)
    active = sum(child.life is not None and child.life.reason is None for child in children)
    return ChildCounts(len(children), active, supervisors, len(children) - supervisors)


def tree_of(child: Child) -> TreeNode:
    """The row as a node, with the tree below it where what runs has a `tree()` of its own."""
    spec, life = child.spec, child.life
    if life is None:
        return TreeNode(spec.id, spec.type, child.state, child.restarts)
    try:
        own_state, below = _look_inside(life.handle)
    except Exception as error:  # noqa: BLE001 - a tree is for looking into a sick program: what is sick is shown, not raised
        own_state, below = f"{child.state}, raised {type(error).__name__} when looked at", ()
    state = own_state if own_state is not None and child.state == "running" else child.state
    return TreeNode(spec.id, spec.type, state, child.restarts, below, life.kill)


def _look_inside(handle: Any) -> tuple[str | None, tuple[TreeNode, ...]]:
    # Looked up on the type: a proxy may turn the look into a message.
    if callable(getattr(type(handle), "tree", None)):
        tree = handle.tree()
        if isinstance(tree, TreeNode):
            return tree.state, tree.children
    state = getattr(handle, "state", None)
    return (state if isinstance(state, str) else None), ()
