// What moves: dots on a canvas, one path for each colour.

const COLORS = { ok: "#009E73", failed: "#D55E00", flying: "#0072B2", waiting: "#8C8C8C" };
/** Their counterparts on dark pages, which are the still pictures' too. */
const NIGHT = { "#009E73": "#16AD82", "#D55E00": "#E8742A", "#0072B2": "#4CA3DD", "#8C8C8C": "#7D7D7D" };
const CORNERS = [ // of the shapes of a few groups of callers: circle, square, diamond, triangle
  [],
  [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  [[0, -1.2], [1.2, 0.9], [-1.2, 0.9]],
];

class Pen {
  constructor(parent, width, height, shaped) {
    this.canvas = made("canvas", { "aria-hidden": "true", style: "color:light-dark(#000, #fff)" }, parent);
    Object.assign(this, { width, height, shaped, paths: new Map() });
  }

  /** Fit the canvas to the screen's pixels, and begin anew. */
  clear() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    if (this.ratio !== ratio) {
      this.ratio = ratio;
      this.canvas.width = Math.round(this.width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
      this.canvas.style.width = `${this.width}px`;
      this.canvas.style.height = `${this.height}px`;
      this.brush = this.canvas.getContext("2d");
      this.brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.brush.clearRect(0, 0, this.width, this.height);
    this.night = getComputedStyle(this.canvas).color === "rgb(255, 255, 255)"; // a canvas doesn't know light-dark()
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
    const corners = this.shaped ? CORNERS[caller % CORNERS.length] : [];
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
      const shown = this.night ? NIGHT[color] : color;
      if (how === "fill") {
        this.brush.fillStyle = shown;
        this.brush.fill(path);
      } else {
        this.brush.strokeStyle = shown;
        this.brush.lineWidth = 1.6;
        this.brush.stroke(path);
      }
    }
    this.paths.clear();
  }
}
