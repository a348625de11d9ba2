cimport cython
from cpython.pythread cimport PyThread_get_thread_ident

from klife.actors.producer.batch cimport Batch
from klife.actors.producer.places cimport Places
from klife.actors.producer.route cimport TopicRoute
from klife.api.bound cimport Bound
from klife.record cimport Record

cdef bint _IS_PURE

cdef class Intake(Bound):
    @cython.locals(route=TopicRoute, taken=Record)
    cdef Batch _accepted(self, record, producer, partitioner)
    cpdef Batch _append(self, record, producer, partitioner, deadline)
    @cython.locals(index=Py_ssize_t, route=TopicRoute, batch=Batch, record=Record)
    cpdef _append_all(self, list records, order, Places places, producer, partitioner, deadline)

@cython.locals(record=Record, index=Py_ssize_t)
cdef list _peculiar(list records, dict routes)

@cython.locals(record=Record)
cdef set _topics_without_route(list records, dict routes)
