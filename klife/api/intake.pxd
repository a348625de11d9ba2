cimport cython

from klife.actors.producer.batch cimport Batch
from klife.actors.producer.places cimport Places
from klife.actors.producer.route cimport TopicRoute
from klife.api.bound cimport Bound
from klife.record cimport Record

cdef class Intake(Bound):
    @cython.locals(index=Py_ssize_t, route=TopicRoute, batch=Batch, record=Record)
    cpdef _append_all(self, list records, order, Places places, producer, partitioner, deadline)

cdef bint _is_plain(Record record, dict routes)
