from klife.protocol.record_write cimport write_payload, write_single

cpdef tuple encode_payload(list fields)
cpdef tuple encode_single(list fields, producer_id, producer_epoch, base_sequence)
