from klife.actors.producer.delivery cimport Delivery
from klife.api.intake cimport Intake
from klife.record cimport Record

cdef class Client(Intake):
    pass
