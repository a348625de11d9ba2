cimport cython

from klife.actors.producer.batch cimport Batch
from klife.actors.producer.delivery cimport Delivery
from klife.actors.producer.places cimport Places
from klife.actors.producer.route cimport TopicRoute
from klife.record cimport Record

cdef class Client:
    cdef public object _name
    cdef public object _engine
    cdef public dict _routes
    cdef public object _home
    cdef public object _supervised

    @cython.locals(index=Py_ssize_t, route=TopicRoute, batch=Batch, record=Record)
    cpdef _append_all(self, list records, order, Places places, producer, partitioner, deadline)

cdef bint _is_plain(Record record, dict routes)
