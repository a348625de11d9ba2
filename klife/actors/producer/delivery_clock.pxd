cimport cython

cdef class DeliveryClock

from klife.actors.producer.accumulator cimport Accumulator
from klife.actors.producer.batch cimport Batch
from klife.actors.producer.partition_queue cimport PartitionQueue

cdef class DeliveryClock:
    cdef public dict pending
    cdef public double due
    cdef public double stood_still
    cdef public Accumulator _accumulator
    cdef public list _growing
    cdef public object _timer

    @cython.locals(queue=PartitionQueue)
    cpdef batch_opened(self, Batch batch)
