from klife.protocol.record_write cimport write_payload, write_single

cpdef tuple encode_payload(list fields, Py_ssize_t room)
cpdef tuple encode_single(list fields, producer_id, producer_epoch, base_sequence)
