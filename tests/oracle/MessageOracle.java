// Kafka's own message codec behind a pipe: one JVM answers for a whole test session.
//
// A question is a line of fields separated by tabs, and so is the answer.
//
//   encode  ProduceRequestData  13  JSON     ->  ok  HEX          the values as Kafka writes them
//   decode  ProduceRequestData  13  HEX      ->  ok  JSON  HEX    what Kafka reads, and how it would write that again
//   headers ProduceRequestData  13           ->  ok  2  1         the header versions before this API's request and response
//   anything that fails                      ->  error  REASON    the exception, or the number of bytes left over
//
// The JSON is that of Kafka's generated XDataJsonConverter: camelCase names, bytes and records in base64, uuids in URL-safe base64,
// tagged fields left out where they have their default, and so are fields the version does not have. Kafka reads records from JSON
// but prints them as empty (or null), whatever they are: compare the bytes.
// Run uncompiled: java -cp "JARS/*" MessageOracle.java

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

public class MessageOracle {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final Map<String, Codec> CODECS = new HashMap<>();

    /** The generated class of one message, and the two static methods of its JSON converter. */
    private record Codec(Class<?> type, Method fromJson, Method toJson) {
        static Codec of(String name) {
            try {
                Class<?> type = Class.forName("org.apache.kafka.common.message." + name);
                Class<?> converter = Class.forName(type.getName() + "JsonConverter");
                return new Codec(
                    type,
                    converter.getMethod("read", JsonNode.class, short.class),
                    converter.getMethod("write", type, short.class, boolean.class));
            } catch (ReflectiveOperationException e) {
                throw new IllegalArgumentException("Kafka has no message called " + name, e);
            }
        }

        Message empty() throws ReflectiveOperationException {
            return (Message) type.getConstructor().newInstance();
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            answers.print(answer(line.split("\t", 4)) + "\n");
            answers.flush();
        }
    }

    private static String answer(String[] question) {
        try {
            Codec codec = CODECS.computeIfAbsent(question[1], Codec::of);
            short version = Short.parseShort(question[2]);
            return switch (question[0]) {
                case "encode" -> encode(codec, version, question[3]);
                case "decode" -> decode(codec, version, question[3]);
                case "headers" -> headers(codec, version);
                default -> error("no such verb: " + question[0]);
            };
        } catch (InvocationTargetException e) {
            return error(e.getCause().toString());
        } catch (Exception e) {
            return error(e.toString());
        }
    }

    private static String encode(Codec codec, short version, String json) throws Exception {
        Message message = (Message) codec.fromJson().invoke(null, JSON.readTree(json), version);
        return "ok\t" + bytesOf(message, version);
    }

    private static String decode(Codec codec, short version, String hex) throws Exception {
        ByteBufferAccessor bytes = new ByteBufferAccessor(ByteBuffer.wrap(HEX.parseHex(hex)));
        Message message = codec.empty();
        message.read(bytes, version);
        if (bytes.remaining() > 0) {
            return error(bytes.remaining() + " bytes are left over after reading " + message);
        }
        String json = JSON.writeValueAsString(codec.toJson().invoke(null, message, version, true));
        return "ok\t" + json + "\t" + bytesOf(message, version);
    }

    private static String headers(Codec codec, short version) throws Exception {
        ApiMessageType api = ApiMessageType.fromApiKey(((ApiMessage) codec.empty()).apiKey());
        return "ok\t" + api.requestHeaderVersion(version) + "\t" + api.responseHeaderVersion(version);
    }

    private static String bytesOf(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return HEX.formatHex(bytes);
    }

    private static String error(String reason) {
        return "error\t" + reason.replaceAll("[\\t\\r\\n]+", " ");
    }
}
