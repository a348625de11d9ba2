cimport cython

@cython.locals(value="unsigned int", word="unsigned int")
cpdef murmur2_unsigned(bytes data)
