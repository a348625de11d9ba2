"""Kafka's error codes (as of 4.3) as one table: name, code, whether Kafka calls it retriable, and what it
means.

The table holds facts, not policy. "Retriable" is Kafka's own word: the Java client derives the code's
exception from `RetriableException`, so the same request may succeed later without anyone changing anything.
What klife does about a code (retry, refresh metadata, split, renumber, fail) is decided where the request is
handled, because it depends on the request: 45 is final by this table and yet the producer recovers from it
(KIP-360).

Names and codes: `org.apache.kafka.common.protocol.Errors`, and
https://kafka.apache.org/protocol#protocol_error_codes. A newer broker may answer codes this table lacks; the
functions at the end have an answer for those too.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ErrorCode", "describe", "error_name", "is_retriable"]

_RETRY, _FINAL = True, False


class ErrorCode(IntEnum):
    """A code a broker can answer with; compares equal to its number. `retriable` and `description` are
    explained in the module.
    """

    retriable: bool
    description: str

    def __new__(cls, code: int, retriable: bool = False, description: str = "") -> ErrorCode:  # defaults: ErrorCode(6) looks one up
        member = int.__new__(cls, code)
        member._value_ = code
        member.retriable = retriable
        member.description = description
        return member

    UNKNOWN_SERVER_ERROR = -1, _FINAL, "the broker met an error it has no code for; its log has the details"
    NONE = 0, _FINAL, "no error"
    OFFSET_OUT_OF_RANGE = 1, _FINAL, "the offset is before the start or after the end of the partition's log"
    CORRUPT_MESSAGE = 2, _RETRY, "a batch failed its checksum, is malformed, or lacks the key a compacted topic needs"
    UNKNOWN_TOPIC_OR_PARTITION = 3, _RETRY, "this broker has no such topic or partition"
    INVALID_FETCH_SIZE = 4, _FINAL, "the fetch asked for an impossible number of bytes"
    LEADER_NOT_AVAILABLE = 5, _RETRY, "the partition has no leader at the moment; one is being elected"
    NOT_LEADER_OR_FOLLOWER = 6, _RETRY, "this broker no longer leads the partition, or holds no replica of it"
    REQUEST_TIMED_OUT = 7, _RETRY, "the broker gave up waiting, usually for replicas; the write may still have happened"
    BROKER_NOT_AVAILABLE = 8, _FINAL, "the broker asked for is not available"
    REPLICA_NOT_AVAILABLE = 9, _RETRY, "a replica of the partition is not available on this broker"
    MESSAGE_TOO_LARGE = 10, _FINAL, "a batch is larger than the topic's max.message.bytes allows"
    STALE_CONTROLLER_EPOCH = 11, _FINAL, "the controller has moved; the request carries an old controller epoch"
    OFFSET_METADATA_TOO_LARGE = 12, _FINAL, "the text committed with an offset is over offset.metadata.max.bytes"
    NETWORK_EXCEPTION = 13, _RETRY, "the connection was lost before the answer came"
    COORDINATOR_LOAD_IN_PROGRESS = 14, _RETRY, "the coordinator is still reading its state and serves nobody yet"
    COORDINATOR_NOT_AVAILABLE = 15, _RETRY, "the coordinator is not up, or its internal topic is not there yet"
    NOT_COORDINATOR = 16, _RETRY, "this broker is not the coordinator of that group or transactional id"
    INVALID_TOPIC_EXCEPTION = 17, _FINAL, "the topic name is not a legal one, or the topic may not be written to by clients"
    RECORD_LIST_TOO_LARGE = 18, _FINAL, "a batch is larger than a log segment of the broker"
    NOT_ENOUGH_REPLICAS = 19, _RETRY, "fewer replicas are in sync than min.insync.replicas; nothing was written"
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, _RETRY, "written, but to fewer in-sync replicas than min.insync.replicas"
    INVALID_REQUIRED_ACKS = 21, _FINAL, "acks must be -1 (all), 0 or 1"
    ILLEGAL_GENERATION = 22, _FINAL, "the group has moved on to another generation; the member must rejoin"
    INCONSISTENT_GROUP_PROTOCOL = 23, _FINAL, "the member and the group share no assignment protocol"
    INVALID_GROUP_ID = 24, _FINAL, "the group id is empty or otherwise illegal"
    UNKNOWN_MEMBER_ID = 25, _FINAL, "the coordinator does not know this member of the group"
    INVALID_SESSION_TIMEOUT = 26, _FINAL, "the session timeout is outside group.min/max.session.timeout.ms"
    REBALANCE_IN_PROGRESS = 27, _FINAL, "the group is rebalancing; the member must rejoin"
    INVALID_COMMIT_OFFSET_SIZE = 28, _FINAL, "the offset commit is too large to be stored"
    TOPIC_AUTHORIZATION_FAILED = 29, _FINAL, "this user lacks the permission needed on the topic"
    GROUP_AUTHORIZATION_FAILED = 30, _FINAL, "this user lacks the permission needed on the group"
    CLUSTER_AUTHORIZATION_FAILED = 31, _FINAL, "this user lacks the permission needed on the cluster"
    INVALID_TIMESTAMP = 32, _FINAL, "a record's timestamp is outside what the topic accepts"
    UNSUPPORTED_SASL_MECHANISM = 33, _FINAL, "the broker does not offer this SASL mechanism"
    ILLEGAL_SASL_STATE = 34, _FINAL, "the request does not fit this point of the SASL exchange"
    UNSUPPORTED_VERSION = 35, _FINAL, "the broker does not serve this API in this version"
    TOPIC_ALREADY_EXISTS = 36, _FINAL, "a topic of this name exists already"
    INVALID_PARTITIONS = 37, _FINAL, "the number of partitions is impossible, or would not grow the topic"
    INVALID_REPLICATION_FACTOR = 38, _FINAL, "the replication factor is below 1 or above the number of brokers"
    INVALID_REPLICA_ASSIGNMENT = 39, _FINAL, "the requested placement of replicas is impossible"
    INVALID_CONFIG = 40, _FINAL, "a configuration entry has an unknown name or an impossible value"
    NOT_CONTROLLER = 41, _RETRY, "this broker is not the controller"
    INVALID_REQUEST = 42, _FINAL, "the broker could not make sense of the request; its log says why"
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, _FINAL, "the topic's stored message format is too old for this request"
    POLICY_VIOLATION = 44, _FINAL, "a policy set by the cluster's operators forbids this"
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, _FINAL, "a batch of an idempotent producer arrived with a gap before it"
    DUPLICATE_SEQUENCE_NUMBER = 46, _FINAL, "the batch was written before; it is in the log once"
    INVALID_PRODUCER_EPOCH = 47, _FINAL, "the producer's epoch is old: another producer took over its id"
    INVALID_TXN_STATE = 48, _FINAL, "the transaction is not in a state that allows this"
    INVALID_PRODUCER_ID_MAPPING = 49, _FINAL, "the transactional id does not belong to this producer id (any more)"
    INVALID_TRANSACTION_TIMEOUT = 50, _FINAL, "the transaction timeout is over the broker's transaction.max.timeout.ms"
    CONCURRENT_TRANSACTIONS = 51, _RETRY, "the previous transaction of this transactional id is still being completed"
    TRANSACTION_COORDINATOR_FENCED = 52, _FINAL, "the transaction coordinator that wrote this marker has been replaced"
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, _FINAL, "this user lacks the permission needed on the transactional id"
    SECURITY_DISABLED = 54, _FINAL, "the cluster runs without an authorizer; there are no permissions to manage"
    OPERATION_NOT_ATTEMPTED = 55, _FINAL, "not tried, because another part of the same request failed"
    KAFKA_STORAGE_ERROR = 56, _RETRY, "the broker's disk holding the partition failed; another replica will lead"
    LOG_DIR_NOT_FOUND = 57, _FINAL, "the broker has no such log directory"
    SASL_AUTHENTICATION_FAILED = 58, _FINAL, "the credentials were refused"
    UNKNOWN_PRODUCER_ID = 59, _FINAL, "the broker no longer remembers this producer id, for instance as its records expired"
    REASSIGNMENT_IN_PROGRESS = 60, _FINAL, "the partition's replicas are being moved"
    DELEGATION_TOKEN_AUTH_DISABLED = 61, _FINAL, "delegation tokens are not enabled on the cluster"
    DELEGATION_TOKEN_NOT_FOUND = 62, _FINAL, "the broker knows no such delegation token"
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, _FINAL, "this user may neither own nor renew the delegation token"
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, _FINAL, "delegation tokens cannot be managed over this kind of connection"
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, _FINAL, "this user lacks the permission needed on the delegation token"
    DELEGATION_TOKEN_EXPIRED = 66, _FINAL, "the delegation token has expired"
    INVALID_PRINCIPAL_TYPE = 67, _FINAL, "the broker does not support this type of principal"
    NON_EMPTY_GROUP = 68, _FINAL, "the group still has members"
    GROUP_ID_NOT_FOUND = 69, _FINAL, "there is no such group"
    FETCH_SESSION_ID_NOT_FOUND = 70, _RETRY, "the broker has forgotten the fetch session; start a new one"
    INVALID_FETCH_SESSION_EPOCH = 71, _RETRY, "the fetch session is at another epoch; start a new one"
    LISTENER_NOT_FOUND = 72, _RETRY, "the leader has no listener of the kind this connection uses"
    TOPIC_DELETION_DISABLED = 73, _FINAL, "the brokers run with delete.topic.enable=false"
    FENCED_LEADER_EPOCH = 74, _RETRY, "the client's leader epoch is older than the broker's"
    UNKNOWN_LEADER_EPOCH = 75, _RETRY, "the client's leader epoch is newer than the broker's, which lags behind"
    UNSUPPORTED_COMPRESSION_TYPE = 76, _FINAL, "this compression is not supported in this version of the request"
    STALE_BROKER_EPOCH = 77, _FINAL, "the broker has registered anew since this request was made"
    OFFSET_NOT_AVAILABLE = 78, _RETRY, "a new leader does not know yet how far the log is committed"
    MEMBER_ID_REQUIRED = 79, _FINAL, "join again with the member id the coordinator just gave out"
    PREFERRED_LEADER_NOT_AVAILABLE = 80, _RETRY, "the partition's preferred leader is not available"
    GROUP_MAX_SIZE_REACHED = 81, _FINAL, "the group has group.max.size members already"
    FENCED_INSTANCE_ID = 82, _FINAL, "another member has taken over this group.instance.id"
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, _RETRY, "no replica that could become leader is available"
    ELECTION_NOT_NEEDED = 84, _RETRY, "the partition has the leader it should have"
    NO_REASSIGNMENT_IN_PROGRESS = 85, _FINAL, "no move of replicas is under way for the partition"
    GROUP_SUBSCRIBED_TO_TOPIC = 86, _FINAL, "offsets cannot be deleted while the group is subscribed to the topic"
    INVALID_RECORD = 87, _FINAL, "a record failed the broker's validation; the answer names which, and why"
    UNSTABLE_OFFSET_COMMIT = 88, _RETRY, "an open transaction holds offsets of this group"
    THROTTLING_QUOTA_EXCEEDED = 89, _RETRY, "the user's quota for changes to the cluster is used up for now"
    PRODUCER_FENCED = 90, _FINAL, "a newer producer with the same transactional id took over"
    RESOURCE_NOT_FOUND = 91, _FINAL, "the thing the request refers to does not exist"
    DUPLICATE_RESOURCE = 92, _FINAL, "the request names the same thing twice"
    UNACCEPTABLE_CREDENTIAL = 93, _FINAL, "the credential to be stored breaks the broker's rules, such as a minimum of iterations"
    INCONSISTENT_VOTER_SET = 94, _FINAL, "sender or receiver is not one of the quorum's voters"
    INVALID_UPDATE_VERSION = 95, _FINAL, "the version given for the update is not valid"
    FEATURE_UPDATE_FAILED = 96, _FINAL, "the cluster's features could not be updated, because of an error in the broker"
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, _FINAL, "a broker could not read the user forwarded by another; a set-up fault"
    SNAPSHOT_NOT_FOUND = 98, _FINAL, "the quorum's snapshot does not exist"
    POSITION_OUT_OF_RANGE = 99, _FINAL, "the position is before the start or after the end of the snapshot"
    UNKNOWN_TOPIC_ID = 100, _RETRY, "this broker has no topic of that id; it may have been deleted or created again"
    DUPLICATE_BROKER_REGISTRATION = 101, _FINAL, "another broker is running under this node id"
    BROKER_ID_NOT_REGISTERED = 102, _FINAL, "no broker of this node id is registered"
    INCONSISTENT_TOPIC_ID = 103, _RETRY, "the topic has been created anew under another id"
    INCONSISTENT_CLUSTER_ID = 104, _FINAL, "the request was meant for another cluster"
    TRANSACTIONAL_ID_NOT_FOUND = 105, _FINAL, "the coordinator knows no such transactional id"
    FETCH_SESSION_TOPIC_ID_ERROR = 106, _RETRY, "the fetch session was begun with topic names and continued with ids, or reversed"
    INELIGIBLE_REPLICA = 107, _FINAL, "a replica offered as in sync may not be so"
    NEW_LEADER_ELECTED = 108, _FINAL, "the change was made, and gave the partition a new leader"
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, _FINAL, "the offset is no longer on the broker but in tiered storage"
    FENCED_MEMBER_EPOCH = 110, _FINAL, "the member was fenced: it must give up its partitions and join again"
    UNRELEASED_INSTANCE_ID = 111, _FINAL, "the group.instance.id still belongs to a member that has not left"
    UNSUPPORTED_ASSIGNOR = 112, _FINAL, "the group does not support this assignor"
    STALE_MEMBER_EPOCH = 113, _FINAL, "the member's epoch is old; the next heartbeat brings the current one"
    MISMATCHED_ENDPOINT_TYPE = 114, _FINAL, "the request went to a controller where a broker was meant, or reversed"
    UNSUPPORTED_ENDPOINT_TYPE = 115, _FINAL, "this kind of endpoint is not supported yet"
    UNKNOWN_CONTROLLER_ID = 116, _FINAL, "the cluster has no controller of that id"
    UNKNOWN_SUBSCRIPTION_ID = 117, _FINAL, "the client's telemetry subscription is outdated or not known"
    TELEMETRY_TOO_LARGE = 118, _FINAL, "the client's telemetry is larger than the broker accepts"
    INVALID_REGISTRATION = 119, _FINAL, "the controller refused the broker's registration"
    TRANSACTION_ABORTABLE = 120, _FINAL, "this transaction must be aborted; the producer can go on with the next"
    INVALID_RECORD_STATE = 121, _FINAL, "the record cannot be acknowledged in the state it is in"
    SHARE_SESSION_NOT_FOUND = 122, _RETRY, "the broker has forgotten the share session; start a new one"
    INVALID_SHARE_SESSION_EPOCH = 123, _RETRY, "the share session is at another epoch; start a new one"
    FENCED_STATE_EPOCH = 124, _FINAL, "the share group's state has moved on to another epoch"
    INVALID_VOTER_KEY = 125, _FINAL, "the voter's key is not that of the replica asked"
    DUPLICATE_VOTER = 126, _FINAL, "the voter is one of the quorum's already"
    VOTER_NOT_FOUND = 127, _FINAL, "the quorum has no such voter"
    INVALID_REGULAR_EXPRESSION = 128, _FINAL, "the regular expression of the subscription is not valid (RE2 syntax)"
    REBOOTSTRAP_REQUIRED = 129, _FINAL, "the client's metadata is of no use any more; begin again from the bootstrap servers"
    STREAMS_INVALID_TOPOLOGY = 130, _FINAL, "the streams group's topology is not valid"
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, _FINAL, "the streams group's topology epoch is not valid"
    STREAMS_TOPOLOGY_FENCED = 132, _FINAL, "the streams group has moved on to a newer topology"
    SHARE_SESSION_LIMIT_REACHED = 133, _RETRY, "the broker has as many share sessions as it allows"


_BY_CODE: dict[int, ErrorCode] = {int(member): member for member in ErrorCode}


def error_name(code: int) -> str:
    """Kafka's name of `code`; `"UNKNOWN_CODE_4711"` for one that is not in the table."""
    known = _BY_CODE.get(code)
    return f"UNKNOWN_CODE_{code}" if known is None else known.name


def is_retriable(code: int) -> bool:
    """Whether Kafka calls `code` retriable. False for one that is not in the table: nobody knows what a retry
    would do.
    """
    known = _BY_CODE.get(code)
    return known is not None and known.retriable


def describe(code: int) -> str:
    """`code` for a person: `"NAME (code): what it means"`, for any number."""
    known = _BY_CODE.get(code)
    meaning = "a code this version of klife does not know; the broker is probably newer" if known is None else known.description
    return f"{error_name(code)} ({code}): {meaning}"
