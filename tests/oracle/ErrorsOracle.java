// Prints every error code of Kafka's own client, a line each: code, name, and whether its exception is a RetriableException.
// Run uncompiled: java -cp "JARS/*" ErrorsOracle.java

import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.Errors;

public class ErrorsOracle {
    public static void main(String[] args) {
        for (Errors error : Errors.values()) {
            System.out.println(error.code() + "\t" + error.name() + "\t" + (error.exception() instanceof RetriableException));
        }
    }
}
