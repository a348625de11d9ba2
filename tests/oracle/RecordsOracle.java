// Reads and writes record batches with Kafka's own classes.
//
// Run uncompiled: java -cp "JARS/*" RecordsOracle.java < cases.json > answers.json
//
//   {"read": [BASE64, ...], "write": [BATCH, ...]}   ->   {"read": [[BATCH, ...] or {"error": TEXT}, ...], "written": [BASE64, ...]}
//
// A BATCH has the fields named below; keys, values and header values are base64 or null. A base64 to be read may hold several batches.

import java.nio.ByteBuffer;
import java.util.Iterator;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.BufferSupplier;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

public class RecordsOracle {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        JsonNode cases = JSON.readTree(System.in);
        ObjectNode answers = JSON.createObjectNode();
        ArrayNode read = answers.putArray("read");
        for (JsonNode data : cases.get("read")) {
            try {
                read.add(read(data.binaryValue()));
            } catch (RuntimeException refused) {
                read.addObject().put("error", refused.toString());
            }
        }
        ArrayNode written = answers.putArray("written");
        for (JsonNode batch : cases.get("write"))
            written.add(write(batch));
        JSON.writeValue(System.out, answers);
    }

    private static ArrayNode read(byte[] data) {
        ArrayNode batches = JSON.createArrayNode();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(data)).batches()) {
            batch.ensureValid();
            // The way a broker looks at a produced batch, which does not read keys and values.
            Iterator<Record> skipping = ((DefaultRecordBatch) batch).skipKeyValueIterator(BufferSupplier.NO_CACHING);
            while (skipping.hasNext())
                skipping.next().ensureValid();
            ObjectNode answer = batches.addObject();
            answer.put("codec", batch.compressionType().id);
            answer.put("base_offset", batch.baseOffset());
            answer.put("leader_epoch", batch.partitionLeaderEpoch());
            answer.put("append_time", batch.timestampType() == TimestampType.LOG_APPEND_TIME);
            answer.put("transactional", batch.isTransactional());
            answer.put("control", batch.isControlBatch());
            answer.put("last_offset", batch.lastOffset());
            answer.put("max_timestamp", batch.maxTimestamp());
            answer.put("producer_id", batch.producerId());
            answer.put("producer_epoch", batch.producerEpoch());
            answer.put("base_sequence", batch.baseSequence());
            ArrayNode records = answer.putArray("records");
            for (Record record : batch) {
                record.ensureValid();
                ObjectNode one = records.addObject();
                one.put("offset", record.offset());
                one.put("timestamp", record.timestamp());
                one.put("key", bytes(record.key()));
                one.put("value", bytes(record.value()));
                ArrayNode headers = one.putArray("headers");
                for (Header header : record.headers())
                    headers.addArray().add(header.key()).add(header.value());
            }
        }
        return batches;
    }

    private static byte[] write(JsonNode batch) throws Exception {
        boolean appendTime = batch.get("append_time").asBoolean();
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(1 << 16),
            (byte) batch.get("magic").asInt(),
            Compression.of(CompressionType.forId(batch.get("codec").asInt())).build(),
            appendTime ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
            batch.get("base_offset").asLong(),
            appendTime ? batch.get("max_timestamp").asLong() : -1L,
            batch.get("producer_id").asLong(),
            (short) batch.get("producer_epoch").asInt(),
            batch.get("base_sequence").asInt(),
            batch.get("transactional").asBoolean(),
            batch.get("leader_epoch").asInt());
        for (JsonNode record : batch.get("records")) {
            Header[] headers = new Header[record.get("headers").size()];
            for (int i = 0; i < headers.length; i++) {
                JsonNode header = record.get("headers").get(i);
                headers[i] = new RecordHeader(header.get(0).asText(), header.get(1).binaryValue());
            }
            builder.append(record.get("timestamp").asLong(), record.get("key").binaryValue(), record.get("value").binaryValue(), headers);
        }
        ByteBuffer built = builder.build().buffer();
        byte[] bytes = new byte[built.remaining()];
        built.get(bytes);
        return bytes;
    }

    private static byte[] bytes(ByteBuffer buffer) {
        if (buffer == null)
            return null;
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
