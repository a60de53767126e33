"""Kuscia's messages built from field facts alone, for protobuf's strict JSON parser."""

from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format, message_factory

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "kuscia.proto.api.v1alpha1"


def _message(name: str, **fields: tuple[int, int, str]) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name)
    for field, (number, kind, of) in fields.items():
        repeated = _FIELD.LABEL_REPEATED if of.endswith("Any") else _FIELD.LABEL_OPTIONAL
        message.field.add(name=field, number=number, type=kind, label=repeated, type_name=of or None)
    return message


def _build() -> type[Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="log.proto", package=_PACKAGE, syntax="proto3", dependency=["google/protobuf/any.proto"]
    )
    status = _message(
        "Status",
        code=(1, _FIELD.TYPE_INT32, ""),
        message=(2, _FIELD.TYPE_STRING, ""),
        details=(3, _FIELD.TYPE_MESSAGE, ".google.protobuf.Any"),
    )
    response = _message(
        "QueryLogResponse", status=(1, _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.Status"), log=(2, _FIELD.TYPE_STRING, "")
    )
    file.message_type.extend([status, response])
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.QueryLogResponse"))


QueryLogResponse: Final = _build()


def parse(line: str, message: type[Any]) -> Any:
    """Raise json_format.ParseError on any unknown field or wrong type."""
    return json_format.Parse(line, message(), ignore_unknown_fields=False)
