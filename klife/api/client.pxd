from klife.api.intake cimport Intake

cdef class Client(Intake):
    pass
