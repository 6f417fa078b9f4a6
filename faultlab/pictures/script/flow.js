// A flow: callers at the left, servers at the right, requests between them. Boxes and words are SVG, which follows the
// page's theme; what moves is drawn by the pen.

const TRAVEL = 0.4; // seconds of playing that a request is on its way

/** Callers at the left, servers at the right; where everything stands, and what it looks like at an instant. */
class Flow {
  constructor(run, parent, rate) {
    this.data = run.flow;
    [this.since, this.until] = run.span;
    this.width = run.size[0];
    this.travel = TRAVEL * rate;
    this.many = this.data.callers.length > 12;
    const rows = Math.max(this.many ? 9 : this.data.callers.length, this.data.servers.length * 4, 7);
    this.height = 24 * rows + 26;
    this.root = made("div", { class: "stage" }, parent);
    this.picture = made("svg", { width: this.width, height: this.height, "aria-hidden": "true" }, this.root);
    const shaped = this.data.grouped && this.data.callers.length <= CORNERS.length;
    this.pen = new Pen(this.root, this.width, this.height, shaped);
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
      const area = [this.right + 8, top + 22, wide - 16, Math.max(10, tall - 22 - (wide < 170 ? 47 : 34))];
      const step = Math.max(2.5, Math.min(17, Math.sqrt((area[2] * area[3]) / needed)));
      const columns = Math.max(1, Math.floor(area[2] / step));
      const at = (place) => [area[0] + step * ((place % columns) + 0.5), area[1] + step * (Math.floor(place / columns) + 0.5)];
      for (let place = 0; place < Math.min(slots, 400); place += 1) {
        const [x, y] = at(place);
        const side = step - 2;
        made("rect", { class: "slot", x: x - side / 2, y: y - side / 2, width: side, height: side, rx: 2 }, this.picture);
      }
      const lines = wide < 170 ? 3 : 2;
      const says = Array.from({ length: lines }, (_, line) =>
        this.text(this.right + 8, top + tall - 7 - 13 * (lines - 1 - line), "", { class: "small" }));
      return { at, fault, says, tall, door: [this.right, top + tall / 2], dot: Math.max(1.2, Math.min(5, step * 0.36)) };
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

  draw(at, still) {
    this.still = still;
    this.pen.clear();
    this.drawCallers(at);
    this.pen.paint();
    for (const number of this.lines.at(at)) this.drawWait(this.data.waits[number], at);
    for (const number of this.flights.at(at)) this.drawRequest(this.data.requests[number], at);
    for (const number of this.bounces.at(at)) this.drawRefused(this.data.refused[number], at);
    this.pen.paint();
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
      if (mood in COLORS) this.pen.disc(x, y, this.dot, COLORS[mood], mood === "failed");
      else this.pen.ring(x, y, this.dot, mood === "left" ? COLORS.flying : COLORS.waiting, number);
    });
    if (this.counts) write(this.counts, `waiting ${waiting}`);
  }

  /** The way from a caller to a server: to the gate and the switch, if there are any, then to its door. Those who come
   * from above keep to its upper side, so that a crowd is a stream and not a line. */
  way(caller, server, share) {
    const from = this.from(caller);
    const side = (from[1] - this.middle) / (this.height / 2);
    const points = [from];
    if (this.gate) points.push([this.gateX, this.middle + 24 * side]);
    if (this.turn) points.push([this.turnX, this.middle + 14 * side]);
    if (server in this.servers) points.push(this.door(server, side));
    if (points.length === 1) return from;
    const part = Math.min(1, Math.max(0, share)) * (points.length - 1);
    const index = Math.min(points.length - 2, Math.floor(part));
    return this.between(points[index], points[index + 1], part - index);
  }

  from(caller) {
    return caller in this.callers ? this.callers[caller] : [this.left - 30, this.middle];
  }

  door(server, side) {
    const { door, tall } = this.servers[server];
    return [door[0], door[1] + 0.4 * tall * side];
  }

  drawRequest([caller, server, start, end, outcome, place, came], at) {
    const leg = this.travel;
    const box = this.servers[server];
    const seat = box.at(place);
    if (this.still) {
      if (at >= start && (at < end || outcome === 3)) this.pen.disc(seat[0], seat[1], box.dot, COLORS.flying, false, caller);
      else if (at === end) this.outcome(seat[0], seat[1], box.dot, outcome, caller);
      return;
    }
    const back = Math.max(end, start + leg);
    if (at < start || (at > back + leg && outcome !== 3)) return;
    if (at < start + leg) {
      const share = (at - start) / leg;
      const spot = came >= 0 ? this.between(this.line(came), seat, share) : this.toSeat(caller, server, seat, share);
      this.pen.disc(spot[0], spot[1], came >= 0 ? this.lineDot : 4, COLORS.flying, false, caller);
    } else if (at < back || outcome === 3) {
      this.pen.disc(seat[0], seat[1], box.dot, COLORS.flying, false, caller);
    } else {
      const spot = this.toSeat(caller, server, seat, 1 - (at - back) / leg);
      this.outcome(spot[0], spot[1], Math.max(3, box.dot), outcome, caller);
    }
  }

  /** Most of the way to the server's door, the rest to the seat. */
  toSeat(caller, server, seat, share) {
    const door = this.way(caller, server, 1);
    return share < 0.8 ? this.way(caller, server, share / 0.8) : this.between(door, seat, (share - 0.8) / 0.2);
  }

  between(a, b, share) {
    return [blend(a[0], b[0], share), blend(a[1], b[1], share)];
  }

  drawWait([caller, start, end, served, place], at) {
    if (at < start || at > end + this.travel) return;
    const spot = this.line(place);
    const from = this.from(caller);
    if (at < end) {
      const [x, y] = this.still ? spot : this.between(from, spot, (at - start) / this.travel);
      this.pen.disc(x, y, this.lineDot, COLORS.waiting, false, caller);
    } else if (!served && !this.still) {
      const [x, y] = this.between(spot, from, (at - end) / this.travel);
      this.pen.disc(x, y, Math.max(3, this.lineDot), COLORS.failed, true, caller);
    }
  }

  drawRefused([caller, when], at) {
    const since = (at - when) / this.travel;
    if (since < 0 || since > 2) return;
    const stop = this.way(caller, this.gate || this.turn ? -1 : 0, 1);
    const from = this.from(caller);
    const [x, y] = this.still ? stop : this.between(from, [stop[0] - 8, stop[1]], since < 1 ? since : 2 - since);
    this.pen.disc(x, y, 4, since < 1 && !this.still ? COLORS.flying : COLORS.failed, since >= 1 || this.still);
  }

  outcome(x, y, radius, outcome, caller) {
    if (outcome === 2) this.pen.ring(x, y, radius, COLORS.flying, caller);
    else this.pen.disc(x, y, radius, outcome ? COLORS.failed : COLORS.ok, outcome === 1, caller);
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
    const color = [COLORS.ok, COLORS.flying, COLORS.failed][way];
    part.arm.setAttribute("style", `stroke:light-dark(${color}, ${NIGHT[color]})`);
    write(part.word, word);
  }

  drawWords(at) {
    this.servers.forEach((box, number) => {
      const { started, answered, failed, left } = this.tallies[number];
      const [ok, bad, gone] = [upTo(answered, at), upTo(failed, at), upTo(left, at)];
      const fault = this.data.faults.find(([server, from, to]) => (server === number || server < 0) && from <= at && at < to);
      const ends = [bad ? `failed ${grouped(bad)}` : "", gone ? `given up ${grouped(gone)}` : ""].filter(Boolean);
      write(box.says[0], `in flight ${upTo(started, at) - ok - bad - gone}${fault ? ` · ${fault[3]}` : ""}`);
      write(box.says[1], [`answered ${grouped(ok)}`, ...(box.says[2] ? [] : ends)].join(" · "));
      if (box.says[2]) write(box.says[2], ends.join(" · "));
      box.fault.setAttribute("visibility", fault ? "visible" : "hidden");
    });
    if (this.waiting) write(this.waiting, `in the queue ${upTo(this.joined, at) - upTo(this.served, at)}`);
    if (this.turned.length && this.gate) this.refusedWord(at);
  }

  refusedWord(at) {
    this.refusals ||= this.text(this.gateX, 14, "", { class: "small", "text-anchor": "middle" });
    write(this.refusals, `rejected ${grouped(upTo(this.turned, at))}`);
  }
}
