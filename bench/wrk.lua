-- For wrk: METHOD BODY PATH...; the paths in turn, and a last line in JSON.
local requests = {}
local next = 0

function init(args)
  for i = 3, #args do
    requests[#requests + 1] = wrk.format(args[1], args[i], nil, args[2] ~= "" and args[2] or nil)
  end
end

function request()
  next = next % #requests + 1
  return requests[next]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"failed":%d,"us":%d,"p50Us":%d,"p99Us":%d}\n', summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
