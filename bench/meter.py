"""Counts the requests that the layer sends to AWS through boto3, and the capacity units that they would use."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from bench import prices
from logkeep.aws import clients


class Meter:
    """Sums of requests and capacity units, counted inside of `counting()`."""

    def __init__(self, dynamodb: Any) -> None:
        """`dynamodb` is a client to read back what was written. Its own requests are not counted."""
        self._dynamodb: Final = dynamodb
        self.requests: Counter[str] = Counter()
        self.write_units = 0.0
        self.read_units = 0.0

    @contextmanager
    def counting(self) -> Iterator[Self]:
        used = [client.meta.events for client in (clients.s3(), clients.dynamodb(), clients.functions())]
        for events in used:
            events.register("provide-client-params.*.*", self._remember)
            events.register("after-call.*.*", self._count)
        try:
            yield self
        finally:
            for events in used:
                events.unregister("provide-client-params.*.*", self._remember)
                events.unregister("after-call.*.*", self._count)

    @property
    def dollars(self) -> float:
        return (
            self.write_units * prices.WRITE_UNIT
            + self.read_units * prices.READ_UNIT
            + sum(self.requests[name] * price for name, price in prices.S3_CALLS.items())
        )

    def per(self, number: int) -> str:
        """The requests for one of `number` equal operations, as text."""
        return ", ".join(f"{count / number:g} {name}" for name, count in sorted(self.requests.items()))

    def _remember(self, model: Any, params: Any, context: dict[str, Any], **_: Any) -> None:
        context["sent"] = params
        if model.name == "BatchWriteItem":
            for table, writes in params["RequestItems"].items():
                deletes = ({"TableName": table, "Key": each["DeleteRequest"]["Key"]} for each in writes)
                self.write_units += sum(map(self._written, deletes))

    def _count(self, model: Any, parsed: Mapping[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        self.requests[model.name] += 1
        if model.service_model.service_name != "dynamodb":
            return
        sent = context["sent"]
        consistent = sent.get("ConsistentRead", False)
        match model.name:
            case "GetItem":
                size = prices.item_size(parsed.get("Item", {}))
                self.read_units += prices.read_units([size], consistent=consistent)
            case "Query":
                self.read_units += prices.read_units(map(prices.item_size, parsed["Items"]), consistent=consistent)
            case "PutItem" | "UpdateItem":
                self.write_units += self._written(sent)
            case "TransactWriteItems":
                writes = [write for item in sent["TransactItems"] for write in item.values()]
                self.write_units += prices.TRANSACTIONAL * sum(map(self._written, writes))
            case "BatchWriteItem":
                pass  # counted before, while the items are there
            case "DeleteItem":
                self.write_units += 1  # of what is due, which is small
            case other:
                raise LookupError(other)

    def _written(self, write: Mapping[str, Any]) -> int:
        """The units of one write.

        An update counts the size that the item has now, because updated items only grow here. Deleted items are small.
        The index of logs has only keys and is written once per log; that is left out.
        """
        table, key = write["TableName"], write.get("Key")
        item = self._dynamodb.get_item(TableName=table, Key=key).get("Item", {}) if key else write["Item"]
        return prices.write_units(prices.item_size(item))
