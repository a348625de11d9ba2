"""`TopicInterest`: which topics the client asks the cluster about, and when each of them is due. Pure: clocks
are arguments.

Two kinds of Metadata requests follow from it. A *refresh* names every topic of interest, and never creates
one. A *question* names only what is open and due: topics that are not known (or have too few partitions)
although somebody waits for them, has records queued for them, or configured them. Kafka decides about
creating topics by the request and not by the topic, so a question that may create topics
(`auto.create.topics.enable` is the brokers' part of it) names those alone that records wait for, and that an
answer before did not have; a topic that was deleted thus stays deleted until somebody produces to it.

That a topic is unknown is believed once answers have said so for a while (`is_believed_missing`): a topic that
was just made, or is being made for those who wait, is unknown to some brokers for a moment.

What was never asked is due at once. What the cluster did not have is asked for again after a while that
grows, and depends on who cares: a caller who waits, records that are queued, or nobody at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from klife.actors.metadata.snapshot import TopicInfo
from klife.actors.settings import NEVER
from klife.protocol.error_codes import ErrorCode

_AWAITED = (0.05, 0.2)  # seconds, at least and at most, between two questions about a topic that a caller waits for
_NEEDED = (0.25, 1.0)  # the same where records are queued for it
_CONFIGURED_AT_LEAST = 1.0  # and where nobody waits; at most `metadata_max_age`
_TOLD_AT = 2  # answers without a configured topic before that is told: a cluster that has just started may not know it for a moment

_NO_ERRORS: Mapping[str, int] = {}
_UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
Topics = Mapping[str, TopicInfo]
Needed = Callable[[str], bool]


class TopicQuestion(NamedTuple):
    """What one Metadata request asks about."""

    names: tuple[str, ...]
    creates: bool  # whether the brokers may make those that are missing
    everything: bool  # a refresh: the answer covers all that is known


class _Open:
    """A topic that is not known as somebody wants it."""

    __slots__ = ("waiters", "since", "asked_at", "due", "misses", "told", "unknown_since", "was_to_be_created")

    def __init__(self, now: float) -> None:
        self.waiters: list[tuple[bool, int]] = []  # for each caller: whether it may be created, and how many partitions it needs
        self.since = now  # since when the present kind of waiting goes on
        self.asked_at = -NEVER
        self.due = now
        self.misses = 0  # answers that did not have it
        self.told = False
        self.unknown_since: float | None = None  # the first of the answers that, without a break, do not know it at all
        self.was_to_be_created = False  # whether an answer was to a question that may create it

    @property
    def creates(self) -> bool:
        return any(creates for creates, _ in self.waiters)

    @property
    def partitions(self) -> int:
        return max((partitions for _, partitions in self.waiters), default=1)


class TopicInterest:
    """`needed(topic)`, given to some methods, tells whether something waits for a topic though no caller
    does; `topics` are those known now.
    """

    def __init__(self, configured: Iterable[str], max_age: float, *, creates: bool = True) -> None:
        """Without `creates` no question ever lets the brokers create a topic."""
        self._configured = frozenset(configured)
        self._max_age = max_age
        self._creates = creates
        self._names: dict[str, None] = dict.fromkeys(configured)
        self._open: dict[str, _Open] = {}

    def begin(self, name: str, *, creates: bool, partitions: int, now: float) -> None:
        """A caller waits, until `end`, for `name` to have so many partitions; with `creates` it may be
        created for that.
        """
        self._names.setdefault(name)
        topic = self._open.get(name)
        if topic is None:
            topic = self._open[name] = _Open(now)
        if not topic.waiters or partitions > topic.partitions or (creates and not topic.creates):
            topic.since = now
            topic.was_to_be_created = False
            topic.due = max(now, topic.asked_at + _AWAITED[0])
        topic.waiters.append((creates, partitions))

    def end(self, name: str, *, creates: bool, partitions: int, topics: Topics, needed: Needed) -> None:
        """That caller waits no longer."""
        topic = self._open[name]
        topic.waiters.remove((creates, partitions))
        if not topic.waiters and (name in topics or not self._is_kept(name, needed)):
            self._let_go(name, topics)

    def misses(self, name: str) -> int:
        """How many answers, since somebody began to wait for `name`, have not had it."""
        topic = self._open.get(name)
        return topic.misses if topic is not None else 0

    def is_believed_missing(self, name: str, after: float) -> bool:
        """Whether answers have said for `after` seconds, since somebody began to wait, that there is no such
        topic.
        """
        topic = self._open.get(name)
        if topic is None or topic.unknown_since is None:
            return False
        asked_in_full = topic.was_to_be_created or not (self._creates and topic.creates)
        return asked_in_full and topic.asked_at - max(topic.unknown_since, topic.since) >= after

    def due(self, topics: Topics) -> float:
        """When there is a question; infinity when nothing is open."""
        return min((topic.due for name, topic in self._open.items() if _is_missing(name, topic, topics)), default=NEVER)

    def question(self, topics: Topics, needed: Needed, now: float) -> TopicQuestion:
        """What to ask now that something is due: whether it is there, and then, of what is not, the topics
        that records wait for.
        """
        looking: list[str] = []
        producing: list[str] = []
        for name, topic in self._open.items():
            if topic.due <= now and _is_missing(name, topic, topics):
                (producing if topic.misses and self._may_be_created(name, topic, topics, needed) else looking).append(name)
        return TopicQuestion(tuple(looking or producing), creates=not looking, everything=False)

    def refresh(self) -> TopicQuestion:
        """All topics of interest."""
        return TopicQuestion(tuple(self._names), creates=False, everything=True)

    def answered(
        self, question: TopicQuestion, topics: Topics, needed: Needed, now: float, errors: Mapping[str, int] = _NO_ERRORS
    ) -> list[str]:
        """`topics` are known now that `question` is answered, and Kafka's codes for others are `errors`.
        Returns the configured topics of whose absence it is time to tell.
        """
        to_tell = []
        for name in question.names:
            topic = self._open.get(name)
            if name in topics and (topic is None or not _is_missing(name, topic, topics)):
                if topic is not None and not topic.waiters:
                    del self._open[name]
                continue
            if topic is None:
                if not self._is_kept(name, needed):
                    self._let_go(name, topics)
                    continue
                topic = self._open[name] = _Open(now)
            topic.misses += 1
            topic.was_to_be_created = topic.was_to_be_created or question.creates
            if name in topics or errors.get(name, _UNKNOWN) != _UNKNOWN:
                topic.unknown_since = None
            elif topic.unknown_since is None:
                topic.unknown_since = now
            topic.asked_at = now
            if question.creates or not self._may_be_created(name, topic, topics, needed):  # else that question is still to come
                topic.due = now + self._pause(topic, needed(name), now)
            if not topic.waiters and not needed(name):
                if not self._is_kept(name, needed):
                    self._let_go(name, topics)
                elif topic.misses >= _TOLD_AT and not topic.told:
                    topic.told = True
                    to_tell.append(name)
        return to_tell

    def _pause(self, topic: _Open, needed: bool, now: float) -> float:
        """As long again as the waiting has taken, within the bounds of its kind."""
        least, most = _AWAITED if topic.waiters else _NEEDED if needed else (_CONFIGURED_AT_LEAST, self._max_age)
        return max(least, min(now - topic.since, most))

    def _may_be_created(self, name: str, topic: _Open, topics: Topics, needed: Needed) -> bool:
        return self._creates and name not in topics and (topic.creates or needed(name))

    def _is_kept(self, name: str, needed: Needed) -> bool:
        """Whether a topic that does not exist is of interest although nobody waits for it."""
        return name in self._configured or needed(name)

    def _let_go(self, name: str, topics: Topics) -> None:
        self._open.pop(name, None)
        if name not in topics:
            self._names.pop(name, None)


def _is_missing(name: str, topic: _Open, topics: Topics) -> bool:
    info = topics.get(name)
    return info is None or info.partition_count < topic.partitions
