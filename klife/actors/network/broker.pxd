from klife.actors.network.call cimport Call
from klife.actors.runtime.forked cimport is_forked, take_note
from klife.actors.runtime.inbox cimport Inbox
from klife.protocol.connection cimport KafkaConnection

cdef class Broker:
    cdef public object node_id
    cdef public object purpose
    cdef public object host
    cdef public object port
    cdef public object settings
    cdef public object security
    cdef public KafkaConnection connection
    cdef public Inbox inbox
    cdef public bint has_actor
    cdef public object transport
    cdef public dict waiting
    cdef public object failure
    cdef public bint released
    cdef public double throttled_until
    cdef public object last_error
    cdef public object awaited
    cdef public double wake_at
    cdef public double due
    cdef public double used_at
    cdef public object answered_at
    cdef public object failing_since
    cdef public bint skips_backoff
    cdef public bint tried_early
    cdef public long long requests_sent
    cdef public long long connects
    cdef public object _unwritten

    cpdef write(self, list buffers)
