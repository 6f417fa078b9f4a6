// A run that unfolds: shows what `player.py` wrote into an element's `data-run`.
//
// It fetches nothing, evaluates nothing, and turns no data into markup: what it shows is built of text and attributes.
// The still pictures are there without it, too; it lays a veil over what hasn't happened yet.

const NAME = "faultlab-player1";
const STEP = 900; // milliseconds from step to step for a reader who prefers reduced motion
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
  .veil { position: absolute; inset: 0; background: var(--paper); will-change: transform }
  .head { position: absolute; inset: 0; border-left: 2px solid var(--lit); will-change: transform }
  .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin: 6px 4px 2px }
  button, select { font: inherit; color: var(--ink); background: var(--box); border: 1px solid var(--rule);
    border-radius: 4px; padding: 3px 9px; min-height: 28px }
  button:hover { border-color: var(--lit) }
  .go { min-width: 6.5em }
  :focus-visible { outline: 2px solid var(--lit); outline-offset: 1px }
  input { flex: 1 1 90px; min-width: 90px; accent-color: var(--lit) }
  .clock { min-width: 9em; text-align: right; font-variant-numeric: tabular-nums }
  .said { min-height: 2.8em; margin: 2px 4px; width: 0; min-width: calc(100% - 8px); overflow-wrap: anywhere }`;

/** A still picture, veiled from the playhead on. */
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
    this.veil.style.visibility = at < this.until ? "" : "hidden"; // the last words may begin before the end and reach beyond it
    this.head.style.transform = move;
  }
}

/** The element: controls, words, and whatever shows its runs. */
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
    // as a still picture does, a run shrinks in a narrow page as long as its words can be read
    new ResizeObserver(() => data.runs.forEach((run, number) => {
      runs.children[number].style.zoom = Math.max(0.75, Math.min(1, (this.clientWidth - 14) / run.size[0]));
    })).observe(this);
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

if (!customElements.get(NAME)) customElements.define(NAME, Player);
