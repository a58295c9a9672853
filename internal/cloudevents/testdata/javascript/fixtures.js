// Writes javascript.json, the fixtures of the JavaScript SDK, to the folder that is the first argument.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CloudEvent, Kafka } from "cloudevents";

const required = {
	id: "e-1",
	source: "https://shop.example/orders",
	type: "com.example.order.placed",
	time: "2026-01-02T03:04:05.678Z", // the SDK keeps milliseconds
};
const object = { n: 7, name: "Zoë" };

const cases = {
	full: {
		datacontenttype: "application/json",
		subject: "order-17",
		dataschema: "https://shop.example/schemas/order.json",
		tenant: "blue",
		attempt: "3",
		partitionkey: "k-17",
		data: object,
	},
	nocontenttype: { data: object },
	charset: { datacontenttype: "application/json;charset=utf-8", data: object },
	bytes: { datacontenttype: "application/octet-stream", data: new Uint8Array([0, 1, 255]) },
	text: { datacontenttype: "text/plain", data: "a\nb ü" },
	nodata: { subject: "order-17" },
};

// The SDK leaves headers that are not set undefined, and the data as it was given: clients need strings or bytes.
function bytes(value) {
	if (value === undefined || value === null) return null;
	if (typeof value === "string" || value instanceof Uint8Array) return Buffer.from(value);
	return Buffer.from(JSON.stringify(value));
}
const hex = (value) => bytes(value)?.toString("hex") ?? null;

function fixture(name, message) {
	const headers = Object.entries(message.headers).filter(([, value]) => value !== undefined);
	return {
		name,
		key: hex(message.key),
		headers: headers.map(([name, value]) => ({ name, value: hex(value) })),
		value: hex(message.value),
	};
}

const fixtures = Object.entries(cases).flatMap(([name, fields]) => {
	const event = new CloudEvent({ ...required, ...fields });
	return [fixture(`binary/${name}`, Kafka.binary(event)), fixture(`structured/${name}`, Kafka.structured(event))];
});
writeFileSync(join(process.argv[2], "javascript.json"), JSON.stringify(fixtures, null, "\t") + "\n");
