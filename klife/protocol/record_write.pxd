cimport cython
from cpython.bytearray cimport PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef bint _IN_C
cdef Py_ssize_t _HEADER_SIZE

@cython.locals(end=Py_ssize_t, place=Py_ssize_t, at=Py_ssize_t, need=Py_ssize_t, body=Py_ssize_t, offset="long long", first_timestamp="long long", max_timestamp="long long", timestamp="long long", delta="long long", delta_size=Py_ssize_t, buffer=bytearray, p="unsigned char*", key=bytes, value=bytes, general=bytes, names=dict)
cpdef tuple write_payload(list fields, Py_ssize_t room)

@cython.locals(at=Py_ssize_t, size=Py_ssize_t, body=Py_ssize_t, timestamp="long long", p="unsigned char*", key=bytes, value=bytes, general=bytes)
cpdef tuple write_single(list fields, long long producer_id, long long producer_epoch, long long base_sequence)

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

cdef inline bytearray new_bytearray(Py_ssize_t size):
    return PyByteArray_FromStringAndSize(NULL, size)

cdef _exactly(Py_ssize_t size)

cdef bytearray _at_least(Py_ssize_t size)

cdef _resize(bytearray buffer, Py_ssize_t size)

@cython.locals(source="const unsigned char*")
cdef Py_ssize_t _put_bytes(unsigned char* p, Py_ssize_t at, bytes data, Py_ssize_t size) noexcept
