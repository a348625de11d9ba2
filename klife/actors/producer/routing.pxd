cdef class Routing

from klife.actors.producer.producer cimport Producer
from klife.actors.producer.partition cimport Partition

cdef class Routing:
    cdef public dict routes
    cdef public dict batchers
    cdef public Producer _producer
    cdef public object _broker_of
    cdef public dict _placed
    cdef public dict _leaderless
    cdef public dict _absent

    cpdef offer(self, Partition queue)
