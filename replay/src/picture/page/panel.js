// What stands beside the drawing, and what keys, mouse and address do.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const it = Object.assign(document.createElement(tag), properties);
  it.append(...children);
  return it;
}

const run = new Run(JSON.parse(byId("run").textContent));
const view = new View(run, byId("view"), byId("overview"), byId("lanes"));

const KEYS = [
  ["← →", "the step before, the step after, of whoever is chosen"],
  ["⇧← ⇧→", "the same, of anybody"],
  ["↑ ↓", "the lane above, the lane below"],
  ["n p", "next fault, previous fault"],
  ["b", "the broken promise"],
  ["f", "only what led to it, or all"],
  ["t", "even steps, or true time"],
  ["+ − 0", "nearer, farther, all of it"],
  ["[ ]", "move left, move right"],
  ["c", "copy the command"],
  ["/", "search"],
  ["l", "light or dark"],
  ["Esc", "nothing chosen, no filter"],
];

// ---- choosing

function choose(chosen, bring = true) {
  view.chosen = chosen;
  if (chosen && bring) view.show(chosen.step);
  showPanel();
  view.redraw();
  remember();
}

// The next step, in a direction, that is shown and that somebody has met.
function walk(by, whose, wants = () => true) {
  const from = view.chosen?.step ?? (by > 0 ? 0 : run.steps.length);
  for (let step = from + by; step >= 0 && step < run.steps.length; step += by) {
    const it = run.steps[step];
    if (!view.shown.steps[step] || !wants(it)) continue;
    if (whose >= 0 && !it.met.includes(whose)) continue;
    choose({ step, end: whose >= 0 ? whose : it.end, passage: -1 });
    return;
  }
}

function hop(by) {
  const lane = view.chosen && view.chosen.end >= 0 ? run.ends[view.chosen.end].lane : -1;
  const row = (view.laneRow.get(lane) ?? (by > 0 ? -1 : view.shown.lanes.length)) + by;
  if (row < 0 || row >= view.shown.lanes.length) return;
  const step = view.chosen?.step ?? 0;
  const { ends } = run.lanes[view.shown.lanes[row]];
  const there = ends.filter((end) => run.standing(end, step)).pop() ?? ends[0];
  choose({ step, end: there, passage: -1 });
}

// ---- the panel

function showPanel() {
  const panel = byId("panel");
  const parts = view.chosen ? stepParts(view.chosen) : [];
  panel.replaceChildren(...parts, ...verdictParts());
  if (view.chosen) panel.scrollTop = 0;
}

function verdictParts() {
  const { verdict } = run;
  if (!verdict) return [make("h2", { textContent: "Clean" }), make("p", { textContent: "No promise was broken. Click a point to see what happened there." })];
  const broken = make("div", { className: "broken", id: "broken" }, make("strong", { textContent: verdict.oracle }), ` (${verdict.kind}) is broken at step ${verdict.step}: ${verdict.detail}`);
  const list = make("ol", { id: "leads" });
  for (const lead of run.leads) {
    const who = lead.end >= 0 ? run.ends[lead.end].name : "world";
    const words = make("span", {}, make("b", { textContent: who }), ` ${lead.text}`);
    const button = make("button", { className: `is-${lead.kind}` }, make("span", { textContent: lead.step }), words);
    button.onclick = () => choose({ step: lead.step, end: lead.end, passage: lead.passage });
    if (view.chosen?.step === lead.step && view.chosen.passage === lead.passage) button.setAttribute("aria-current", "true");
    list.append(make("li", {}, button));
  }
  return [make("h2", { textContent: "The broken promise" }), broken, make("h2", { textContent: "What led to it" }), list];
}

