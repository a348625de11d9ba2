from klife.actors.network.broker cimport Broker
from klife.actors.producer.batcher cimport Batcher, Batchers
from klife.actors.producer.identity cimport Identities, Identity
from klife.actors.producer.partition cimport Partition

cdef class Admission:
    cdef public Identities _identities
    cdef public Batchers _batchers
    cdef public object _connections
    cdef public bint by_leaders
    cdef public dict wishes
    cdef public list adding

    cpdef awaits(self, Partition partition)
    cpdef admit(self, list partitions)
    cpdef list turn(self)
    cpdef list reachable(self)
    cdef bint _turn_is_taken(self) except -1
