"""Writes the fixtures of the Python SDK: python.json by its present API
(cloudevents.core) and python-v1.json by that of its versions 1.x, which it
still contains (cloudevents.v1). The argument is the folder to write to."""

import json
import pathlib
import sys
from datetime import datetime, timezone

from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as kafka_v1
from cloudevents.v1.http import CloudEvent as CloudEventV1

REQUIRED = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "https://shop.example/orders",
    "type": "com.example.order.placed",
}
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)
OBJECT = {"n": 7, "name": "Zoë"}

# name: attributes beside the required ones, data
CASES = {
    "full": (
        {
            "datacontenttype": "application/json",
            "subject": "order-17",
            "dataschema": "https://shop.example/schemas/order.json",
            "time": TIME,
            "tenant": "blue",
            "attempt": "3",
            "partitionkey": "k-17",
        },
        OBJECT,
    ),
    "nocontenttype": ({"time": TIME}, OBJECT),
    "charset": ({"time": TIME, "datacontenttype": "application/json;charset=utf-8"}, OBJECT),
    "bytes": ({"time": TIME, "datacontenttype": "application/octet-stream"}, b"\x00\x01\xff"),
    "text": ({"time": TIME, "datacontenttype": "text/plain"}, "a\nb ü"),
    "nodata": ({"time": TIME, "subject": "order-17"}, None),
}


def fixture(name, message):
    key = message.key.encode() if isinstance(message.key, str) else message.key
    value = message.value.encode() if isinstance(message.value, str) else message.value
    return {
        "name": name,
        "key": None if key is None else key.hex(),
        "headers": [{"name": n, "value": v.hex()} for n, v in message.headers.items()],
        "value": None if value is None else value.hex(),
    }


def present():
    for name, (attributes, data) in CASES.items():
        event = CloudEvent(REQUIRED | attributes, data)
        yield fixture("binary/" + name, kafka.to_binary(event, JSONFormat()))
        yield fixture("structured/" + name, kafka.to_structured(event, JSONFormat()))


def marshal(data):
    """What a caller gives as data_marshaller; the default marshals bytes as a JSON string, or fails."""
    if data is None or isinstance(data, (str, bytes)):
        return data
    return json.dumps(data)


def v1():
    for name, (attributes, data) in CASES.items():
        attributes = {n: v.isoformat() if n == "time" else v for n, v in attributes.items()}
        event = CloudEventV1(REQUIRED | attributes, data)
        if "datacontenttype" in attributes:  # without one its to_binary fails
            yield fixture("binary/" + name, kafka_v1.to_binary(event, data_marshaller=marshal))
        yield fixture("structured/" + name, kafka_v1.to_structured(event))


folder = pathlib.Path(sys.argv[1])
for file, fixtures in {"python.json": present(), "python-v1.json": v1()}.items():
    text = json.dumps(list(fixtures), indent="\t")
    (folder / file).write_text(text + "\n")
