// What is drawn: lanes from left to right, arrows between them, and the overview of the whole run.

const GUTTER = 132;
const AXIS = 24;
const GOOD_MODES = new Set(["online", "running"]);
const IDLE_MODES = new Set(["offline", "connecting", "connected", "draining"]);

class View {
  constructor(run, canvas, overview, lanes) {
    Object.assign(this, { run, canvas, overview, laneBox: lanes });
    this.scale = "steps";
    this.filter = { conversation: -1, lane: -1, user: -1, text: "", only: false };
    this.chosen = null;
    this.hover = null;
    this.onlanes = () => {};
    this.refilter();
  }

  // ---- what is shown, and where

  refilter() {
    this.shown = this.run.shown(this.filter);
    this.laneRow = new Map(this.shown.lanes.map((lane, row) => [lane, row]));
    this.rescale();
    this.layout();
  }

  // Places on the horizontal axis: with even steps, those that are not shown take no room.
  rescale() {
    const { steps } = this.run;
    this.x = new Float64Array(steps.length);
    let rank = 0;
    for (const it of steps) {
      if (this.scale === "time") this.x[it.step] = it.time;
      else this.x[it.step] = this.shown.steps[it.step] ? ++rank : rank + 0.5;
    }
    const places = steps.filter((it) => this.shown.steps[it.step]).map((it) => this.x[it.step]);
    const [first, last] = places.length ? [places[0], places[places.length - 1]] : [0, 1];
    const margin = Math.max((last - first) * 0.03, 1);
    this.all = [first - margin, last + margin];
    this.window = [...this.all];
  }

  layout() {
    const stage = this.canvas.parentElement;
    const width = Math.max(stage.clientWidth - GUTTER, 100);
    const room = Math.max(stage.clientHeight - AXIS, 60);
    this.laneHeight = Math.max(30, Math.min(110, room / Math.max(this.shown.lanes.length, 1)));
    const height = Math.max(stage.clientHeight, AXIS + this.laneHeight * this.shown.lanes.length);
    const ratio = window.devicePixelRatio || 1;
    for (const [canvas, wide, high] of [[this.canvas, width, height], [this.overview, this.overview.clientWidth, 34]]) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.laneBox.style.height = `${height}px`;
    Object.assign(this, { width, height });
    this.onlanes();
    this.redraw();
  }

  px(step) {
    return this.pixel(this.x[step]);
  }

  pixel(place) {
    return ((place - this.window[0]) / (this.window[1] - this.window[0])) * this.width;
  }

  place(pixel) {
    return this.window[0] + (pixel / this.width) * (this.window[1] - this.window[0]);
  }

  laneY(lane) {
    const row = this.laneRow.get(lane);
    return row === undefined ? undefined : AXIS + (row + 0.5) * this.laneHeight;
  }

  endY(end) {
    return end < 0 ? undefined : this.laneY(this.run.ends[end].lane);
  }

  // ---- moving about

  zoom(factor, pixel = this.width / 2) {
    const at = this.place(pixel);
    const [from, to] = this.window;
    const least = this.scale === "time" ? 2 : 4;
    const most = (this.all[1] - this.all[0]) * 1.2;
    const wide = Math.min(Math.max((to - from) * factor, least), most);
    const part = (at - from) / (to - from);
    this.window = [at - wide * part, at + wide * (1 - part)];
    this.keepInside();
  }

  pan(pixels) {
    const by = (pixels / this.width) * (this.window[1] - this.window[0]);
    this.window = [this.window[0] + by, this.window[1] + by];
    this.keepInside();
  }

  keepInside() {
    const wide = this.window[1] - this.window[0];
    const middle = Math.min(Math.max((this.window[0] + this.window[1]) / 2, this.all[0]), this.all[1]);
    this.window = [middle - wide / 2, middle + wide / 2];
    this.redraw();
  }

  fit() {
    this.window = [...this.all];
    this.redraw();
  }

  // Brings a step into sight.
  show(step) {
    const at = this.px(step);
    if (at < 40 || at > this.width - 40) {
      const wide = this.window[1] - this.window[0];
      this.window = [this.x[step] - wide / 2, this.x[step] + wide / 2];
    }
    this.redraw();
  }

  // What is at a place of the canvas: the nearest point at which somebody was met, else an arrow.
  find(px, py) {
    let best = null;
    let near = 10;
    for (const it of this.run.steps) {
      if (!this.shown.steps[it.step]) continue;
      const x = this.px(it.step);
      if (x < px - 12 || x > px + 12) continue;
      for (const end of it.met) {
        const y = this.endY(end);
        const far = y === undefined ? Infinity : Math.hypot(x - px, y - py);
        if (far < near) [near, best] = [far, { step: it.step, end, passage: -1 }];
      }
    }
    if (best) return best;
    near = 6;
    for (const it of this.shown.passages) {
      const line = this.line(it);
      if (!line || line.x1 < px - 6 || line.x0 > px + 6) continue;
      const far = distance(line, px, py);
      if (far < near) [near, best] = [far, { step: it.left, end: it.from, passage: it.nth }];
    }
    return best;
  }

