cimport cython
from cpython.pythread cimport PyThread_get_thread_ident

from klife.actors.producer.delivery cimport Places
from klife.actors.producer.terms cimport Terms
from klife.actors.producer.topic cimport Topic
from klife.actors.runtime.forked cimport take_note
from klife.record cimport Record

cdef Py_ssize_t _LOOKS_EVERY
cdef bint _IN_C
cdef unsigned char[::1] _page

cdef class Append:
    cdef public object _handle
    cdef public object _producers
    cdef public dict _routes
    cdef public unsigned long _home

    @cython.locals(route=Topic, taken=Record)
    cdef accepted(self, record, producer, partitioner, bint wanted, callback)
    cpdef _append(self, record, producer, partitioner, deadline, Places places=*, Py_ssize_t at=*, bint wanted=*, callback=*)
    @cython.locals(route=Topic, record=Record, looked=Terms, terms=Terms)
    cdef Py_ssize_t _append_straight(self, list records, Py_ssize_t index, Places places, deadline) except -1

@cython.locals(record=Record, index=Py_ssize_t)
cdef list _peculiar(list records, dict routes, Py_ssize_t start)

@cython.locals(record=Record)
cdef set _topics_without_route(list records, dict routes)
