cdef class ProduceCall:
    cdef public list batches
    cdef public dict by_topic
    cdef public bint submitted
    cdef public object call
