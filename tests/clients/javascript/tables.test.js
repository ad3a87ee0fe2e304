const test = require("node:test");
const assert = require("node:assert/strict");
const dynamodb = require("@aws-sdk/client-dynamodb");
const { client, makeTable } = require("./clients.js");

test("a table is made, described, listed page by page, tagged and deleted", async () => {
  for (const name of ["first", "second", "third"]) await makeTable(name, name === "third" ? "N" : undefined);
  const { Table } = await client.send(new dynamodb.DescribeTableCommand({ TableName: "third" }));
  assert.equal(Table.TableStatus, "ACTIVE");
  assert.ok(Table.CreationDateTime instanceof Date);
  assert.deepEqual(Table.KeySchema.map((key) => key.KeyType), ["HASH", "RANGE"]);

  const names = [];
  let pages = 0;
  for await (const page of dynamodb.paginateListTables({ client, pageSize: 1 }, {})) {
    names.push(...page.TableNames);
    pages += 1;
  }
  assert.deepEqual(names, ["first", "second", "third"]);
  assert.ok(pages >= 3);

  const arn = { ResourceArn: Table.TableArn };
  await client.send(new dynamodb.TagResourceCommand({ ...arn, Tags: [{ Key: "team", Value: "x" }] }));
  const tags = await client.send(new dynamodb.ListTagsOfResourceCommand(arn));
  assert.deepEqual(tags.Tags, [{ Key: "team", Value: "x" }]);

  await client.send(new dynamodb.DeleteTableCommand({ TableName: "second" }));
  await dynamodb.waitUntilTableNotExists({ client, maxWaitTime: 60, minDelay: 1 }, { TableName: "second" });
  await assert.rejects(
    client.send(new dynamodb.DescribeTableCommand({ TableName: "second" })),
    (error) => error instanceof dynamodb.ResourceNotFoundException && error.$metadata.httpStatusCode === 400,
  );
});

test("a table that is there is not made again", async () => {
  await assert.rejects(makeTable("first"), (error) => error instanceof dynamodb.ResourceInUseException);
});

test("time to live is set and described", async () => {
  const wanted = { Enabled: true, AttributeName: "ends" };
  await client.send(new dynamodb.UpdateTimeToLiveCommand({ TableName: "first", TimeToLiveSpecification: wanted }));
  const found = await client.send(new dynamodb.DescribeTimeToLiveCommand({ TableName: "first" }));
  assert.deepEqual(found.TimeToLiveDescription, { TimeToLiveStatus: "ENABLED", AttributeName: "ends" });
});

test("an operation that is not served is an error of its own name", async () => {
  await assert.rejects(client.send(new dynamodb.ListBackupsCommand({})), { name: "UnknownOperationException" });
});
