from klife.actors.producer.batch cimport Batch
from klife.actors.producer.identity cimport Identity
from klife.actors.producer.known_log cimport KnownLog

cdef class Partition:
    cdef public object topic
    cdef public object partition_id
    cdef public object topic_id
    cdef public object leader_error
    cdef public object served_by
    cdef public Batch open
    cdef public list pending
    cdef public list in_flight
    cdef public double retry_at
    cdef public Py_ssize_t failures
    cdef public object refused
    cdef public Identity identity
    cdef public long long next_sequence
    cdef public bint sequence_lost
    cdef public KnownLog log
    cdef public bint listed
    cdef public bint growing
    cdef public object opened
    cdef public bint _idempotent

    cpdef close(self)
    cpdef Batch take_fresh(self, Py_ssize_t room, Identity identity)
    cpdef Batch head(self, double now, double linger)
    cpdef bint take(self, Batch batch, Identity identity) except -1
    cdef bint _has_sequence(self, Batch batch, Identity identity) except -1
    cpdef written(self, Batch batch)
    cpdef _landed(self, Batch batch)
