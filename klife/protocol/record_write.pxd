cpdef tuple write_payload(list fields)
cpdef tuple write_batch(list fields, long long producer_id, short producer_epoch, int base_sequence, bint is_transactional=*)
