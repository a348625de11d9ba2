cimport cython

cdef unsigned int _SEED
cdef unsigned int _M
cdef unsigned int _MASK
cdef Py_ssize_t _SHORT_WORDS
cdef list _UNPACK

cpdef unsigned int murmur2_positive(bytes data) except? 0

@cython.locals(size=Py_ssize_t, count=Py_ssize_t, rest=Py_ssize_t, value="unsigned int", word="unsigned int", words=tuple)
cpdef unsigned int murmur2_unsigned(bytes data) except? 0
