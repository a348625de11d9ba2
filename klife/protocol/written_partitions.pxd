from klife.protocol cimport batch_write

cdef class WrittenPartitions:
    cdef readonly list pieces
    cdef Py_ssize_t _count
    cdef Py_ssize_t _left
    cdef object _buffer
    cdef Py_ssize_t _room
    cdef Py_ssize_t _at

    cpdef add(
        self,
        int index,
        list fields,
        Py_ssize_t bound,
        long long producer_id,
        short producer_epoch,
        int base_sequence,
        bint is_transactional,
    )
    cpdef end(self)
