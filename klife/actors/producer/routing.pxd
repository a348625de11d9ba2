from klife.actors.producer.topic cimport Topic

cdef class Routing:
    cdef public dict topics
    cdef public dict batchers
    cdef public object _new_topic
    cdef public dict _absent
