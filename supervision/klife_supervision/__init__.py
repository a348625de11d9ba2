"""OTP's supervisors for gevent: start in order, restart what crashes, stop in reverse, give up when it does
not help.
"""

from klife_supervision.child import RunningChild
from klife_supervision.child_spec import ChildSpec
from klife_supervision.dynamic import DynamicSupervisor
from klife_supervision.errors import (
    AlreadyStarted,
    AutoShutdown,
    CalledFromSupervisor,
    CallTimeout,
    ChildNotFound,
    ChildStillRunning,
    InvalidChild,
    InvalidChildSpec,
    InvalidSupervisorOption,
    MaxChildrenReached,
    NameTaken,
    RestartIntensityReached,
    StartFailed,
    StartTimeout,
    SupervisionError,
    SupervisorStopped,
)
from klife_supervision.exit_reason import ExitReason
from klife_supervision.info import ChildCounts, ChildInfo
from klife_supervision.link import link, monitor
from klife_supervision.monitors import Monitors
from klife_supervision.policy import RestartDelay
from klife_supervision.registry import register, registered, whereis
from klife_supervision.supervisor import Supervisor
from klife_supervision.tree import TreeNode

__all__ = [
    "AlreadyStarted",
    "AutoShutdown",
    "CallTimeout",
    "CalledFromSupervisor",
    "ChildCounts",
    "ChildInfo",
    "ChildNotFound",
    "ChildSpec",
    "ChildStillRunning",
    "DynamicSupervisor",
    "ExitReason",
    "InvalidChild",
    "InvalidChildSpec",
    "InvalidSupervisorOption",
    "MaxChildrenReached",
    "Monitors",
    "NameTaken",
    "RestartDelay",
    "RestartIntensityReached",
    "RunningChild",
    "StartFailed",
    "StartTimeout",
    "SupervisionError",
    "Supervisor",
    "SupervisorStopped",
    "TreeNode",
    "link",
    "monitor",
    "register",
    "registered",
    "whereis",
]
