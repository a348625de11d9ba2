from klife.actors.producer.delivery cimport Places
from klife.actors.producer.terms cimport Terms
from klife.actors.producer.topic cimport Topic
from klife.actors.runtime.forked cimport take_note
from klife.api.append_one cimport AppendOne
from klife.record cimport Record

cdef class Append(AppendOne):
    cdef Py_ssize_t _append_straight(self, list records, Py_ssize_t index, Places places, deadline) except -1