function stepParts({ step, end, passage }) {
  const it = run.steps[step];
  const go = (words, target) => make("button", { textContent: words, onclick: target });
  const moves = make("div", { className: "row" }, go("← before", () => walk(-1, end)), go("after →", () => walk(1, end)));
  if (it.cause > 0) moves.append(go(`due since step ${it.cause}`, () => choose({ step: it.cause, end: run.steps[it.cause].end, passage: -1 })));
  moves.append(go("×", () => choose(null)));
  const parts = [
    make("h2", { id: "step", textContent: `Step ${step} at ${clock(it.at)}` }),
    make("div", {}, make("b", { textContent: it.who }), " ", make("code", { textContent: it.event })),
    moves,
  ];
  if (passage >= 0) parts.push(passagePart(run.passages[passage]));
  if (it.entries.length) parts.push(make("h2", { textContent: "What happened" }), entriesPart(it));
  if (it.passages.length) parts.push(make("h2", { textContent: "What left and arrived" }), trafficPart(it));
  if (end >= 0) parts.push(...standingParts(end, step));
  const command = `${run.command} --from ${step} --until ${step}`;
  parts.push(make("h2", { textContent: "In the terminal" }), make("div", { className: "row" }, make("code", { textContent: command }), go("copy", () => copy(command))));
  return parts;
}

function passageText(it) {
  const fate = ["arrives in", "is lost in", "has not arrived when the run ends; left in"][it.fate];
  return `${run.ends[it.from].name} → ${it.from === it.to ? "its disk" : run.ends[it.to].name}: ${it.what}${it.label ? ` ${it.label}` : ""}, ${fate} step ${it.ended}`;
}

function passagePart(it) {
  const ms = run.steps[it.ended].at - run.steps[it.left].at;
  const text = `${passageText(it)}${it.fate === 0 ? `, ${ms} ms after step ${it.left}` : ""}`;
  return make("div", { className: it.fate === 0 ? "entry" : "broken", textContent: text });
}

function entriesPart(it) {
  const list = make("ul", { id: "entries" });
  for (const { kind, end, text } of it.entries) {
    const who = end >= 0 ? run.ends[end].name : "";
    const words = { in: `→ ${who} `, out: `${who} → `, row: "row ", act: "act ", fault: "fault ", fired: "fired " }[kind];
    const type = { fault: "is-fault", fired: "is-fault", row: "is-commit", act: "is-act" }[kind] ?? "";
    list.append(make("li", { className: `entry ${type}` }, words, make("code", { textContent: text })));
  }
  return list;
}

function trafficPart(it) {
  const list = make("ul");
  for (const passage of it.passages) {
    const there = passage.left === it.step && passage.ended !== it.step ? passage.ended : passage.left;
    const button = make("button", { textContent: passageText(passage) });
    button.onclick = () => choose({ step: there, end: there === passage.left ? passage.from : passage.to, passage: passage.nth });
    list.append(make("li", { className: passage.fate === 0 ? "" : "is-lost" }, button));
  }
  return list;
}

function standingParts(end, step) {
  const { name, user } = run.ends[end];
  const standing = run.standing(end, step);
  const whose = user >= 0 ? ` of ${run.users[user].name}` : "";
  const heading = make("h2", { id: "standing", textContent: `How ${name}${whose} stands after it` });
  if (!standing) return [heading, make("p", { textContent: "It has not been met yet." })];
  const table = make("table", { id: "facts" });
  const row = (what, how) => table.append(make("tr", {}, make("td", { textContent: what }), make("td", { textContent: how })));
  row("is", standing.mode);
  standing.facts.forEach(([what, how]) => row(what, how));
  return [heading, table];
}

// ---- filters

function fillChoices() {
  const option = (value, text) => make("option", { value, textContent: text });
  byId("conversation").append(option("-1", "all"), ...run.conversations.map((it, nth) => option(nth, it.name)));
  byId("who").append(option("", "everybody"));
  if (run.users.length) byId("who").append(make("optgroup", { label: "users" }, ...run.users.map((it, nth) => option(`u${nth}`, it.name))));
  byId("who").append(make("optgroup", { label: "lanes" }, ...run.lanes.map((it) => option(`l${it.lane}`, it.name))));
}

function refilter() {
  const who = byId("who").value;
  view.filter = {
    conversation: Number(byId("conversation").value),
    user: who.startsWith("u") ? Number(who.slice(1)) : -1,
    lane: who.startsWith("l") ? Number(who.slice(1)) : -1,
    text: byId("text").value.trim(),
    only: byId("only").getAttribute("aria-pressed") === "true",
  };
  view.refilter();
  if (view.chosen) view.show(view.chosen.step);
  showStatus();
  remember();
}

