// A run that unfolds: shows what `player.py` wrote into an element's `data-run`.
//
// It fetches nothing, evaluates nothing, and turns no data into markup: what it shows is built of text and attributes.
// Alone among its words stand the still pictures, which are there without it too; it lays a veil over what hasn't
// happened yet. In a flow, boxes and words are SVG, which follows the page's theme; what moves is drawn on a canvas.
(() => {
  "use strict";
  const NAME = "faultlab-player1";
  if (customElements.get(NAME)) return;

  const SVG = "http://www.w3.org/2000/svg";
  const COLORS = { ok: "#009E73", failed: "#D55E00", flying: "#0072B2", waiting: "#8C8C8C" };
  const TRAVEL = 0.4; // seconds of playing that a request is on its way
  const STEP = 900; // milliseconds from step to step for a reader who prefers reduced motion
  const CORNERS = [ // of the shapes of a few groups of callers: circle, square, diamond, triangle
    [],
    [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
    [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    [[0, -1.2], [1.2, 0.9], [-1.2, 0.9]],
  ];
  const kept = new Map(); // where players that replace one another stood

  const STYLE = `
    :host { --paper: light-dark(#fff, #111); --ink: light-dark(#222, #e8e8e8); --pale: light-dark(#595959, #b0b0b0);
      --rule: light-dark(#c8c8c8, #4a4a4a); --box: light-dark(#f4f4f4, #1e1e1e); --lit: light-dark(#0058a3, #6db6ec);
      font: 13px/1.4 "DejaVu Sans", Verdana, Geneva, sans-serif; margin: 4px 0 }
    .player { color: var(--ink); background: var(--paper); border: 1px solid var(--rule); border-radius: 6px; padding: 6px; width: fit-content;
      max-width: 100%; box-sizing: border-box }
    .title { font-weight: bold; margin: 2px 4px 4px }
    .runs { display: flex; flex-wrap: wrap; gap: 12px }
    .run { max-width: 100%; overflow-x: auto }
    .label { margin: 0 4px 2px; color: var(--pale) }
    .stage, .still { position: relative }
    .stage svg, .stage canvas { display: block }
    .stage canvas { position: absolute; left: 0; top: 0; pointer-events: none }
    .stage text { fill: var(--ink); font-size: 11px }
    .stage .small { font-size: 10px; fill: var(--pale) }
    .stage .box { fill: var(--box); stroke: var(--rule) }
    .stage .slot { fill: none; stroke: var(--pale) }
    .stage .arm { stroke: var(--ink); stroke-width: 4; stroke-linecap: round }
    .stage .fault { fill: #E69F00; fill-opacity: .3; stroke: #E69F00; stroke-dasharray: 5 3 }
    .still { overflow: hidden }
    .shown { position: absolute; overflow: hidden; pointer-events: none }
    .veil { position: absolute; inset: 0; background: var(--paper); opacity: .82; will-change: transform }
    .head { position: absolute; inset: 0; border-left: 2px solid var(--lit); will-change: transform }
    .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin: 6px 4px 2px }
    button, select { font: inherit; color: var(--ink); background: var(--box); border: 1px solid var(--rule);
      border-radius: 4px; padding: 3px 9px; min-height: 28px }
    button:hover { border-color: var(--lit) }
    .go { min-width: 6.5em }
    :focus-visible { outline: 2px solid var(--lit); outline-offset: 1px }
    input { flex: 1 1 160px; min-width: 120px; accent-color: var(--lit) }
    .clock { min-width: 9em; text-align: right; font-variant-numeric: tabular-nums }
    .said { min-height: 2.8em; margin: 2px 4px; width: 0; min-width: calc(100% - 8px); overflow-wrap: anywhere }`;

  // --- small things ---------------------------------------------------------------------------------------------

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

  // --- the flow ------------------------------------------------------------------------------------------------

  /** Callers at the left, servers at the right; where everything stands, and what it looks like at an instant. */
  class Flow {
    constructor(run, parent, rate) {
      this.data = run.flow;
      [this.since, this.until] = run.span;
      this.width = run.size[0];
      this.travel = TRAVEL * rate;
      this.many = this.data.callers.length > 12;
      this.shapes = this.data.grouped && this.data.callers.length <= CORNERS.length;
      const rows = Math.max(this.many ? 9 : this.data.callers.length, this.data.servers.length * 4, 7);
      this.height = 24 * rows + 26;
      this.root = made("div", { class: "stage" }, parent);
      this.picture = made("svg", { width: this.width, height: this.height, "aria-hidden": "true" }, this.root);
      this.canvas = made("canvas", { "aria-hidden": "true" }, this.root);
      this.left = this.many ? 120 : Math.min(170, Math.max(80, this.width * 0.22));
      this.right = this.width * 0.72;
      this.middle = this.height / 2 + 6;
      this.placeCallers();
      this.placeServers();
      this.placeLine();
      this.placeGate();
      this.prepare();
    }

    text(x, y, words, attributes) {
      return made("text", { x, y, ...attributes }, this.picture, words);
    }

    placeCallers() {
      const { callers, who } = this.data;
      const top = 22;
      const room = this.height - top - 26;
      const columns = this.many ? Math.max(1, Math.ceil(Math.sqrt((callers.length * 90) / room))) : 1;
      const rows = Math.ceil(callers.length / columns) || 1;
      const step = this.many ? Math.min(16, room / rows, 104 / columns) : room / rows;
      const first = top + (room - step * rows) / 2 + step / 2;
      this.dot = this.many ? Math.max(1.5, Math.min(5, step * 0.36)) : 5;
      this.callers = callers.map((_, number) => this.many
        ? [14 + (number % columns) * step, first + Math.floor(number / columns) * step]
        : [this.left, first + number * step]);
      this.text(8, 14, this.many ? `${callers.length} ${who}` : who, { class: "small" });
      if (!this.many) callers.forEach((name, number) => this.name(name, 8, this.callers[number][1] + 4, this.left - 22));
      this.counts = this.many ? this.text(8, this.height - 8, "", { class: "small" }) : null;
    }

    /** A name, squeezed into its room. */
    name(words, x, y, room, attributes) {
      const found = this.text(x, y, words, attributes);
      if (words.length * 6.6 > room) {
        found.setAttribute("textLength", String(room));
        found.setAttribute("lengthAdjust", "spacingAndGlyphs");
        if (words.length * 4.4 > room) found.textContent = words.slice(0, Math.floor(room / 4.4) - 1) + "…";
        made("title", {}, found, words);
      }
      return found;
    }

    placeServers() {
      const { servers } = this.data;
      const room = (this.height - 22) / Math.max(servers.length, 1);
      const wide = this.width - this.right - 10;
      this.servers = servers.map(([name, slots, needed], number) => {
        const top = 18 + number * room;
        const tall = room - 10;
        made("rect", { class: "box", x: this.right, y: top, width: wide, height: tall, rx: 6 }, this.picture);
        const fault = made("rect", { class: "fault", x: this.right, y: top, width: wide, height: tall, rx: 6, visibility: "hidden" }, this.picture);
        this.name(name, this.right + 8, top + 15, wide - 16, { "font-weight": "bold" });
        const area = [this.right + 8, top + 22, wide - 16, Math.max(10, tall - 22 - 34)];
        const step = Math.max(2.5, Math.min(17, Math.sqrt((area[2] * area[3]) / needed)));
        const columns = Math.max(1, Math.floor(area[2] / step));
        const at = (place) => [area[0] + step * ((place % columns) + 0.5), area[1] + step * (Math.floor(place / columns) + 0.5)];
        for (let place = 0; place < Math.min(slots, 400); place += 1) {
          const [x, y] = at(place);
          const side = step - 2;
          made("rect", { class: "slot", x: x - side / 2, y: y - side / 2, width: side, height: side, rx: 2 }, this.picture);
        }
        const says = this.text(this.right + 8, top + tall - 20, "", { class: "small" });
        const done = this.text(this.right + 8, top + tall - 7, "", { class: "small" });
        return { at, fault, says, done, door: [this.right, top + tall / 2], dot: Math.max(1.2, Math.min(5, step * 0.36)) };
      });
    }

    /** The line in front of the servers: columns that grow to the left. */
    placeLine() {
      const most = this.data.waits.reduce((found, wait) => Math.max(found, wait[4] + 1), 0);
      const end = this.right - 18;
      const wide = Math.max(20, (end - this.left) * (this.data.gate.length || this.data.switch.length ? 0.4 : 0.6));
      const tall = this.height - 70;
      this.lineDot = most ? Math.max(1.2, Math.min(4.5, Math.sqrt((wide * tall) / most) * 0.36)) : 4.5;
      const step = this.lineDot / 0.36;
      const rows = Math.max(1, Math.floor(Math.min(tall, 12 * step) / step));
      this.line = (place) => [end - step * Math.floor(place / rows), this.middle + step * ((place % rows) - (Math.min(rows, most) - 1) / 2)];
      this.waiting = most ? this.text(end, 14, "", { class: "small", "text-anchor": "end" }) : null;
    }

    placeGate() {
      const { gate, switch: turn } = this.data;
      const from = this.many ? 124 : this.left;
      this.gateX = blend(from, this.right, gate.length && turn.length ? 0.3 : 0.42);
      this.turnX = blend(from, this.right, gate.length ? 0.6 : 0.42);
      const part = (x) => {
        made("circle", { cx: x, cy: this.middle, r: 4, fill: "var(--ink)" }, this.picture);
        const arm = made("line", { class: "arm", x1: x, y1: this.middle, x2: x, y2: this.middle }, this.picture);
        const word = this.text(x, this.height - 8, "", { "text-anchor": "middle", "font-weight": "bold" });
        return { arm, word, x };
      };
      if (gate.length) {
        for (const y of [this.middle - 34, this.middle + 34]) {
          made("circle", { cx: this.gateX, cy: y, r: 3, fill: "var(--ink)" }, this.picture);
        }
        this.gate = part(this.gateX);
      }
      if (turn.length) this.turn = part(this.turnX);
      this.changes = { gate: gate.map((one) => one[0]), turn: turn.map((one) => one[0]) };
    }

    /** What is looked up at each instant, in order. */
    prepare() {
      const { requests, waits, refused, servers, callers, rests } = this.data;
      const leg = this.travel;
      this.flights = new Index(requests.map((one) => [one[2], Math.max(one[3], one[2] + leg) + leg]), this.since, this.until);
      this.lines = new Index(waits.map((one) => [one[1], one[2] + leg]), this.since, this.until);
      this.bounces = new Index(refused.map((one) => [one[1], one[1] + 2 * leg]), this.since, this.until);
      const of = (server, outcome, field) => sorted(requests.filter((one) => one[1] === server && (outcome < 0 || one[4] === outcome)).map((one) => one[field]));
      this.tallies = servers.map((_, number) => ({
        started: of(number, -1, 2), answered: of(number, 0, 3), failed: of(number, 1, 3), left: of(number, 2, 3),
      }));
      this.joined = sorted(waits.map((one) => one[1]));
      this.served = sorted(waits.map((one) => one[2]));
      this.turned = sorted(refused.map((one) => one[1]));
      this.moods = callers.map(() => []);
      // a group of callers is in no one state
      const mood = (caller, at, what) => { if (caller >= 0 && !this.data.grouped) this.moods[caller].push([at, what]); };
      for (const [caller, , start, end, outcome] of requests) {
        mood(caller, start, "flying");
        if (outcome < 3) mood(caller, end, ["ok", "failed", "left"][outcome]);
      }
      for (const [caller, start, end] of rests) { mood(caller, start, "waiting"); if (end < this.until) mood(caller, end, "awake"); }
      for (const [caller, start] of waits) mood(caller, start, "waiting");
      for (const [caller, at] of refused) mood(caller, at, "failed");
      this.moods = this.moods.map((list) => {
        list.sort((one, other) => one[0] - other[0]);
        return { at: list.map((one) => one[0]), what: list.map((one) => one[1]) };
      });
    }

    /** Fit the canvas to the screen's pixels. */
    fit() {
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      if (this.ratio === ratio) return;
      this.ratio = ratio;
      this.canvas.width = Math.round(this.width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
      this.canvas.style.width = `${this.width}px`;
      this.canvas.style.height = `${this.height}px`;
      this.pen = this.canvas.getContext("2d");
    }

    draw(at, still) {
      this.fit();
      this.still = still;
      const pen = this.pen;
      pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      pen.clearRect(0, 0, this.width, this.height);
      this.paths = new Map();
      this.drawCallers(at);
      this.paint();
      for (const number of this.lines.at(at)) this.drawWait(this.data.waits[number], at);
      for (const number of this.flights.at(at)) this.drawRequest(this.data.requests[number], at);
      for (const number of this.bounces.at(at)) this.drawRefused(this.data.refused[number], at);
      this.paint();
      this.drawArms(at);
      this.drawWords(at);
    }

    drawCallers(at) {
      let waiting = 0;
      this.callers.forEach(([x, y], number) => {
        const { at: instants, what } = this.moods[number];
        const place = upTo(instants, at);
        const mood = place ? what[place - 1] : "idle";
        if (mood === "waiting") waiting += 1;
        if (mood in COLORS) this.disc(x, y, this.dot, COLORS[mood], mood === "failed");
        else this.ring(x, y, this.dot, mood === "left" ? COLORS.flying : COLORS.waiting, number);
      });
      if (this.counts) write(this.counts, `waiting ${waiting}`);
    }

    /** The way from a caller to a server: straight to the gate or the switch, if there is one, then to its door. */
    way(caller, server, share) {
      const from = caller < 0 ? [this.left - 30, this.middle] : this.callers[caller];
      const points = [from];
      if (this.gate) points.push([this.gateX, this.middle]);
      if (this.turn) points.push([this.turnX, this.middle]);
      if (server >= 0) points.push(this.servers[server].door);
      const part = Math.min(1, Math.max(0, share)) * (points.length - 1);
      const index = Math.min(points.length - 2, Math.floor(part));
      const [a, b] = [points[index], points[index + 1]];
      return [blend(a[0], b[0], part - index), blend(a[1], b[1], part - index)];
    }

    drawRequest([caller, server, start, end, outcome, place, came], at) {
      const leg = this.travel;
      const box = this.servers[server];
      const seat = box.at(place);
      if (this.still) {
        if (at >= start && (at < end || outcome === 3)) this.disc(seat[0], seat[1], box.dot, COLORS.flying, false, caller);
        else if (at === end) this.outcome(seat[0], seat[1], box.dot, outcome, caller);
        return;
      }
      const back = Math.max(end, start + leg);
      if (at < start || (at > back + leg && outcome !== 3)) return;
      if (at < start + leg) {
        const share = (at - start) / leg;
        const spot = came >= 0 ? this.between(this.line(came), seat, share) : this.toSeat(caller, server, seat, share);
        this.disc(spot[0], spot[1], came >= 0 ? this.lineDot : 4, COLORS.flying, false, caller);
      } else if (at < back || outcome === 3) {
        this.disc(seat[0], seat[1], box.dot, COLORS.flying, false, caller);
      } else {
        const spot = this.toSeat(caller, server, seat, 1 - (at - back) / leg);
        this.outcome(spot[0], spot[1], Math.max(3, box.dot), outcome, caller);
      }
    }

    /** Most of the way to the server's door, the rest to the seat. */
    toSeat(caller, server, seat, share) {
      const door = this.servers[server].door;
      return share < 0.8 ? this.way(caller, server, share / 0.8) : this.between(door, seat, (share - 0.8) / 0.2);
    }

    between(a, b, share) {
      return [blend(a[0], b[0], share), blend(a[1], b[1], share)];
    }

    drawWait([caller, start, end, served, place], at) {
      if (at < start || at > end + this.travel) return;
      const spot = this.line(place);
      const from = this.callers[caller];
      if (at < end) {
        const [x, y] = this.still ? spot : this.between(from, spot, (at - start) / this.travel);
        this.disc(x, y, this.lineDot, COLORS.waiting, false, caller);
      } else if (!served && !this.still) {
        const [x, y] = this.between(spot, from, (at - end) / this.travel);
        this.disc(x, y, Math.max(3, this.lineDot), COLORS.failed, true, caller);
      }
    }

    drawRefused([caller, when], at) {
      const since = (at - when) / this.travel;
      if (since < 0 || since > 2) return;
      const stop = this.gate || this.turn ? this.way(caller, -1, 1) : this.way(caller, 0, 1);
      const from = caller < 0 ? [this.left - 30, this.middle] : this.callers[caller];
      const [x, y] = this.still ? stop : this.between(from, [stop[0] - 8, stop[1]], since < 1 ? since : 2 - since);
      this.disc(x, y, 4, since < 1 && !this.still ? COLORS.flying : COLORS.failed, since >= 1 || this.still);
    }

    outcome(x, y, radius, outcome, caller) {
      if (outcome === 2) this.ring(x, y, radius, COLORS.flying, caller);
      else this.disc(x, y, radius, outcome ? COLORS.failed : COLORS.ok, outcome === 1, caller);
    }

    /** A request of this caller's: a few groups of callers have shapes of their own. */
    disc(x, y, radius, color, crossed, caller = 0) {
      this.outline(this.drawn(color, "fill"), x, y, radius, caller);
      if (!crossed) return;
      const arm = Math.max(2, radius * 1.35);
      const path = this.drawn(color, "stroke");
      path.moveTo(x - arm, y - arm);
      path.lineTo(x + arm, y + arm);
      path.moveTo(x - arm, y + arm);
      path.lineTo(x + arm, y - arm);
    }

    ring(x, y, radius, color, caller = 0) {
      this.outline(this.drawn(color, "stroke"), x, y, radius, caller);
    }

    /** What is drawn in one colour is one path: a frame has a handful of them, however many requests there are. */
    drawn(color, how) {
      const key = how + color;
      if (!this.paths.has(key)) this.paths.set(key, { color, how, path: new Path2D() });
      return this.paths.get(key).path;
    }

    outline(path, x, y, radius, caller) {
      if (radius < 1.6) {
        path.rect(x - radius, y - radius, 2 * radius, 2 * radius);
        return;
      }
      const corners = this.shapes ? CORNERS[caller % CORNERS.length] : [];
      if (!corners.length) {
        path.moveTo(x + radius, y);
        path.arc(x, y, radius, 0, 6.2832);
        return;
      }
      path.moveTo(x + corners[0][0] * radius, y + corners[0][1] * radius);
      for (const [dx, dy] of corners.slice(1)) path.lineTo(x + dx * radius, y + dy * radius);
      path.closePath();
    }

    paint() {
      for (const { color, how, path } of this.paths.values()) {
        if (how === "fill") {
          this.pen.fillStyle = color;
          this.pen.fill(path);
        } else {
          this.pen.strokeStyle = color;
          this.pen.lineWidth = 1.6;
          this.pen.stroke(path);
        }
      }
      this.paths.clear();
    }

    /** The gate stands along the way, across it, or half across; the switch points to a server, or away. */
    drawArms(at) {
      if (this.gate) {
        const [, word, way] = this.now("gate", this.data.gate, at);
        const [dx, dy] = [[34, 0], [24, -24], [0, -34]][way];
        this.turnArm(this.gate, this.gateX + dx, this.middle + dy, word, way);
      }
      if (this.turn) {
        const [, word, way, to] = this.now("turn", this.data.switch, at);
        const door = this.servers[Math.max(0, to)]?.door || [this.right, this.middle];
        const angle = Math.atan2(door[1] - this.middle, door[0] - this.turnX);
        const [dx, dy] = way === 2 ? [0, -44] : [44 * Math.cos(angle), 44 * Math.sin(angle)];
        this.turnArm(this.turn, this.turnX + dx, this.middle + dy, word, way);
      }
    }

    now(name, states, at) {
      return states[Math.max(0, upTo(this.changes[name], at) - 1)];
    }

    turnArm(part, x, y, word, way) {
      if (part.word.textContent === word && part.way === way && part.to === y) return;
      part.way = way;
      part.to = y;
      part.arm.setAttribute("x2", x.toFixed(1));
      part.arm.setAttribute("y2", y.toFixed(1));
      part.arm.setAttribute("style", `stroke:${[COLORS.ok, COLORS.flying, COLORS.failed][way]}`);
      write(part.word, word);
    }

    drawWords(at) {
      this.servers.forEach((box, number) => {
        const { started, answered, failed, left } = this.tallies[number];
        const [ok, bad, gone] = [upTo(answered, at), upTo(failed, at), upTo(left, at)];
        const fault = this.data.faults.find(([server, from, to]) => (server === number || server < 0) && from <= at && at < to);
        write(box.says, `in flight ${upTo(started, at) - ok - bad - gone}${fault ? ` · ${fault[3]}` : ""}`);
        write(box.done, `answered ${ok}${bad ? ` · failed ${bad}` : ""}${gone ? ` · given up ${gone}` : ""}`);
        box.fault.setAttribute("visibility", fault ? "visible" : "hidden");
      });
      if (this.waiting) write(this.waiting, `in the queue ${upTo(this.joined, at) - upTo(this.served, at)}`);
      if (this.turned.length && this.gate) this.refusedWord(at);
    }

    refusedWord(at) {
      this.refusals ||= this.text(this.gateX, 14, "", { class: "small", "text-anchor": "middle" });
      write(this.refusals, `turned away ${upTo(this.turned, at)}`);
    }
  }

  // --- the still picture, unveiled ------------------------------------------------------------------------------

  class Veiled {
    constructor(run, number, parent, crop) {
      const [left, right, top, bottom] = run.plot;
      [this.since, this.until] = run.span;
      this.root = made("div", { class: "still", style: `width:${run.size[0]}px` }, parent);
      made("slot", { name: `still-${number}` }, this.root);
      const shown = made("div", { class: "shown" }, this.root);
      this.wide = right - left;
      // words may end some pixels beyond the axis
      shown.setAttribute("style", `left:${left - 1}px;top:${top}px;width:${this.wide + 15}px;height:${bottom - top}px`);
      this.veil = made("div", { class: "veil" }, shown);
      this.head = made("div", { class: "head" }, shown);
      if (crop) {
        this.root.style.marginTop = "4px";
        for (const one of this.root.children) if (one.localName === "slot") one.setAttribute("style", `display:block;margin-top:${-crop}px`);
        shown.style.top = `${top - crop}px`;
      }
    }

    draw(at) {
      const x = ((at - this.since) / (this.until - this.since)) * this.wide;
      const move = `translateX(${x.toFixed(1)}px)`;
      this.veil.style.transform = move;
      this.head.style.transform = move;
    }
  }

  // --- the player ----------------------------------------------------------------------------------------------

  class Player extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      let data;
      try {
        data = JSON.parse(this.getAttribute("data-run"));
        this.build(data);
      } catch (error) {
        this.shadowRoot?.replaceChildren(document.createElement("slot")); // the still picture
        for (const one of this.children) one.removeAttribute("slot");
      }
    }

    disconnectedCallback() {
      this.pause();
    }

    build(data) {
      this.data = data;
      const root = this.attachShadow({ mode: "open" });
      made("style", {}, root, STYLE);
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.since = Math.min(...data.runs.map((run) => run.span[0]));
      this.until = Math.max(...data.runs.map((run) => run.span[1]));
      this.rate = (this.until - this.since) / data.seconds;
      this.steps = [...new Set(data.runs.flatMap((run) => run.at))].sort((one, other) => one - other);
      const frame = made("div", { class: "player", role: "group", "aria-label": `${data.title || "A run"}, to play` }, root);
      if (data.crop) made("div", { class: "title" }, frame, data.title);
      this.controls(frame);
      const runs = made("div", { class: "runs" }, frame);
      this.views = [];
      const watch = new ResizeObserver((all) => {
        // what scrolls can be reached by the keyboard
        for (const { target } of all) target.tabIndex = target.scrollWidth > target.clientWidth + 1 ? 0 : -1;
      });
      data.runs.forEach((run, number) => {
        const place = made("div", { class: "run" }, runs);
        watch.observe(place);
        if (run.label) made("p", { class: "label" }, place, run.label);
        if (run.flow) this.views.push(new Flow(run, place, this.rate));
        this.views.push(new Veiled(run, number, place, data.crop));
      });
      made("slot", {}, root); // the tables
      // the run scrolls as a whole, so that the veil stays where it belongs
      for (const one of this.querySelectorAll(":scope > [slot]")) one.setAttribute("style", "overflow:visible");
      for (const one of this.querySelectorAll(":scope > [slot] > svg")) one.setAttribute("style", `${one.getAttribute("style") || ""};display:block;max-width:none`);
      frame.addEventListener("keydown", (event) => this.key(event));
      const before = data.key && kept.get(data.key);
      this.move(before ? before.at : data.whole ? this.until : this.since);
      if (before) {
        this.speed.value = before.speed;
        if (before.playing) this.play();
      }
    }

    controls(frame) {
      const bar = made("div", { class: "bar" }, frame);
      const button = (words, name, does, kind) => {
        const found = made("button", { type: "button", "aria-label": name, title: name, class: kind || "" }, bar, words);
        found.addEventListener("click", does);
        return found;
      };
      this.go = button("▶ Play", "Play", () => this.toggle(), "go");
      this.go.removeAttribute("aria-label");
      button("◀|", "Step to the previous event", () => this.step(-1));
      button("|▶", "Step to the next event", () => this.step(1));
      this.range = made("input", { type: "range", min: 0, max: 1000, step: "any", "aria-label": "Instant" }, bar);
      this.range.addEventListener("input", () => { this.pause(); this.move(this.at(this.range.value)); });
      this.clock = made("span", { class: "clock", "aria-hidden": "true" }, bar);
      this.speed = made("select", { "aria-label": "Speed" }, bar);
      for (const one of ["0.1", "0.25", "0.5", "1", "2", "4"]) made("option", { value: one }, this.speed, `${one}×`);
      this.speed.value = "1";
      this.said = made("p", { class: "said", role: "status", "aria-live": "polite" }, frame);
    }

    at(value) {
      return blend(this.since, this.until, Number(value) / 1000);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target === this.speed) return;
      const does = {
        " ": () => this.toggle(),
        ArrowRight: () => this.step(1),
        ArrowLeft: () => this.step(-1),
        Home: () => this.jump(this.since),
        End: () => this.jump(this.until),
      }[event.key];
      if (!does || (event.key === " " && event.target.localName === "button")) return;
      event.preventDefault();
      event.stopPropagation();
      does();
    }

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      if (this.instant >= this.until) this.move(this.since);
      this.playing = true;
      write(this.go, "❚❚ Pause");
      this.last = undefined;
      write(this.said, "");
      this.next();
    }

    pause() {
      if (!this.playing) return;
      this.playing = false;
      cancelAnimationFrame(this.frame);
      clearTimeout(this.timer);
      this.move(this.instant);
    }

    /** The next frame; for a reader who prefers reduced motion the next step. */
    next() {
      if (this.calm.matches) {
        this.timer = setTimeout(() => { this.stride(); if (this.playing) this.next(); }, STEP / Number(this.speed.value));
      } else {
        this.frame = requestAnimationFrame((now) => { this.tick(now); if (this.playing) this.next(); });
      }
    }

    tick(now) {
      const passed = this.last === undefined ? 0 : Math.min(0.1, (now - this.last) / 1000);
      this.last = now;
      this.show(this.instant + passed * this.rate * Number(this.speed.value));
    }

    /** One of some twenty steps from here to the end, to an instant at which something happens. */
    stride() {
      const goal = this.instant + (this.until - this.since) / 20;
      const place = upTo(this.steps, this.instant);
      const far = Math.max(place, upTo(this.steps, goal) - 1);
      this.show(far < this.steps.length ? this.steps[far] : this.until);
      this.say();
    }

    show(instant) {
      if (instant >= this.until) {
        this.instant = this.until;
        this.pause();
        write(this.go, "▶ Again");
      } else this.draw(instant);
    }

    jump(instant) {
      this.pause();
      this.move(instant);
    }

    step(direction) {
      this.pause();
      const place = upTo(this.steps, this.instant);
      const here = place && this.steps[place - 1] === this.instant;
      const index = direction > 0 ? place : place - (here ? 2 : 1);
      this.move(index < 0 ? this.since : index >= this.steps.length ? this.until : this.steps[index]);
    }

    /** Stand still here, and say what is here. */
    move(instant) {
      this.draw(Math.min(this.until, Math.max(this.since, instant)));
      write(this.go, "▶ Play");
      this.say();
    }

    draw(instant) {
      this.instant = instant;
      for (const view of this.views) view.draw(instant, this.calm.matches);
      const span = this.until - this.since;
      const words = clock(instant, span);
      this.range.value = String(((instant - this.since) / span) * 1000);
      this.range.setAttribute("aria-valuetext", words);
      write(this.clock, `${words} of ${clock(this.until, span)}`);
      if (this.data.key) kept.set(this.data.key, { at: instant, playing: this.playing, speed: this.speed.value });
    }

    say() {
      const parts = this.data.runs.map((run) => {
        const place = upTo(run.at, this.instant);
        const words = place ? run.say[place - 1] : "Nothing has happened yet.";
        return run.label ? `${run.label}: ${words}` : words;
      });
      write(this.said, parts.join(" "));
    }
  }

  customElements.define(NAME, Player);
})();
