// The run that the page is given, in a shape that is quick to draw from, and what of it is shown.

const TALK = new Set(["Send", "Accepted", "Deliver", "Page", "Ack", "Receipt", "Fetch"]);

class Run {
  constructor(raw) {
    const text = (number) => raw.texts[number];
    Object.assign(this, { command: raw.command, seed: raw.seed, version: raw.version, verdict: raw.verdict });
    this.lanes = raw.lanes.map(([name, group], lane) => ({ name, group, lane, ends: [] }));
    this.ends = raw.ends.map(([name, lane, user], end) => ({ name, lane, user, end, standings: [] }));
    this.ends.forEach((end) => this.lanes[end.lane].ends.push(end.end));
    this.conversations = raw.conversations.map(([name, users, id]) => ({ name, users, id }));
    this.users = raw.users.map(([name, id]) => ({ name, id }));
    this.steps = raw.steps.map(([at, event, end, lane, who, cause, entries], step) => ({
      step, at, event: text(event), end, lane, who: text(who), cause,
      entries: entries.map(([kind, end, lane, said, conversation]) => ({ kind, end, lane, text: text(said), conversation })),
      passages: [],
    }));
    this.passages = raw.passages.map(([from, to, left, ended, fate, what, label, conversations, users], nth) => ({
      nth, from, to, left, ended, fate, what: text(what), label: text(label), conversations, users,
    }));
    this.leads = raw.leads.map(([step, end, kind, words, passage]) => ({ step, end, kind, text: words, passage }));
    for (const [step, end, mode, facts] of raw.standings) {
      this.ends[end].standings.push({ step, mode: text(mode), facts: facts.map(([what, how]) => [text(what), text(how)]) });
    }
    this.prepare();
  }

  prepare() {
    const store = this.ends.find((end) => end.name === "store").end;
    this.store = store;
    for (const it of this.passages) {
      it.class = this.classOf(it);
      this.steps[it.left].passages.push(it);
      if (it.ended !== it.left) this.steps[it.ended].passages.push(it);
    }
    // A time for each step that is its own: those of one millisecond are spread over it.
    for (let first = 0; first < this.steps.length; ) {
      let next = first;
      while (next < this.steps.length && this.steps[next].at === this.steps[first].at) next += 1;
      for (let nth = first; nth < next; nth += 1) this.steps[nth].time = this.steps[nth].at + (nth - first) / (next - first);
      first = next;
    }
    // Places at which somebody was met: what can be clicked.
    for (const it of this.steps) {
      const met = new Set(it.end >= 0 ? [it.end] : []);
      if (it.entries.some((entry) => entry.kind === "row")) met.add(store);
      for (const passage of it.passages) {
        if (passage.left === it.step) met.add(passage.from);
        if (passage.ended === it.step && passage.fate === 0) met.add(passage.to);
      }
      for (const entry of it.entries) if (entry.end >= 0) met.add(entry.end);
      it.met = [...met];
      it.rows = it.entries.some((entry) => entry.kind === "row");
      it.faults = it.entries.filter((entry) => entry.kind === "fault");
      it.fired = it.entries.some((entry) => entry.kind === "fired");
    }
    for (const end of this.ends) {
      end.modes = end.standings.filter((standing, nth) => nth === 0 || end.standings[nth - 1].mode !== standing.mode);
    }
    this.leadSteps = new Set(this.leads.map((lead) => lead.step));
    this.leadPassages = new Set();
    for (const lead of this.leads) {
      if (lead.passage < 0) continue;
      this.leadPassages.add(lead.passage);
      this.leadSteps.add(this.passages[lead.passage].ended);
    }
  }

  classOf(it) {
    if (it.from === it.to) return "disk";
    if (it.what === "Bell") return "bell";
    if (it.from === this.store || it.to === this.store) return "store";
    return TALK.has(it.what) ? "talk" : "link";
  }

  // How somebody stands after a step: the last that is known.
  standing(end, step) {
    const all = this.ends[end].standings;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle].step <= step) low = middle + 1; else high = middle;
    }
    return all[low - 1];
  }

  // What is shown under a filter: passages, steps, lanes.
  shown(filter) {
    const { conversation, lane, user, only } = filter;
    const text = filter.text.toLowerCase();
    const people = conversation >= 0 ? new Set(this.conversations[conversation].users) : null;
    const whose = (end) => (lane >= 0 && this.ends[end].lane === lane) || (user >= 0 && this.ends[end].user === user);
    const somebody = lane >= 0 || user >= 0;
    const says = (...texts) => texts.some((said) => said.toLowerCase().includes(text));
    const wants = (it) =>
      (conversation < 0 || it.conversations.includes(conversation)) &&
      (!somebody || whose(it.from) || whose(it.to) || (user >= 0 && it.users.includes(user))) &&
      (!text || says(it.what, it.label));
    const passages = this.passages.filter((it) => (only ? this.leadPassages.has(it.nth) : true) && wants(it));
    const steps = new Uint8Array(this.steps.length);
    for (const it of passages) steps[it.left] = steps[it.ended] = 1;
    const all = conversation < 0 && !somebody && !text;
    for (const it of this.steps) {
      if (only) {
        steps[it.step] = (steps[it.step] || (all && this.leadSteps.has(it.step))) ? 1 : 0;
      } else if (all) {
        steps[it.step] = 1;
      } else if (
        (conversation < 0 || it.entries.some((entry) => entry.conversation === conversation)) &&
        (!somebody || it.met.some(whose)) &&
        (!text || says(it.event, ...it.entries.map((entry) => entry.text)))
      ) {
        steps[it.step] = 1;
      }
    }
    if (this.verdict) steps[this.verdict.step] = 1;
    const lanes = this.lanesShown(passages, steps, filter, people);
    return { passages, steps, lanes, count: steps.reduce((sum, one) => sum + one, 0) - steps[0] };
  }

  lanesShown(passages, steps, { conversation, lane, user, text, only }, people) {
    if (conversation < 0 && lane < 0 && user < 0 && !text && !only) return this.lanes.map((it) => it.lane);
    const used = new Set();
    for (const it of passages) used.add(this.ends[it.from].lane).add(this.ends[it.to].lane);
    for (const it of this.steps) {
      if (steps[it.step] && it.lane >= 0 && (only || it.step !== this.verdict?.step)) used.add(it.lane);
      if (steps[it.step]) for (const fault of it.faults) if (only && fault.lane >= 0) used.add(fault.lane);
    }
    const stranger = (it) => people && it.ends.every((end) => this.ends[end].user >= 0 && !people.has(this.ends[end].user));
    return this.lanes.filter((it) => used.has(it.lane) && !stranger(it)).map((it) => it.lane);
  }
}

function clock(at) {
  const pad = (number, width) => String(number).padStart(width, "0");
  return `${Math.floor(at / 60000)}:${pad(Math.floor(at / 1000) % 60, 2)}.${pad(at % 1000, 3)}`;
}
