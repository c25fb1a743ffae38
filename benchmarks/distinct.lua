-- Posts the bodies of the file $BODIES in turn, each time with other numbers, counted on from $START, and the key $KEY;
-- prints what it measured as one line of JSON, like post.lua.
local bodies, turn = {}, tonumber(os.getenv("START"))
local headers = {["Content-Type"] = "application/json", ["X-API-Key"] = os.getenv("KEY")}

function init()
  for body in io.lines(os.getenv("BODIES")) do
    bodies[#bodies + 1] = body
  end
end

function request()
  turn = turn + 1
  local digits = string.format("%%1%010d,", turn)
  local body = bodies[turn % #bodies + 1]:gsub("(%[%-?%d+%.%d+),", digits)
  return wrk.format("POST", nil, headers, body)
end

function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.timeout + e.status))
end
