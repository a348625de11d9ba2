cimport cython

cdef unsigned int _SEED
cdef unsigned int _M
cdef unsigned int _MASK
cdef Py_ssize_t _SHORT_WORDS
cdef list _UNPACK

cpdef unsigned int murmur2_positive(bytes data) except? 0

@cython.locals(size=Py_ssize_t, rest=Py_ssize_t, value="unsigned int")
cpdef unsigned int murmur2_unsigned(bytes data) except? 0

@cython.locals(word="unsigned int", words=tuple)
cdef unsigned int _mix_in_words(bytes data, Py_ssize_t count, unsigned int value) except? 0

@cython.locals(p="const unsigned char*", at=Py_ssize_t, word="unsigned int")
cdef unsigned int _mix_in_bytes(bytes data, Py_ssize_t count, unsigned int value) except? 0
