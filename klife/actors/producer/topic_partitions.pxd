from klife.actors.producer.batcher cimport Batcher, Batchers
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.terms cimport Terms
from klife.record cimport Record

cdef class TopicPartitions:
    cdef public object name
    cdef public object info
    cdef public list partitions
    cdef public Py_ssize_t count
    cdef public object partitioner
    cdef public Py_ssize_t sticky
    cdef public bint sticks
    cdef public Terms terms
    cdef public dict _made
    cdef public Batchers _batchers
    cdef public object _wait_for_partitions
    cdef public object _partition
    cdef public bint _hashes
    cdef public object _by_leader

    cdef bint _sticks(self, Record record, partitioner) except -1
    cdef Partition _stick_elsewhere(self)
