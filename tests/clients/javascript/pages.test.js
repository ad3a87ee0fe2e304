const test = require("node:test");
const assert = require("node:assert/strict");
const { BatchGetCommand, BatchWriteCommand, paginateQuery, paginateScan } = require("@aws-sdk/lib-dynamodb");
const { items, makeTable } = require("./clients.js");

const TableName = "lines";
const COUNT = 60;
const all = Array.from({ length: COUNT }, (_, number) => ({ pk: `p${number % 3}`, sk: number, even: number % 2 === 0 }));

test.before(async () => {
  await makeTable(TableName, "N");
  for (let first = 0; first < COUNT; first += 25) {
    const puts = all.slice(first, first + 25).map((Item) => ({ PutRequest: { Item } }));
    const { UnprocessedItems } = await items.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
    assert.deepEqual(UnprocessedItems, {});
  }
});

async function collect(pages) {
  const found = [];
  let count = 0;
  for await (const page of pages) {
    found.push(...page.Items);
    count += 1;
  }
  return { found, count };
}

test("a query goes through its pages in order, forwards and backwards", async () => {
  const wanted = all.filter((item) => item.pk === "p1" && item.sk >= 10).map((item) => item.sk);
  for (const ScanIndexForward of [true, false]) {
    const query = {
      TableName,
      KeyConditionExpression: "pk = :p AND sk >= :s",
      ExpressionAttributeValues: { ":p": "p1", ":s": 10 },
      ScanIndexForward,
    };
    const { found, count } = await collect(paginateQuery({ client: items, pageSize: 4 }, query));
    assert.deepEqual(found.map((item) => item.sk), ScanIndexForward ? wanted : wanted.toReversed());
    assert.ok(count > 1);
  }
});

test("a scan in segments with a filter finds each item once", async () => {
  const found = [];
  for (const Segment of [0, 1, 2]) {
    const scan = { TableName, Segment, TotalSegments: 3, FilterExpression: "even = :e", ExpressionAttributeValues: { ":e": true } };
    found.push(...(await collect(paginateScan({ client: items, pageSize: 7 }, scan))).found);
  }
  const numbers = found.map((item) => item.sk).sort((one, other) => one - other);
  assert.deepEqual(numbers, all.filter((item) => item.even).map((item) => item.sk));
});

test("a batch gets what is there, shows what was asked for, and says nothing of what is not there", async () => {
  const Keys = [{ pk: "p1", sk: 1 }, { pk: "p2", sk: 2 }, { pk: "p1", sk: 1000 }];
  const RequestItems = { [TableName]: { Keys, ProjectionExpression: "sk", ConsistentRead: true } };
  const { Responses, UnprocessedKeys } = await items.send(new BatchGetCommand({ RequestItems }));
  assert.deepEqual(Responses[TableName].map((item) => item.sk).sort(), [1, 2]);
  assert.deepEqual(UnprocessedKeys, {});
});

test("a batch deletes", async () => {
  const deletes = all.slice(0, 3).map(({ pk, sk }) => ({ DeleteRequest: { Key: { pk, sk } } }));
  await items.send(new BatchWriteCommand({ RequestItems: { [TableName]: deletes } }));
  const { found } = await collect(paginateScan({ client: items }, { TableName, ConsistentRead: true }));
  assert.equal(found.length, COUNT - 3);
});
