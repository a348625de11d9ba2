cimport cython

cdef class Deadlines

from klife.actors.producer.producer cimport Producer
from klife.actors.producer.batch cimport Batch
from klife.actors.producer.partition cimport Partition

cdef class Deadlines:
    cdef public dict pending
    cdef public double due
    cdef public double stood_still
    cdef public Producer _producer
    cdef public list _growing
    cdef public object _timer

    @cython.locals(queue=Partition)
    cpdef batch_opened(self, Batch batch)
