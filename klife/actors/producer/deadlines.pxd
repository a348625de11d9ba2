from klife.actors.producer.terms cimport Terms

cdef class Deadlines:
    cdef public dict pending
    cdef public double due
    cdef public double stood_still
    cdef public Terms _terms
    cdef public list _growing
