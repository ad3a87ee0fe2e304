const test = require("node:test");
const assert = require("node:assert/strict");
const { ConditionalCheckFailedException } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient, DeleteCommand, GetCommand, PutCommand, UpdateCommand, NumberValue } = require("@aws-sdk/lib-dynamodb");
const { items, makeClient, makeTable } = require("./clients.js");

const TableName = "things";
const get = async (pk) => (await items.send(new GetCommand({ TableName, Key: { pk }, ConsistentRead: true }))).Item;

test.before(() => makeTable(TableName));

test("every type comes back as it was put", async () => {
  const item = {
    pk: "all",
    text: "é😀\u0000",
    empty: "",
    number: -1.5,
    large: 12345678901234567890n,
    yes: true,
    nothing: null,
    bytes: new Uint8Array([0, 1, 255]),
    list: [1, "two", [], { three: 3 }],
    map: { inside: { deeper: [null] }, "a.b": 1 },
    texts: new Set(["x", "y"]),
    numbers: new Set([1, 2]),
    binaries: new Set([new Uint8Array([1]), new Uint8Array([2])]),
  };
  await items.send(new PutCommand({ TableName, Item: item }));
  assert.deepEqual(await get("all"), item);
});

test("a number of 38 digits is exact", async () => {
  const digits = "1234567890123456789012345678901234567.8";
  await items.send(new PutCommand({ TableName, Item: { pk: "exact", n: NumberValue.from(digits) } }));
  const exact = DynamoDBDocumentClient.from(makeClient(), { unmarshallOptions: { wrapNumbers: true } });
  const { Item } = await exact.send(new GetCommand({ TableName, Key: { pk: "exact" }, ConsistentRead: true }));
  assert.equal(Item.n.toString(), digits);
});

test("a condition that does not hold is an error with the item", async () => {
  const Item = { pk: "once", n: 1 };
  const put = { TableName, Item, ConditionExpression: "attribute_not_exists(pk)" };
  await items.send(new PutCommand(put));
  await assert.rejects(
    items.send(new PutCommand({ ...put, ReturnValuesOnConditionCheckFailure: "ALL_OLD" })),
    (error) => {
      assert.ok(error instanceof ConditionalCheckFailedException);
      assert.equal(error.message, "The conditional request failed");
      assert.deepEqual(error.Item, { pk: { S: "once" }, n: { N: "1" } });
      return true;
    },
  );
});

test("an update changes what it names and says what it was and is", async () => {
  await items.send(new PutCommand({ TableName, Item: { pk: "count", n: 1, tags: new Set(["a"]), old: true } }));
  const changed = await items.send(
    new UpdateCommand({
      TableName,
      Key: { pk: "count" },
      UpdateExpression: "SET #n = #n + :one, #k = if_not_exists(#k, :one) REMOVE #old ADD tags :tags",
      ConditionExpression: "#n < :limit",
      ExpressionAttributeNames: { "#n": "n", "#k": "k", "#old": "old" },
      ExpressionAttributeValues: { ":one": 1, ":limit": 10, ":tags": new Set(["b"]) },
      ReturnValues: "ALL_NEW",
    }),
  );
  assert.deepEqual(changed.Attributes, { pk: "count", n: 2, k: 1, tags: new Set(["a", "b"]) });
});

test("a delete gives back what was there, and then there is nothing", async () => {
  await items.send(new PutCommand({ TableName, Item: { pk: "gone", n: 7 } }));
  const gone = await items.send(new DeleteCommand({ TableName, Key: { pk: "gone" }, ReturnValues: "ALL_OLD" }));
  assert.deepEqual(gone.Attributes, { pk: "gone", n: 7 });
  assert.equal(await get("gone"), undefined);
});

test("an expression with a mistake is refused with the service's words", async () => {
  await assert.rejects(
    items.send(new UpdateCommand({ TableName, Key: { pk: "x" }, UpdateExpression: "SET a = :missing" })),
    {
      name: "ValidationException",
      message:
        "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :missing",
    },
  );
});