  // From where to where an arrow goes; nothing if one of its lanes is not shown.
  line(it) {
    const y0 = this.endY(it.from);
    let y1 = this.endY(it.to);
    if (y0 === undefined || y1 === undefined) return null;
    const x0 = this.px(it.left);
    let x1 = this.px(it.ended);
    if (it.fate !== 0) {
      x1 = Math.max(x1, x0 + Math.min(26, this.width / 30));
      y1 = y0 + (y1 - y0) * 0.55;
    }
    return { x0, y0, x1, y1 };
  }

  // ---- drawing

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw();
      this.drawOverview();
    });
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  draw() {
    const c = this.canvas.getContext("2d");
    const colour = this.colours();
    c.clearRect(0, 0, this.width, this.height);
    this.drawLanes(c, colour);
    this.drawAxis(c, colour);
    this.drawBroken(c, colour);
    this.drawPassages(c, colour);
    this.drawPoints(c, colour);
    this.drawFaults(c, colour);
    this.drawChosen(c, colour);
  }

  drawLanes(c, colour) {
    this.shown.lanes.forEach((lane, row) => {
      if (row % 2 === 0) {
        c.fillStyle = colour("band");
        c.fillRect(0, AXIS + row * this.laneHeight, this.width, this.laneHeight);
      }
      const y = this.laneY(lane);
      c.fillStyle = colour("line");
      c.fillRect(0, y - 0.5, this.width, 1);
      for (const end of this.run.lanes[lane].ends) this.drawModes(c, colour, this.run.ends[end], y);
    });
  }

  drawModes(c, colour, end, y) {
    end.modes.forEach(({ step, mode }, nth) => {
      if (mode === "gone") return;
      const next = end.modes[nth + 1]?.step ?? this.run.steps.length - 1;
      const from = Math.max(this.px(step), 0);
      const to = Math.min(this.px(next), this.width);
      if (to < 0 || from > this.width) return;
      const good = GOOD_MODES.has(mode);
      c.fillStyle = colour(mode === "online" ? "online" : good ? "running" : mode === "off" ? "off" : IDLE_MODES.has(mode) ? "waiting" : "trouble");
      const high = mode === "off" ? 2 : 5;
      c.fillRect(from, y - high / 2, Math.max(to - from, 1), high);
      if (!good && mode !== "off" && to - from > 70) {
        c.fillStyle = colour("faint");
        c.font = "10px system-ui, sans-serif";
        c.textAlign = "left";
        c.fillText(mode, from + 4, y + 14);
      }
    });
  }

  drawAxis(c, colour) {
    c.font = "10px system-ui, sans-serif";
    c.textAlign = "center";
    const tick = (x, text) => {
      c.fillStyle = colour("line");
      c.fillRect(x, AXIS - 4, 1, this.height);
      c.fillStyle = colour("faint");
      c.fillText(text, Math.min(Math.max(x, 24), this.width - 24), 13);
    };
    if (this.scale === "time") {
      const wide = this.window[1] - this.window[0];
      const unit = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000, 300000].find((it) => (it / wide) * this.width > 80) ?? 600000;
      for (let at = Math.ceil(this.window[0] / unit) * unit; at <= this.window[1]; at += unit) if (at >= 0) tick(this.pixel(at), clock(at));
      return;
    }
    let last = -Infinity;
    for (const it of this.run.steps) {
      if (!this.shown.steps[it.step]) continue;
      const x = this.px(it.step);
      if (x < 0 || x > this.width || x - last < 90) continue;
      last = x;
      tick(x, `${it.step} · ${clock(it.at)}`);
    }
  }

  drawBroken(c, colour) {
    const { verdict } = this.run;
    if (!verdict) return;
    const x = this.px(verdict.step);
    c.fillStyle = colour("brokenwash");
    c.fillRect(x - 7, AXIS, 14, this.height);
    c.fillStyle = colour("broken");
    c.fillRect(x - 0.75, AXIS - 4, 1.5, this.height);
    c.font = "bold 11px system-ui, sans-serif";
    const text = `${verdict.oracle} broken`;
    const wide = c.measureText(text).width + 10;
    const left = Math.min(Math.max(x - wide - 2, 2), this.width - wide - 2);
    c.fillRect(left, AXIS - 6, wide, 16);
    c.fillStyle = colour("paper");
    c.textAlign = "left";
    c.fillText(x > this.width ? `${text} →` : text, left + 5, AXIS + 6);
  }

  drawPassages(c, colour) {
    const lines = [];
    for (const it of this.shown.passages) {
      const line = this.line(it);
      if (line && line.x1 >= -30 && line.x0 <= this.width + 30) lines.push([it, line]);
    }
    this.drawn = lines.length;
    const dense = lines.length > 2500;
    const leads = this.run.leadPassages;
    const dim = leads.size > 0 && !this.filter.only;
    for (const kind of ["link", "store", "disk", "bell", "talk"]) {
      for (const lead of [false, true]) {
        const some = lines.filter(([it]) => it.class === kind && it.fate === 0 && leads.has(it.nth) === lead);
        c.strokeStyle = c.fillStyle = colour(kind);
        c.globalAlpha = dim && !lead ? (dense ? 0.25 : 0.45) : 1;
        c.lineWidth = lead ? 1.8 : dense ? 0.6 : 1.1;
        this.strokeLines(c, some, lines.length < 900 || lead);
      }
    }
    c.globalAlpha = 1;
    this.drawLosses(c, colour, lines.filter(([it]) => it.fate !== 0));
    if (lines.length < 240) this.drawLabels(c, colour, lines);
  }

  strokeLines(c, lines, heads) {
    c.beginPath();
    for (const [it, { x0, y0, x1, y1 }] of lines) {
      c.moveTo(x0, y0);
      if (it.class === "disk") c.quadraticCurveTo((x0 + x1) / 2, y0 - Math.min(22, 8 + (x1 - x0) / 3), x1, y1);
      else c.lineTo(x1, y1);
    }
    c.stroke();
    if (!heads) return;
    c.beginPath();
    for (const [it, { x0, y0, x1, y1 }] of lines) {
      const turn = it.class === "disk" ? Math.PI / 3 : Math.atan2(y1 - y0, x1 - x0);
      for (const side of [-0.4, 0.4]) {
        c.moveTo(x1, y1);
        c.lineTo(x1 - 8 * Math.cos(turn + side), y1 - 8 * Math.sin(turn + side));
      }
    }
    c.stroke();
  }

  // What did not arrive: a broken line, and a cross where it ends.
  drawLosses(c, colour, lines) {
    const leads = this.run.leadPassages;
    for (const lead of [false, true]) {
      c.lineWidth = lead ? 2 : 1;
      for (const [kind, fate] of [["broken", 1], ["faint", 2]]) {
        c.strokeStyle = colour(kind);
        c.globalAlpha = leads.size && !lead && !this.filter.only ? 0.6 : 1;
        const some = lines.filter(([it]) => leads.has(it.nth) === lead && it.fate === fate);
        c.setLineDash([4, 3]);
        c.beginPath();
        for (const [, { x0, y0, x1, y1 }] of some) (c.moveTo(x0, y0), c.lineTo(x1, y1));
        c.stroke();
        c.setLineDash([]);
        c.beginPath();
        const arm = lead ? 6 : 3.5;
        for (const [, { x1, y1 }] of some) {
          c.moveTo(x1 - arm, y1 - arm);
          c.lineTo(x1 + arm, y1 + arm);
          c.moveTo(x1 + arm, y1 - arm);
          c.lineTo(x1 - arm, y1 + arm);
        }
        c.stroke();
      }
    }
    c.globalAlpha = 1;
  }

  // Words at arrows, those that matter first, and none over another.
  drawLabels(c, colour, lines) {
    const leads = this.run.leadPassages;
    const taken = [];
    c.font = "11px system-ui, sans-serif";
    c.textAlign = "center";
    const order = [...lines].sort(([a], [b]) => leads.has(b.nth) - leads.has(a.nth) || a.nth - b.nth);
    for (const [it, { x0, y0, x1, y1 }] of order) {
      const text = it.label ? `${it.what} ${it.label}` : it.what;
      const short = text.length > 34 ? `${text.slice(0, 33)}…` : text;
      const wide = c.measureText(short).width + 6;
      for (const part of [0.5, 0.35, 0.65, 0.22, 0.78]) {
        const x = x0 + (x1 - x0) * part;
        const y = it.class === "disk" ? y0 - 16 : y0 + (y1 - y0) * part;
        const box = [x - wide / 2, y - 8, x + wide / 2, y + 7];
        if (box[0] < 0 || box[2] > this.width || taken.some((other) => overlaps(box, other))) continue;
        taken.push(box);
        c.globalAlpha = 0.86;
        c.fillStyle = colour("paper");
        c.fillRect(box[0], box[1], wide, 15);
        c.globalAlpha = 1;
        c.fillStyle = it.fate === 0 ? colour(it.class) : colour("broken");
        c.fillText(short, x, y + 3.5);
        break;
      }
    }
  }

  drawPoints(c, colour) {
    const small = this.shown.count > 1500;
    const size = small ? 1.2 : 2.6;
    const points = new Set();
    for (const it of this.run.steps) {
      const x = this.px(it.step);
      if (!this.shown.steps[it.step] || x < -5 || x > this.width + 5) continue;
      const own = it.end >= 0 ? this.endY(it.end) : this.laneY(it.lane);
      const key = `${Math.round(x * 2)},${own}`;
      if (own !== undefined && !points.has(key)) {
        points.add(key);
        c.fillStyle = colour("ink");
        c.beginPath();
        c.arc(x, own, size, 0, 7);
        c.fill();
      }
      if (it.rows) {
        c.fillStyle = colour("store");
        const y = this.endY(this.run.store);
        if (y !== undefined) c.fillRect(x - size, y - size * 1.6, 2 * size, 3.2 * size);
      }
    }
  }

  drawFaults(c, colour) {
    c.fillStyle = colour("fault");
    c.strokeStyle = colour("paper");
    c.lineWidth = 1;
    const words = this.shown.count < 120;
    const worded = new Map();
    c.font = "bold 11px system-ui, sans-serif";
    c.textAlign = "center";
    for (const it of this.run.steps) {
      if (!it.faults.length || !this.shown.steps[it.step]) continue;
      const x = this.px(it.step);
      if (x < -10 || x > this.width + 10) continue;
      for (const fault of it.faults) {
        const y = fault.lane >= 0 ? this.laneY(fault.lane) : AXIS + 10;
        if (y === undefined) continue;
        c.beginPath();
        c.moveTo(x, y - 15);
        c.lineTo(x + 6, y - 5);
        c.lineTo(x - 6, y - 5);
        c.closePath();
        c.fill();
        c.stroke();
        if (!words || x - (worded.get(fault.lane) ?? -Infinity) < 56) continue;
        worded.set(fault.lane, x);
        c.fillText(fault.text.split(" ")[0], x, y - 19);
      }
    }
  }

  drawChosen(c, colour) {
    if (!this.chosen) return;
    const { step, end, passage } = this.chosen;
    const x = this.px(step);
    c.fillStyle = colour("chosen");
    c.globalAlpha = 0.35;
    c.fillRect(x - 0.5, AXIS, 1, this.height);
    c.globalAlpha = 1;
    c.strokeStyle = colour("chosen");
    c.lineWidth = 2;
    const line = passage >= 0 ? this.line(this.run.passages[passage]) : null;
    if (line) {
      c.beginPath();
      c.moveTo(line.x0, line.y0);
      c.lineTo(line.x1, line.y1);
      c.stroke();
    }
    const y = this.endY(end) ?? this.laneY(this.run.steps[step].lane) ?? AXIS;
    c.beginPath();
    c.arc(x, y, 7, 0, 7);
    c.stroke();
  }

  drawOverview() {
    const c = this.overview.getContext("2d");
    const colour = this.colours();
    const wide = this.overview.clientWidth;
    const at = (place) => ((place - this.all[0]) / (this.all[1] - this.all[0])) * wide;
    c.clearRect(0, 0, wide, 34);
    const busy = new Float64Array(Math.ceil(wide) + 1);
    for (const it of this.shown.passages) busy[Math.round(at(this.x[it.left]))] += 1;
    const most = Math.max(...busy, 1);
    c.fillStyle = colour("talk");
    c.globalAlpha = 0.5;
    busy.forEach((count, x) => count && c.fillRect(x, 30 - Math.sqrt(count / most) * 24, 1, Math.sqrt(count / most) * 24));
    c.globalAlpha = 1;
    c.fillStyle = colour("fault");
    for (const it of this.run.steps) if (it.faults.length && this.shown.steps[it.step]) c.fillRect(at(this.x[it.step]), 30, 1, 4);
    if (this.run.verdict) {
      c.fillStyle = colour("broken");
      c.fillRect(at(this.x[this.run.verdict.step]) - 1, 0, 2, 34);
    }
    c.strokeStyle = colour("ink");
    c.lineWidth = 1;
    c.strokeRect(Math.max(at(this.window[0]), 0.5), 1.5, Math.max(Math.min(at(this.window[1]), wide - 0.5) - Math.max(at(this.window[0]), 0.5), 4), 31);
  }
}

function overlaps(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

function distance({ x0, y0, x1, y1 }, x, y) {
  const long = (x1 - x0) ** 2 + (y1 - y0) ** 2 || 1;
  const part = Math.min(Math.max(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / long, 0), 1);
  return Math.hypot(x0 + part * (x1 - x0) - x, y0 + part * (y1 - y0) - y);
}
