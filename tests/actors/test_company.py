"""`Company`: whether a request waits for the loop to be idle follows from what came while others would have."""

from __future__ import annotations

from klife.actors.producer.company import Company


class Sends:
    """Requests of one batcher, and how many batches come behind each until the loop is idle."""

    def __init__(self) -> None:
        self.company = Company()
        self.opened = 0
        self.waited: list[bool] = []
        self.looks = 0

    def send(self, count: int, behind: int) -> None:
        for _ in range(count):
            self.waited.append(not self.company.none)
            if self.waited[-1]:
                self.opened += 1 + behind  # all in one request
                self.company.loop_is_idle(self.opened)
                assert not self.company.sent(self.opened)
            else:
                self.opened += 1
                look = self.company.sent(self.opened)
                self.opened += behind
                if look:
                    self.looks += 1
                    self.company.loop_is_idle(self.opened)


def test_at_first_each_waits_and_one_behind_which_nothing_comes_is_the_last_to() -> None:
    sends = Sends()
    sends.send(200, behind=0)
    assert True in sends.waited
    last = len(sends.waited) - sends.waited[::-1].index(True)
    assert last < 20
    assert sends.waited[:last] == [True] * last
    assert sends.looks < 20


def test_with_company_they_wait_but_for_a_few_that_are_tried() -> None:
    sends = Sends()
    sends.send(1000, behind=3)
    assert sends.waited.count(False) <= 20


def test_company_that_comes_is_noticed_and_that_it_went_too() -> None:
    sends = Sends()
    sends.send(100, behind=0)
    sends.send(100, behind=1)
    assert sends.waited[120:].count(False) <= 2
    sends.send(200, behind=0)
    assert sends.waited[-100:] == [False] * 100


def test_an_idle_loop_that_nobody_asked_about_says_nothing() -> None:
    company = Company()
    company.loop_is_idle(5)
    assert not company.none
