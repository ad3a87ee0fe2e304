// The two clients of the AWS SDK for JavaScript, as a program would make them, of the endpoint KEYSTEAD_ENDPOINT.
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient } = require("@aws-sdk/lib-dynamodb");

const makeClient = () =>
  new DynamoDBClient({
    endpoint: process.env.KEYSTEAD_ENDPOINT,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  });
const client = makeClient();
const items = DynamoDBDocumentClient.from(client);

// Makes a table of the string key `pk` and, if it has a type, the sort key `sk`; waits until it is there.
async function makeTable(name, sortType) {
  const { CreateTableCommand, waitUntilTableExists } = require("@aws-sdk/client-dynamodb");
  const keys = [["pk", "S", "HASH"]].concat(sortType ? [["sk", sortType, "RANGE"]] : []);
  await client.send(
    new CreateTableCommand({
      TableName: name,
      AttributeDefinitions: keys.map(([key, type]) => ({ AttributeName: key, AttributeType: type })),
      KeySchema: keys.map(([key, , role]) => ({ AttributeName: key, KeyType: role })),
      BillingMode: "PAY_PER_REQUEST",
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1 }, { TableName: name });
}

module.exports = { client, items, makeClient, makeTable };
