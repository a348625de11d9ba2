cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef bint _IN_C
cdef Py_ssize_t _HEADER_SIZE
cdef Py_ssize_t _LARGEST

@cython.locals(size=Py_ssize_t, p="unsigned char*", general=list)
cpdef tuple write_payload(list fields)

@cython.locals(count=Py_ssize_t, size=Py_ssize_t, at=Py_ssize_t, first_timestamp="long long", p="unsigned char*", general=list)
cpdef tuple write_batch(list fields, long long producer_id, short producer_epoch, int base_sequence)

@cython.locals(end=Py_ssize_t, place=Py_ssize_t, size=Py_ssize_t, body=Py_ssize_t, offset="long long", first_timestamp="long long", timestamp="long long", delta="long long", delta_size=Py_ssize_t, key=bytes, value=bytes, record=bytes, names=dict)
cdef Py_ssize_t _size(list fields, list general) except -1

@cython.locals(end=Py_ssize_t, place=Py_ssize_t, taken=Py_ssize_t, body=Py_ssize_t, offset="long long", first_timestamp="long long", timestamp="long long", delta="long long", delta_size=Py_ssize_t, key=bytes, value=bytes, record=bytes)
cdef _put_records(unsigned char* p, Py_ssize_t at, Py_ssize_t full, list fields, list general)

@cython.locals(place=Py_ssize_t, timestamp="long long", latest="long long")
cdef long long _latest(list fields)

@cython.locals(size=Py_ssize_t)
cdef Py_ssize_t _body_size(bytes key, bytes value, Py_ssize_t delta_size, long long offset) noexcept

@cython.locals(size=Py_ssize_t)
cdef Py_ssize_t _put_record(unsigned char* p, Py_ssize_t at, bytes key, bytes value, Py_ssize_t body, long long delta, long long offset) noexcept

@cython.locals(rest="unsigned long long", size=Py_ssize_t)
cdef Py_ssize_t _varint_size(long long value) noexcept

@cython.locals(rest="unsigned long long")
cdef Py_ssize_t _put_varint(unsigned char* p, Py_ssize_t at, long long value) noexcept

@cython.locals(end=Py_ssize_t, place=Py_ssize_t)
cdef Py_ssize_t _put_number(unsigned char* p, Py_ssize_t at, long long value, Py_ssize_t size) noexcept

cdef inline bytes new_bytes(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)

cdef _exactly(Py_ssize_t size)

cdef bytes _done(buffer)

@cython.locals(source="const unsigned char*")
cdef Py_ssize_t _put_bytes(unsigned char* p, Py_ssize_t at, bytes data, Py_ssize_t size) noexcept
