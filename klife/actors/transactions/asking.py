"""`Asking`: what all requests of a transactional producer to a coordinator share: what an answer means, and when
the same is asked again.
"""

from __future__ import annotations

import random
from typing import Any

from klife.actors.network.backoff import backoff
from klife.actors.network.call import Call, CallFailed
from klife.actors.transactions.policy import DONE, Action, Request, Rule, action_for
from klife.actors.transactions.producer import TransactionalProducer
from klife.protocol.error_codes import ErrorCode, describe
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife.transactions")

Asked = tuple[Any, dict[str, int]]
"""A request, and the versions that it may be sent in, as arguments of `Broker.call`."""


class Asking:
    """When `producer` asks again, and how often it has."""

    def __init__(self, producer: TransactionalProducer) -> None:
        self.producer = producer
        self.retry_at: float = 0.0  # monotonic seconds
        self._failures = 0

    @property
    def is_first(self) -> bool:
        """Whether what is asked now was not asked before."""
        return not self._failures

    def rule(self, request: Request, call: Call, code: int | None) -> Rule:
        """The row for an answer, with `code` if one came; a request that this broker can not be asked is refused."""
        if code == ErrorCode.NONE:
            return DONE
        if code is None and not isinstance(call.error, CallFailed):
            code = ErrorCode.UNSUPPORTED_VERSION
        rule = action_for(request, code, state=self.producer.state, principal=self.producer.settings.principal)
        if rule.action is not Action.DONE:
            why = describe(code) if code is not None else str(call.error)
            self.producer.identities.error = why
            log.debug("transaction_request_refused", request=request.value, id=self.producer.transactional_id, error=why)
        return rule

    def again(self, now: float, rule: Rule | None = None) -> None:
        """The same once more, after a pause. Where `rule` says so, that is short at first, or the coordinator is
        looked up.
        """
        settings = self.producer.settings
        self._failures += 1
        if rule is not None and rule.action is Action.FIND:
            self.producer.coordinator.lost()
        soon = rule is not None and rule.soon
        wait = backoff(self._failures, settings.retry_backoff, settings.retry_backoff_max, random.random(), soon=soon)
        self.retry_at = now + wait

    def went_well(self) -> None:
        """It was answered."""
        self._failures = 0
        self.retry_at = 0.0
        self.producer.identities.error = None
