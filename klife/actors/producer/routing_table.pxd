cdef class RoutingTable

from klife.actors.producer.accumulator cimport Accumulator
from klife.actors.producer.partition_queue cimport PartitionQueue

cdef class RoutingTable:
    cdef public dict routes
    cdef public dict lanes
    cdef public Accumulator _accumulator
    cdef public object _channel_of
    cdef public dict _placed
    cdef public dict _leaderless
    cdef public dict _absent

    cpdef offer(self, PartitionQueue queue)
