from klife.api.append cimport Append

cdef class Client(Append):
    pass
