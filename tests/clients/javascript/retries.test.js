// The server throttles the first attempt and cannot be served in the second.
const test = require("node:test");
const assert = require("node:assert/strict");
const { GetCommand, PutCommand } = require("@aws-sdk/lib-dynamodb");
const { items } = require("./clients.js");

test("a request that is throttled or finds no master is sent again", async () => {
  const put = await items.send(new PutCommand({ TableName: "orders", Item: { pk: "k", n: 1 } }));
  assert.equal(put.$metadata.attempts, 3);
  const { Item } = await items.send(new GetCommand({ TableName: "orders", Key: { pk: "k" } }));
  assert.deepEqual(Item, { pk: "k", n: 1 });
});