function press(pressed) {
  byId("only").setAttribute("aria-pressed", String(pressed));
  byId("only").disabled = run.leads.length === 0;
}

function showStatus() {
  const { passages, count, lanes } = view.shown;
  const lost = passages.filter((it) => it.fate === 1).length;
  const faults = run.steps.reduce((sum, it) => sum + (view.shown.steps[it.step] ? it.faults.length : 0), 0);
  const all = run.steps.length - 1;
  byId("status").textContent = `${lanes.length} of ${run.lanes.length} lanes · ${count} of ${all} steps · ${passages.length} of ${run.passages.length} arrows, ${lost} lost · ${faults} faults`;
}

function showLanes() {
  byId("lanes").replaceChildren(
    ...view.shown.lanes.map((lane, row) => {
      const { name, group } = run.lanes[lane];
      const more = group && group !== name ? make("small", { textContent: group }) : "";
      const button = make("button", {}, name, more);
      button.style.top = `${AXIS + row * view.laneHeight}px`;
      button.style.height = `${view.laneHeight}px`;
      button.setAttribute("aria-pressed", String(view.filter.lane === lane));
      button.title = "Only what goes to or comes from here";
      button.onclick = () => {
        byId("who").value = view.filter.lane === lane ? "" : `l${lane}`;
        refilter();
      };
      return button;
    }),
  );
}

// ---- the address holds what is looked at, so that it can be passed on

function remember() {
  const { filter, chosen } = view;
  const now = new URLSearchParams();
  if (chosen) now.set("step", chosen.step);
  if (chosen && chosen.end >= 0) now.set("at", run.ends[chosen.end].name);
  if (filter.conversation >= 0) now.set("conversation", filter.conversation);
  if (byId("who").value) now.set("who", byId("who").value);
  if (filter.text) now.set("text", filter.text);
  if (run.leads.length) now.set("only", filter.only ? "1" : "0");
  if (view.scale === "time") now.set("scale", "time");
  if (themed) now.set("theme", themed);
  history.replaceState(null, "", `#${now}`);
}

function recall() {
  const then = new URLSearchParams(location.hash.slice(1));
  byId("conversation").value = then.get("conversation") ?? "-1";
  byId("who").value = then.get("who") ?? "";
  byId("text").value = then.get("text") ?? "";
  press(run.leads.length > 0 && then.get("only") !== "0");
  if (then.get("scale") === "time") toggleScale();
  if (then.get("theme")) setTheme(then.get("theme"));
  const step = Number(then.get("step") ?? -1);
  const end = run.ends.findIndex((it) => it.name === then.get("at"));
  if (step >= 0 && step < run.steps.length) view.chosen = { step, end: end >= 0 ? end : run.steps[step].end, passage: -1 };
}

// ---- light, dark, time, clipboard

let themed = "";

function setTheme(theme) {
  themed = theme;
  document.documentElement.dataset.theme = theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  view.redraw();
}

function toggleTheme() {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  remember();
}

