from klife.protocol.written_partitions cimport WrittenPartitions

cdef class PlainAnswer:
    cdef public list topics

cdef class BatchesRequest:
    cdef public object acks
    cdef public object timeout_ms
    cdef public object topics
    cdef public object transactional_id

    cpdef list _flexible(self, version)
