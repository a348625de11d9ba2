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
    below = _tree_below(life.handle)
    state = child.state
    if child.state != "running":
        shown: str = state
    elif below is not None:
        shown = below.state
    else:
        own = _own_state(life.handle)
        shown = own if isinstance(own, str) else state
    children = below.children if below is not None else ()
    return TreeNode(spec.id, spec.type, shown, child.restarts, children, life.kill)


def _tree_below(handle: Any) -> TreeNode | None:
    if not callable(getattr(type(handle), "tree", None)):
        return None
    tree = handle.tree()
    return tree if isinstance(tree, TreeNode) else None


def _own_state(handle: Any) -> Any:
    try:
        return getattr(handle, "state", None)
    except Exception as error:  # noqa: BLE001 - a tree is for looking into a sick program: what is sick is shown, not raised
        return f"state raised {type(error).__name__}"
