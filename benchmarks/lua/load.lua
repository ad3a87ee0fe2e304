-- One request maker for every server under test.
-- Arguments behind `--`: MODE, PROTOCOL (dynamodb | etcd), FIRST (number of the first key), KEYS (how many keys exist, for
-- what reads or changes), TABLE. BENCH_ADDRESSES: host:port,... over which the threads are spread.
-- Modes: put, get; of DynamoDB alone update (a condition and two SETs), query (the items of one partition key), batch (25
-- puts), bad (requests that are all refused, for several reasons), prepared (whole requests out of the file
-- BENCH_REQUESTS, each ended by a zero byte, in turn).
-- Keys are 16 characters that are valid base64 too, so that etcd's JSON gateway gets them without encoding.
-- Values are pseudo-random, 64 different ones, so that nobody gains by compressing a constant.

local threads = 0
local addresses = {}

function setup(thread)
   if #addresses == 0 then
      for host, port in os.getenv("BENCH_ADDRESSES"):gmatch("([^:,]+):(%d+)") do
         addresses[#addresses + 1] = wrk.lookup(host, port)[1]
      end
   end
   thread.addr = addresses[threads % #addresses + 1]
   thread:set("thread_number", threads)
   threads = threads + 1
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

local function random_text(length)
   local parts = {}
   for i = 1, length do
      local at = math.random(1, #ALPHABET)
      parts[i] = ALPHABET:sub(at, at)
   end
   return table.concat(parts)
end

local OPERATIONS = {put = "PutItem", get = "GetItem", update = "UpdateItem", query = "Query", batch = "BatchWriteItem",
   bad = "PutItem", prepared = ""}

-- What is wrong: a number, the key's type, no key, the table's name, a member's type, an expression, the JSON.
local BAD = {
   '{"TableName":"TABLE","Item":{"pk":{"S":"k"},"v":{"N":"abc"}}}',
   '{"TableName":"TABLE","Item":{"pk":{"N":"1"},"v":{"S":"x"}}}',
   '{"TableName":"TABLE","Item":{"v":{"S":"x"}}}',
   '{"TableName":"b","Item":{"pk":{"S":"k"}}}',
   '{"TableName":5,"Item":{"pk":{"S":"k"}}}',
   '{"TableName":"TABLE","Item":{"pk":{"S":"k"}},"ConditionExpression":"a = = b"}',
   '{"TableName":"TABLE","Item":{"pk":{"S":"k"}',
}

local function read_prepared()
   local found = {}
   for text in io.open(os.getenv("BENCH_REQUESTS"), "rb"):read("*a"):gmatch("([^%z]+)") do found[#found + 1] = text end
   return found
end

function init(args)
   mode, protocol, first, keys, table_name = args[1], args[2], tonumber(args[3]), tonumber(args[4]), args[5]
   math.randomseed(1000 * first + thread_number)
   counter = 0
   values = {}
   -- Key and value together are 1 KiB: 16 + 1,005 characters and names, or the base64 of 12 + 1,011 bytes.
   local length = protocol == "etcd" and 1348 or 1005
   for i = 1, 64 do values[i] = random_text(length) end
   wrk.method = "POST"
   if protocol == "etcd" then
      wrk.path = mode == "put" and "/v3/kv/put" or "/v3/kv/range"
      wrk.headers["Content-Type"] = "application/json"
   else
      wrk.path = "/"
      wrk.headers["Content-Type"] = "application/x-amz-json-1.0"
      wrk.headers["X-Amz-Target"] = "DynamoDB_20120810." .. OPERATIONS[mode]
      wrk.headers["X-Amz-Date"] = os.date("!%Y%m%dT%H%M%SZ")
      wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=benchmark/" .. os.date("!%Y%m%d")
         .. "/us-east-1/dynamodb/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="
         .. string.rep("0123456789abcdef", 4)
   end
   ready = mode == "prepared" and read_prepared() or {}
   if mode == "bad" then
      for i, body in ipairs(BAD) do ready[i] = wrk.format(nil, nil, nil, (body:gsub("TABLE", table_name))) end
   end
end

local function put_json(number)
   counter = counter + 1
   return '{"PutRequest":{"Item":{"pk":{"S":"' .. string.format("k%015d", number) .. '"},"v":{"S":"'
      .. values[counter % 64 + 1] .. '"}}}}'
end

-- 25 puts with keys that are never used twice.
local function batch_body()
   local puts = {}
   for i = 1, 25 do puts[i] = put_json(first + counter * 16 + thread_number) end
   return '{"RequestItems":{"' .. table_name .. '":[' .. table.concat(puts, ",") .. ']}}'
end

local function dynamodb_body(key)
   if mode == "put" then
      return '{"TableName":"' .. table_name .. '","Item":{"pk":{"S":"' .. key .. '"},"v":{"S":"'
         .. values[counter % 64 + 1] .. '"}}}'
   end
   if mode == "update" then
      return '{"TableName":"' .. table_name .. '","Key":{"pk":{"S":"' .. key .. '"}},'
         .. '"UpdateExpression":"SET v = :v, n = :n","ConditionExpression":"attribute_exists(pk)",'
         .. '"ExpressionAttributeValues":{":v":{"S":"' .. values[counter % 64 + 1] .. '"},":n":{"N":"' .. counter .. '"}}}'
   end
   if mode == "query" then
      return '{"TableName":"' .. table_name .. '","KeyConditionExpression":"pk = :p","ConsistentRead":true,'
         .. '"ExpressionAttributeValues":{":p":{"S":"' .. key .. '"}}}'
   end
   return '{"TableName":"' .. table_name .. '","Key":{"pk":{"S":"' .. key .. '"}},"ConsistentRead":true}'
end

local function etcd_body(key)
   if mode == "put" then
      return '{"key":"' .. key .. '","value":"' .. values[counter % 64 + 1] .. '"}'
   end
   return '{"key":"' .. key .. '"}'
end

function request()
   if #ready > 0 then
      counter = counter + 1
      return ready[counter % #ready + 1]
   end
   if mode == "batch" then return wrk.format(nil, nil, nil, batch_body()) end
   counter = counter + 1
   local number
   if mode == "put" then
      number = first + counter * 16 + thread_number
   else
      number = math.random(0, keys - 1)
   end
   local key = string.format("k%015d", number)
   return wrk.format(nil, nil, nil, protocol == "etcd" and etcd_body(key) or dynamodb_body(key))
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      'RESULT {"requests":%d,"micros":%d,"errors":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
      summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
