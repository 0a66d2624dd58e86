-- What of an app's answer a browser may see: gateway/forwarding's to_client, for answers that
-- HAProxy's own rules cannot tell to be plain. The names come from there, as proc.* variables.

local function split(text, separator)
  local found = {}
  for part in (text or ""):gmatch("[^" .. separator .. "]+") do
    found[#found + 1] = part
  end
  return found
end

-- One look from each end: "^%s*(.-)%s*$" takes the square of the blanks in the middle, and HAProxy
-- ends itself where an answer takes seconds.
local function trimmed(text)
  local first = text:find("%S")
  return first and text:match("^.*%S", first) or ""
end

local function begins(text, beginning)
  return text:sub(1, #beginning) == beginning
end

-- Whether a browser finds the path below the prefix; of what may be read in two ways it is said no.
local function within(path, prefix)
  return begins(path, prefix) and not path:find("%.%.") and not path:find("[%%\\%c]")
end

-- Browsers know nine; each costs a look.
local MOST_ATTRIBUTES = 32

-- An app's cookie bound to its own path; nil if it may not be set.
local function cookie(value, prefix, ours)
  local parts = {}
  for part in (value .. ";"):gmatch("([^;]*);") do
    parts[#parts + 1] = part
    if #parts > MOST_ATTRIBUTES then
      break
    end
  end
  local name = parts[1]:match("^([^=]*)=")
  name = name and trimmed(name):lower()
  if not name or name == "" then
    return nil
  end
  for _, beginning in ipairs(ours) do
    if begins(name, beginning) then
      return nil
    end
  end
  local kept, path = { trimmed(parts[1]) }, prefix
  for number = 2, #parts do
    local attribute = trimmed(parts[number])
    local key, given = attribute:match("^([^=]*)=?(.*)$")
    key = trimmed(key):lower()
    if key == "path" then
      given = trimmed(given)
      path = within(given, prefix) and given or prefix
    elseif key ~= "domain" then
      kept[#kept + 1] = attribute
    end
  end
  kept[#kept + 1] = "Path=" .. path
  return table.concat(kept, "; ")
end

local function below(prefix, location)
  if begins(location, "/") and not begins(location, "//") and not begins(location, prefix) then
    return prefix .. location:sub(2)
  end
  return location
end

-- Put what ``change`` makes of each value in its place.
local function changed(txn, headers, name, change)
  local values = headers[name]
  if not values then
    return
  end
  txn.http:res_del_header(name)
  local number = 0
  while values[number] do
    local value = change(values[number])
    if value then
      txn.http:res_add_header(name, value)
    end
    number = number + 1
  end
end

core.register_action("aen_to_client", { "http-res" }, function(txn)
  local headers = txn.http:res_get_headers()
  local prefix = txn:get_var("txn.place") .. "/"
  for _, name in ipairs(split(txn:get_var("proc.dropped"), ":")) do
    txn.http:res_del_header(name)
  end
  changed(txn, headers, "connection", function(value)
    local kept = {}
    for _, name in ipairs(split(value, ",")) do
      name = trimmed(name):lower()
      if name == "upgrade" or name == "close" or name == "keep-alive" then
        kept[#kept + 1] = name
      elseif name ~= "" and name ~= "connection" then
        txn.http:res_del_header(name)
        headers[name] = nil
      end
    end
    return #kept > 0 and table.concat(kept, ", ") or nil
  end)
  local ours = split(txn:get_var("proc.cookies"), ":")
  changed(txn, headers, "set-cookie", function(value)
    return cookie(value, prefix, ours)
  end)
  changed(txn, headers, "service-worker-allowed", function(value)
    return within(trimmed(value), prefix) and value or nil
  end)
  if txn:get_var("txn.strip") then
    changed(txn, headers, "location", function(value)
      return below(prefix, value)
    end)
  end
end)
