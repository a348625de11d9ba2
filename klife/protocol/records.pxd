from klife.protocol.record_write cimport write_batch, write_payload

cpdef tuple encode_payload(list fields)
cpdef tuple encode_plain(list fields, producer_id, producer_epoch, base_sequence, bint is_transactional=*)
