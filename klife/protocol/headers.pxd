cpdef bytes encode_request_header(api_key, version, correlation_id, client_id, bint flexible)
cpdef tuple decode_response_header(frame, request, version)
