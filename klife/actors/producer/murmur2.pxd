cpdef unsigned int murmur2_positive(bytes data) except? 0
