// What the player's other files use: elements out of text and attributes, and finding things in order.

const SVG = "http://www.w3.org/2000/svg";
function made(name, attributes, parent, text) {
  const found = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) found.setAttribute(key, String(value));
  if (text !== undefined) found.textContent = String(text);
  if (parent) parent.append(found);
  return found;
}
const SVG_NAMES = new Set(["svg", "g", "rect", "line", "text", "circle", "path"]);

/** Of values in order, how many are not above `at`. */
function upTo(values, at) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

const sorted = (values) => Float64Array.from(values).sort();
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const grouped = new Intl.NumberFormat("en").format; // 3,037, as the still pictures write it
const blend = (a, b, share) => a + (b - a) * Math.min(1, Math.max(0, share));

function clock(seconds, span) {
  const [size, unit] = span >= 3600 * 3 ? [3600, "h"] : span >= 0.3 ? [1, "s"] : span >= 0.0003 ? [1e-3, "ms"] : [1e-6, "µs"];
  const places = span / size >= 100 ? 1 : span / size >= 3 ? 2 : 3;
  return (seconds / size).toFixed(places) + " " + unit;
}

/** Of things that last, those that may be going on in each of many short stretches of time. */
class Index {
  constructor(spans, since, until, count = 256) {
    this.since = since;
    this.width = (until - since) / count || 1;
    this.lists = Array.from({ length: count + 1 }, () => []);
    const place = (at) => Math.max(0, Math.min(count, Math.floor((at - since) / this.width)));
    spans.forEach(([from, to], number) => {
      for (let at = place(from); at <= place(to); at += 1) this.lists[at].push(number);
    });
  }

  at(instant) {
    return this.lists[Math.max(0, Math.min(this.lists.length - 1, Math.floor((instant - this.since) / this.width)))];
  }
}