function toggleScale() {
  view.scale = view.scale === "time" ? "steps" : "time";
  byId("scale").textContent = view.scale;
  view.rescale();
  view.redraw();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page from the disk may not be given the clipboard: the older way works in a click.
    const field = make("textarea", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  byId("copy").textContent = "copied";
  setTimeout(() => (byId("copy").textContent = "copy"), 1200);
}

// ---- mouse and keys

function listen() {
  const canvas = byId("view");
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) {
      const there = view.find(event.offsetX, event.offsetY);
      canvas.style.cursor = there ? "pointer" : "";
      canvas.title = there ? (there.passage >= 0 ? passageText(run.passages[there.passage]) : `step ${there.step}: ${run.steps[there.step].event}`) : "";
      return;
    }
    const by = event.clientX - drag.x;
    if (!drag.moved && Math.abs(by) < 4) return;
    drag = { x: event.clientX, moved: true };
    view.pan(-by);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) choose(view.find(event.offsetX, event.offsetY), false);
    drag = null;
  });
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.altKey || (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY))) view.zoom(Math.exp(event.deltaY / 400), event.offsetX);
    else view.pan(event.deltaX || event.deltaY);
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => view.zoom(0.4, event.offsetX));
  const move = (event) => {
    if (!event.buttons) return;
    const at = view.all[0] + (event.offsetX / byId("overview").clientWidth) * (view.all[1] - view.all[0]);
    const wide = view.window[1] - view.window[0];
    view.window = [at - wide / 2, at + wide / 2];
    view.keepInside();
  };
  byId("overview").addEventListener("pointerdown", move);
  byId("overview").addEventListener("pointermove", move);
  ["conversation", "who"].forEach((id) => byId(id).addEventListener("change", refilter));
  byId("text").addEventListener("input", refilter);
  byId("only").onclick = toggleOnly;
  byId("scale").onclick = () => (toggleScale(), remember());
  byId("fit").onclick = () => view.fit();
  byId("theme").onclick = toggleTheme;
  byId("copy").onclick = () => copy(run.command);
  byId("keys").onclick = help;
  window.addEventListener("resize", () => view.layout());
  document.addEventListener("keydown", onKey);
}

function toggleOnly() {
  press(byId("only").getAttribute("aria-pressed") !== "true");
  refilter();
}

function help() {
  const rows = KEYS.map(([keys, words]) => make("tr", {}, make("td", {}, make("kbd", { textContent: keys })), make("td", { textContent: words })));
  byId("help").replaceChildren(make("table", {}, ...rows), make("form", { method: "dialog" }, make("button", { textContent: "close" })));
  byId("help").showModal();
}

function clear() {
  byId("conversation").value = "-1";
  byId("who").value = byId("text").value = "";
  choose(null);
  refilter();
}

function onKey(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") return (event.target.blur(), clear());
  if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const end = event.shiftKey ? -1 : (view.chosen?.end ?? -1);
  const faulty = (it) => it.faults.length > 0;
  const keys = {
    ArrowLeft: () => walk(-1, end), ArrowRight: () => walk(1, end), ArrowUp: () => hop(-1), ArrowDown: () => hop(1),
    n: () => walk(1, -1, faulty), p: () => walk(-1, -1, faulty),
    b: () => run.verdict && choose({ step: run.verdict.step, end: run.leads[run.leads.length - 1]?.end ?? -1, passage: -1 }),
    f: () => run.leads.length && toggleOnly(), t: () => (toggleScale(), remember()),
    "+": () => view.zoom(0.7), "=": () => view.zoom(0.7), "-": () => view.zoom(1.4), 0: () => view.fit(),
    "[": () => view.pan(-view.width / 5), "]": () => view.pan(view.width / 5),
    c: () => copy(run.command), l: toggleTheme, "?": help, "/": () => byId("text").focus(),
  };
  if (!keys[event.key]) return;
  keys[event.key]();
  event.preventDefault();
}

function showLegend() {
  const it = (colour, text) => make("span", {}, Object.assign(make("i"), { style: `background: var(--${colour})` }), text);
  byId("legend").append(it("talk", "messages"), it("link", "connection"), it("store", "transactions"), it("bell", "bells"), it("disk", "disk"), it("broken", "lost"), it("fault", "▲ fault"));
}

function begin() {
  const { verdict } = run;
  byId("verdict").textContent = verdict ? `${verdict.oracle} broken at step ${verdict.step}` : "clean";
  byId("verdict").className = verdict ? "failed" : "clean";
  document.title = `${verdict ? verdict.oracle : "clean"} · seed ${run.seed} · doubletick-replay ${run.version}`;
  byId("command").textContent = run.command;
  view.onlanes = showLanes;
  fillChoices();
  showLegend();
  setTheme("");
  recall();
  listen();
  refilter();
  showPanel();
}

begin();
// For whoever wants to know where on the page a step is drawn.
window.picture = {
  at(step, name) {
    const box = byId("view").getBoundingClientRect();
    const end = run.ends.findIndex((it) => it.name === name);
    return { x: box.left + view.px(step), y: box.top + view.endY(end) };
  },
  run,
  view,
};
