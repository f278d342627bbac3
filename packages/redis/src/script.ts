/**
 * Writes one batch to one stream, atomically as seen by everybody else; or asks whether it could.
 *
 * | KEYS                       |                                                                                |
 * | -------------------------- | ------------------------------------------------------------------------------ |
 * | the stream                 |                                                                                |
 * | the fence hash             |                                                                                |
 * | one key per entry          | says that its id was seen                                                      |
 *
 * | ARGV                       |                                                                                |
 * | -------------------------- | ------------------------------------------------------------------------------ |
 * | the dedupe window          | milliseconds, or `probe`                                                       |
 * | the length to trim to      | or ''                                                                          |
 * | '1' to leave a mark        | for WAIT; or ''                                                                |
 * | how many leases there are  | then of each: partition, epoch, holder                                         |
 * | how many sets of fields    | then of each: how many names it has, and these                                 |
 * | per entry                  | the numbers of its aggregate, its lease and its set of fields; then the values |
 *
 * What entries have in common is there once, as every argument costs both sides time.
 *
 * Returns one text per entry: `added`, `duplicate`, `skipped` (an earlier entry of its aggregate failed),
 * `fenced EPOCH`, `failed ERROR`; and one more for the mark.
 *
 * With `probe` in the place of the window, and one key of an entry, it changes nothing, and returns `willing` or the
 * error that an entry would meet. Where a mark is asked for, that is the key of the entry, which expires within a second.
 *
 * Every command that can fail goes through pcall: an error that left the script would hide what was written before it.
 * XADD comes before the id is recorded. The other way round, an XADD that fails (memory full, key of another type)
 * leaves an id that drops every later try: the event would be lost.
 */
export const publishScript: string = `
local stream, fence = KEYS[1], KEYS[2]
local window, length, mark = ARGV[1], ARGV[2], ARGV[3]

local function failure(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- Compares (epoch, holder) with the highest seen, and raises it: no older owner gets through from here on.
-- An epoch can be granted twice, by a database that lost a commit in a fail-over: then the first holder seen wins.
-- Epoch 0 comes from a store without leases.
local function refusal(lease)
  local epoch, holder = lease.epoch, lease.holder
  if lease.stands or epoch == '0' then return nil end
  local stored = redis.pcall('HGET', fence, lease.partition)
  if failure(stored) then return 'failed ' .. stored.err end
  local seenEpoch, seenHolder = string.match(stored or '0 ', '^(%d+) (.*)$')
  if tonumber(seenEpoch) > tonumber(epoch) or (seenEpoch == epoch and seenHolder ~= holder) then
    return 'fenced ' .. seenEpoch
  elseif seenEpoch ~= epoch then
    local raised = redis.pcall('HSET', fence, lease.partition, epoch .. ' ' .. holder)
    if failure(raised) then return 'failed ' .. raised.err end
  end
  lease.stands = true
end

-- As a rule no entry was seen before: a thousand of them are asked about at once. What cannot be asked, or is not
-- so, is asked one by one.
local function areAllNew()
  for from = 3, #KEYS, 1000 do
    if redis.pcall('EXISTS', unpack(KEYS, from, math.min(from + 999, #KEYS))) ~= 0 then return false end
  end
  return true
end

local allNew, written = false, {}
local function wasSeen(seen)
  if allNew then return written[seen] end
  local found = redis.pcall('EXISTS', seen)
  return found == 1, failure(found)
end

-- 'set' is a command that lacks nothing but the values, which begin at 'from' among the arguments.
local function add(seen, set, from)
  local isDuplicate, refused = wasSeen(seen)
  if refused then return 'failed ' .. refused end
  if isDuplicate then return 'duplicate' end
  local command, to = set.command, set.first
  for i = from, from + set.fields - 1 do
    command[to] = ARGV[i]
    to = to + 2
  end
  local added = redis.pcall(unpack(command))
  if failure(added) then return 'failed ' .. added.err end
  written[seen] = true
  -- The entry stands, whatever becomes of this; at worst a repeat is not dropped.
  redis.pcall('SET', seen, '1', 'PX', window)
  return 'added'
end

-- Tries every command that an entry needs and changes nothing: those that write have arguments that cannot be. A server
-- looks at arguments last, so any other error (no right, no memory, a replica) is what an entry would meet, too.
-- An entry goes through without SET, but then its repeat is not dropped, and after an outage there are repeats.
local function unwillingness(seen)
  local commands = {
    { { 'HGET', fence, '0' } },
    { { 'HSET', fence, '0', '0', '0' }, 'wrong number of arguments' },
    { { 'EXISTS', seen } },
    { { 'XADD', stream, '0-0', '0', '0' }, 'greater than 0-0' },
    { { 'SET', seen, '1', 'PX', '0' }, 'invalid expire' },
  }
  for _, asked in ipairs(commands) do
    local reply = redis.pcall(unpack(asked[1]))
    local refused = failure(reply)
    if refused and not (asked[2] and string.find(refused, asked[2], 1, true)) then return reply end
  end
  -- XADD looks at the id before it looks at the key. Who may not ask for the type learns nothing of it.
  local kind = redis.pcall('TYPE', stream).ok
  if kind and kind ~= 'none' and kind ~= 'stream' then
    return redis.error_reply("WRONGTYPE the key '" .. stream .. "' holds a " .. kind .. ', not a stream')
  end
end

-- From Redis 7.2 on, WAIT and WAITAOF ask about the last command of this connection that was replicated, and nothing of
-- the above is: without a write of its own the probe would ask about an earlier one, or on a new connection about none.
local function markFor(seen)
  local marked = redis.pcall('SET', seen, '1', 'PX', '1000')
  return failure(marked) and marked or nil
end

if window == 'probe' then
  return unwillingness(KEYS[3]) or (mark == '1' and markFor(KEYS[3])) or 'willing'
end

-- where the next argument is
local at = 5
local leases, sets = {}, {}
for n = 1, tonumber(ARGV[4]) do
  leases[tostring(n)] = { partition = ARGV[at], epoch = ARGV[at + 1], holder = ARGV[at + 2] }
  at = at + 3
end
at = at + 1
for n = 1, tonumber(ARGV[at - 1]) do
  local command = length == '' and { 'XADD', stream, '*' } or { 'XADD', stream, 'MAXLEN', '~', length, '*' }
  local set = { command = command, first = #command + 2, fields = tonumber(ARGV[at]) }
  for i = 1, set.fields do
    command[#command + 1] = ARGV[at + i]
    command[#command + 1] = ''
  end
  sets[tostring(n)] = set
  at = at + 1 + set.fields
end

allNew = areAllNew()
local results, stopped = {}, {}
for i = 3, #KEYS do
  local aggregate, lease, set = ARGV[at], leases[ARGV[at + 1]], sets[ARGV[at + 2]]
  local result = 'skipped'
  if not stopped[aggregate] then
    result = refusal(lease) or add(KEYS[i], set, at + 3)
    if result ~= 'added' and result ~= 'duplicate' then stopped[aggregate] = true end
  end
  results[#results + 1] = result
  at = at + 3 + set.fields
end

-- WAIT asks about this connection's last write. If all were duplicates, perhaps of a script whose connection died,
-- there is none: this one comes after the originals in the replication stream, and so stands for them.
if mark == '1' then
  local marked = redis.pcall('HSET', fence, 'mark', '1')
  results[#results + 1] = failure(marked) and ('failed ' .. marked.err) or 'marked'
end
return results
`
