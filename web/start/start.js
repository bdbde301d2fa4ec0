// The start page: counters from /metrics, and a console over WebSocket. What comes from the network becomes text, never markup.
const kMostMessages = 200;
const kRefreshMs = 2000;
const kCounters = [
  ["petrel_clients_connected", "clients"],
  ["petrel_sessions", "sessions"],
  ["petrel_subscriptions", "subscriptions"],
  ["petrel_retained_messages", "retained"],
  ["petrel_publish_received_total", "messages in"],
  ["petrel_publish_sent_total", "messages out"],
  ["petrel_received_bytes_total", "bytes in"],
  ["petrel_sent_bytes_total", "bytes out"],
  ["petrel_memory_bytes", "bytes in memory"],
  ["petrel_uptime_seconds", "seconds up"],
];

const element = (id) => document.getElementById(id);

function make(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

const shown = new Map();
for (const [name, label] of kCounters) {
  const box = make("div");
  const value = make("dd", "–");
  box.append(make("dt", label), value);
  element("counters").append(box);
  shown.set(name, value);
}

async function refresh() {
  try {
    const answer = await fetch("metrics");
    for (const line of (await answer.text()).split("\n")) {
      const [name, value] = line.split(" ");
      if (shown.has(name)) shown.get(name).textContent = Number(value).toLocaleString("en");
    }
  } catch {
    // The state of the connection tells it already.
  }
  setTimeout(refresh, kRefreshMs);
}
refresh();

const tell = (text) => (element("state").textContent = text);

// Where the broker may be reached: an address for all of the machine's is shown as the one this page came from.
function show(listeners) {
  for (const { address, path } of listeners) {
    const reached = address.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:\d+$)/, `//${location.hostname}`);
    element("listeners").append(make("li", reached + (path ?? "")));
  }
}

let client;
async function start() {
  let values;
  try {
    values = await (await fetch("start.json")).json();
  } catch (error) {
    tell(error.message);
    return setTimeout(start, kRefreshMs);
  }
  show(values.listeners);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  client = mqtt.connect(`${scheme}://${location.host}${values.path}`, {
    protocolVersion: 5,
    clientId: `start-page-${Math.random().toString(36).slice(2)}`,
  });
  client.on("connect", () => tell("connected"));
  client.on("close", () => tell("not connected"));
  client.on("error", (error) => tell(error.message));
  client.on("message", (topic, payload, packet) => {
    const flags = `${packet.qos}${packet.retain ? " retained" : ""}`;
    const list = element("messages");
    list.prepend(make("li", `${new Date().toLocaleTimeString()} ${topic} [${flags}] ${payload.toString()}`));
    while (list.childElementCount > kMostMessages) list.lastElementChild.remove();
  });
}
start();

element("subscribe").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const filter = form.get("filter");
  try {
    await client.subscribeAsync(filter, { qos: Number(form.get("qos")) });
  } catch (error) {
    return tell(`${filter}: ${error.message}`);
  }
  const row = make("li", filter);
  const button = make("button", "Unsubscribe");
  button.addEventListener("click", async () => {
    await client.unsubscribeAsync(filter);
    row.remove();
  });
  row.append(button);
  element("filters").append(row);
});

element("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    await client.publishAsync(form.get("topic"), form.get("message"), {
      qos: Number(form.get("qos")),
      retain: form.has("retain"),
    });
  } catch (error) {
    tell(error.message);
  }
});
