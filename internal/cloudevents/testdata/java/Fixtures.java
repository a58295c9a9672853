import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventSerializer;
import io.cloudevents.kafka.PartitionKeyExtensionInterceptor;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** Writes java.json, the fixtures of the Java SDK, to the folder that is the first argument. */
public final class Fixtures {
	private static CloudEventBuilder event() {
		return CloudEventBuilder.v1()
			.withId("e-1")
			.withSource(URI.create("https://shop.example/orders"))
			.withType("com.example.order.placed")
			.withTime(OffsetDateTime.parse("2026-01-02T03:04:05.678901234Z"));
	}

	private static byte[] utf8(String text) {
		return text.getBytes(StandardCharsets.UTF_8);
	}

	public static void main(String[] args) throws Exception {
		byte[] object = utf8("{\"n\":7,\"name\":\"Zoë\"}");
		Map<String, CloudEvent> cases = new LinkedHashMap<>();
		cases.put("full", event()
			.withDataContentType("application/json")
			.withSubject("order-17")
			.withDataSchema(URI.create("https://shop.example/schemas/order.json"))
			.withExtension("tenant", "blue")
			.withExtension("attempt", 3)
			.withExtension("urgent", true)
			.withExtension("partitionkey", "k-17")
			.withData(object)
			.build());
		cases.put("nocontenttype", event().withData(object).build());
		cases.put("charset", event().withDataContentType("application/json;charset=utf-8").withData(object).build());
		cases.put("bytes", event().withDataContentType("application/octet-stream").withData(new byte[] {0, 1, (byte) 255}).build());
		cases.put("text", event().withDataContentType("text/plain").withData(utf8("a\nb ü")).build());
		cases.put("string", event().withDataContentType("application/json").withData(utf8("\"a\"")).build());
		cases.put("nodata", event().withSubject("order-17").build());
		cases.put("notime", CloudEventBuilder.v1()
			.withId("e-1").withSource(URI.create("https://shop.example/orders")).withType("com.example.order.placed")
			.withDataContentType("application/json").withData(object).build());

		List<String> fixtures = new ArrayList<>();
		for (Map.Entry<String, CloudEvent> c : cases.entrySet()) {
			for (Encoding encoding : List.of(Encoding.BINARY, Encoding.STRUCTURED)) {
				CloudEventSerializer serializer = new CloudEventSerializer();
				Map<String, Object> config = new LinkedHashMap<>();
				config.put(CloudEventSerializer.ENCODING_CONFIG, encoding.name());
				if (encoding == Encoding.STRUCTURED) {
					config.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, JsonFormat.CONTENT_TYPE);
				}
				serializer.configure(config, false);
				// The interceptor is what a service configures to have the key taken from the extension partitionkey.
				ProducerRecord<Object, CloudEvent> record = new PartitionKeyExtensionInterceptor().onSend(
					new ProducerRecord<>("orders", (Integer) null, (Object) null, c.getValue(), new RecordHeaders()));
				byte[] value = serializer.serialize("orders", record.headers(), record.value());
				fixtures.add(fixture(encoding.name().toLowerCase() + "/" + c.getKey(), record, value));
			}
		}
		Files.writeString(Path.of(args[0], "java.json"), "[\n" + String.join(",\n", fixtures) + "\n]\n");
	}

	private static String fixture(String name, ProducerRecord<Object, CloudEvent> record, byte[] value) {
		List<String> headers = new ArrayList<>();
		record.headers().forEach(h ->
			headers.add("\t\t\t{\n\t\t\t\t\"name\": \"" + h.key() + "\",\n\t\t\t\t\"value\": " + hex(h.value()) + "\n\t\t\t}"));
		return "\t{\n\t\t\"name\": \"" + name + "\",\n\t\t\"key\": " + hex(record.key() == null ? null : utf8((String) record.key()))
			+ ",\n\t\t\"headers\": [\n" + String.join(",\n", headers) + "\n\t\t],\n\t\t\"value\": " + hex(value) + "\n\t}";
	}

	private static String hex(byte[] bytes) {
		return bytes == null ? "null" : '"' + HexFormat.of().formatHex(bytes) + '"';
	}
}
