from klife.actors.producer.delivery cimport Delivery
from klife.api.intake cimport Intake

cdef class Client(Intake):
    pass
