"""One partition of a DynamoDB table: its items by sort key as plain dicts, and conditional updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from logkeep.aws.dynamo import decode, delete, encode, query, transact, update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Partition:
    def __init__(self, dynamodb: DynamoDBClient, table: str, pk: str) -> None:
        self.dynamodb = dynamodb
        self.pk = pk
        self._table = table

    def get(self, name: str) -> dict[str, Any] | None:
        found = self.dynamodb.get_item(**self.key(name), ConsistentRead=True)
        return decode(found["Item"]) if "Item" in found else None

    def newest(self, prefix: str) -> Iterator[dict[str, Any]]:
        """The items whose sort key begins with a prefix, in descending order."""
        return query(
            self.dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=encode({":pk": self.pk, ":prefix": prefix}),
            ScanIndexForward=False,
        )

    def update(self, name: str, fields: Mapping[str, Any]) -> None:
        update(self.dynamodb, **self.update_of(name, fields))

    def try_update(self, name: str, fields: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
        """Update an item if it still has the values `seen`; returns whether it had.

        It is a transaction of one item, at twice the price: if an answer is lost, AWS knows the repeated request by its
        token. A conditional update would be refused by its own first try, and its writer take itself for the loser.
        """
        return not transact(self.dynamodb, [{"Update": self.update_of(name, fields, seen)}]).refused

    def update_of(self, name: str, fields: Mapping[str, Any], seen: Mapping[str, Any] | None = None) -> Any:
        """The arguments of an update: SET fields that have a value, REMOVE those that are None."""
        update: dict[str, Any] = where(seen) if seen else {}
        names = {f"#{index}": field for index, field in enumerate(fields)}
        sets = [f"{ref} = :{ref[1:]}" for ref, field in names.items() if fields[field] is not None]
        removes = [ref for ref, field in names.items() if fields[field] is None]
        expression = (f"SET {', '.join(sets)} " if sets else "") + (f"REMOVE {', '.join(removes)}" if removes else "")
        values = encode({f":{ref[1:]}": fields[field] for ref, field in names.items()})
        values |= update.get("ExpressionAttributeValues", {})
        update["ExpressionAttributeNames"] = names | update.get("ExpressionAttributeNames", {})
        # DynamoDB refuses an empty map.
        return (
            self.key(name)
            | {"UpdateExpression": expression}
            | update
            | ({"ExpressionAttributeValues": values} if values else {})
        )

    def put_of(self, name: str, fields: Mapping[str, Any]) -> Any:
        """The arguments of a put."""
        return {"TableName": self._table, "Item": encode({"pk": self.pk, "sk": name, **fields})}

    def delete(self, name: str) -> None:
        delete(self.dynamodb, **self.key(name))

    def key(self, name: str) -> Any:
        return {"TableName": self._table, "Key": encode({"pk": self.pk, "sk": name})}


def where(values: Mapping[str, Any]) -> dict[str, Any]:
    """The condition that attributes have these values or, for None, do not exist."""
    tests = [
        f"attribute_not_exists(#w{index})" if value is None else f"#w{index} = :w{index}"
        for index, value in enumerate(values.values())
    ]
    encoded = encode({f":w{index}": value for index, value in enumerate(values.values())})
    return {
        "ConditionExpression": " AND ".join(tests),
        "ExpressionAttributeNames": {f"#w{index}": name for index, name in enumerate(values)},
    } | ({"ExpressionAttributeValues": encoded} if encoded else {})
