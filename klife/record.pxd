cdef class Record:
    cdef public object topic
    cdef public object value
    cdef public object key
    cdef public object headers
    cdef public object partition
    cdef public object timestamp_ms

cdef class Delivered(Record):
    cdef public object offset
