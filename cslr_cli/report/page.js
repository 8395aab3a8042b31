"use strict";
// Data enter the page as text (textContent), never as markup.

const PAGE_OF_CLIPS = 40;
const PAGE_OF_ROWS = 25;
const NOTHING = -1;

// Halves are rounded to the even digit, as in the figures from Python.
const number = (digits) => (value) => value === null ? "–" : value.toLocaleString("en",
  { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" });
const whole = number(0), tenths = number(1);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Tables: columns say how a row's value is shown and sorted; a screenful of rows at a time.

const PARTS = (what) => [
  { name: what, text: true }, { name: "clips", show: whole }, { name: "with errors", show: whole },
  { name: "glosses", show: whole }, { name: "WER %", show: tenths },
  { name: "95 % interval", show: (ends) => (ends ? ends.map(tenths).join("–") : "–"), key: (ends) => ends && ends[0] },
  { name: "sub %", show: tenths }, { name: "del %", show: tenths }, { name: "ins %", show: tenths },
];

function sortableTable(columns, rows, order) {
  let sorted = [...rows], shown = PAGE_OF_ROWS, [by, down] = order || [null, false];
  const body = element("tbody");
  const heads = columns.map((column, index) =>
    element("th", { scope: "col", class: column.text ? "text" : null },
      element("button", { type: "button", onclick: () => sortBy(index) }, column.name)));
  const more = element("button", { type: "button", class: "more", onclick: () => { shown += 10 * PAGE_OF_ROWS; draw(); } });

  function sortBy(index) {
    down = by === index ? !down : !columns[index].text;
    by = index;
    sort();
    draw();
  }
  function sort() {
    if (by === null) return;
    const key = columns[by].key || ((value) => value);
    const sign = down ? -1 : 1;
    sorted.sort((a, b) => {
      const [x, y] = [key(a[by]), key(b[by])];
      if (x === null || y === null) return (x === null) - (y === null); // undefined values come last
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
  }
  function draw() {
    heads.forEach((head, index) => {
      if (index === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...sorted.slice(0, shown).map((row) =>
      element("tr", {}, ...columns.map((column, index) => {
        const cell = element("td", { class: column.text ? "text" : null });
        cell.append(column.cell ? column.cell(row) : (column.show || String)(row[index]));
        return cell;
      }))));
    more.hidden = shown >= sorted.length;
    more.textContent = `Show more (${whole(Math.max(0, sorted.length - shown))} left)`;
  }
  sort();
  draw();
  return element("div", { class: "wide" },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body), more);
}

// Clips: searched, sorted, and drawn a screenful at a time.

function clipRows(section) {
  const { clips, glosses, same, unseen } = section;
  const kind = (gloss) => (same ? same[gloss] : gloss);
  const strange = new Set((unseen || []).map(kind));
  return clips.ids.map((id, index) => {
    const alignments = clips.pairs.map((pairs) => alignment(pairs[index], kind));
    return {
      id, index, alignments,
      signer: clips.signers[index] === NOTHING ? null : section.signers[clips.signers[index]],
      seconds: clips.seconds[index],
      frames: clips.frames[index],
      unseen: strange.size > 0 && alignments[0].places.some((place) => place.ref !== NOTHING && strange.has(kind(place.ref))),
      differs: alignments.length > 1 && hypothesis(alignments[0]) !== hypothesis(alignments[1]),
      words: null, // made at the first search
    };
  });
  function hypothesis(aligned) {
    return aligned.places.filter((place) => place.hyp !== NOTHING).map((place) => kind(place.hyp)).join(" ");
  }
}

function alignment(flat, kind) {
  const counts = { ok: 0, sub: 0, del: 0, ins: 0 }, places = [];
  for (let at = 0; at < flat.length; at += 2) {
    const [ref, hyp] = [flat[at], flat[at + 1]];
    const what = ref === NOTHING ? "ins" : hyp === NOTHING ? "del" : kind(ref) === kind(hyp) ? "ok" : "sub";
    counts[what] += 1;
    places.push({ what, ref, hyp });
  }
  const references = counts.ok + counts.sub + counts.del, errors = counts.sub + counts.del + counts.ins;
  return { places, counts, references, errors, wer: references ? (100 * errors) / references : null };
}

const FILTERS = {
  all: ["all clips", () => true],
  wrong: ["with errors", (clip) => clip.alignments[0].errors > 0],
  right: ["without errors", (clip) => clip.alignments[0].errors === 0],
  unseen: ["with glosses not in train", (clip) => clip.unseen],
  differs: ["where the two systems differ", (clip) => clip.differs],
  first: ["", (clip) => clip.alignments[0].errors < clip.alignments[1].errors],
  second: ["", (clip) => clip.alignments[0].errors > clip.alignments[1].errors],
};
const lead = (clip) => Math.abs(clip.alignments[0].errors - clip.alignments[1].errors);
const ORDERS = {
  errors: ["most errors first", (a, b) => b.alignments[0].errors - a.alignments[0].errors],
  wer: ["highest WER first", (a, b) => (b.alignments[0].wer ?? -1) - (a.alignments[0].wer ?? -1)],
  lead: ["largest difference first", (a, b) => lead(b) - lead(a)],
  file: ["order of the references", (a, b) => a.index - b.index],
  longest: ["longest reference first", (a, b) => b.alignments[0].references - a.alignments[0].references],
};

// All words must occur, each in a name, a signer or a gloss. "GLOSS" is a complete gloss. A → B is a confusion; its
// glosses may contain arrows.
function matcher(query, section) {
  const glosses = section.glosses.map((gloss) => gloss.toLowerCase());
  const wanted = query.trim().toLowerCase();
  const plain = (text) => text.replace(/\s*(?:→|->)\s*/g, "→");
  const confusion = /→|->/.test(wanted) ? plain(wanted) : null;
  const isConfusion = ({ what, ref, hyp }) => what === "sub" && plain(`${glosses[ref]}→${glosses[hyp]}`) === confusion;
  const terms = wanted.split(/[ \t]+/);
  return (clip) => {
    if (confusion !== null && clip.alignments.some(({ places }) => places.some(isConfusion))) return true;
    clip.words = clip.words || [clip.id, clip.signer || "", ...clip.alignments.flatMap((aligned) =>
      aligned.places.flatMap((place) => [place.ref, place.hyp].filter((gloss) => gloss !== NOTHING).map((gloss) => glosses[gloss]))),
    ].map((word) => word.toLowerCase());
    return terms.every((term) => (term.length > 2 && term.startsWith('"') && term.endsWith('"'))
      ? clip.words.includes(term.slice(1, -1))
      : clip.words.some((word) => word.includes(term)));
  };
}

function drawnAlignment(aligned, section, unseen) {
  const shown = (gloss) => (gloss === NOTHING ? "–" : section.glosses[gloss]);
  const WORDS = { sub: "substitution", del: "deletion", ins: "insertion" };
  const MARKS = { sub: "S", del: "D", ins: "I" };
  const places = aligned.places.map(({ what, ref, hyp }) => element("li", {
    class: `${what}${unseen.has(ref) ? " unseen" : ""}`,
    title: [WORDS[what], unseen.has(ref) ? "not in train" : null].filter(Boolean).join("; ") || null,
  },
    element("span", { class: `ref${ref === NOTHING ? " nothing" : ""}` }, shown(ref)),
    element("span", { class: `hyp${hyp === NOTHING ? " nothing" : ""}` }, shown(hyp)),
    aligned.errors ? element("span", { class: "mark" }, MARKS[what] || "\u00a0") : null));
  const heads = element("li", { class: "heads", "aria-hidden": "true" },
    element("span", {}, "signed"), element("span", {}, "recognised"));
  return element("ol", { class: "alignment" }, heads, ...places);
}

function drawnClip(clip, section, unseen) {
  const [first, second] = clip.alignments;
  const scoreText = ({ counts, wer }) =>
    `WER ${wer === null ? "undefined" : `${tenths(wer)} %`} (${counts.sub} S, ${counts.del} D, ${counts.ins} I)`;
  const drawn = element("article", { class: "clip" }, element("header", {},
    element("b", {}, clip.id),
    clip.signer === null ? null : element("span", {}, clip.signer),
    clip.seconds === null ? null : element("span", {}, `${tenths(clip.seconds)} s`),
    element("span", {}, scoreText(first)),
    second && !clip.differs ? element("span", {}, `${section.systems[1]}: the same`) : null,
    clip.frames === null ? null : element("a", { href: clip.frames }, "frames")));
  if (second && clip.differs) drawn.append(element("span", { class: "system" }, section.systems[0]));
  drawn.append(drawnAlignment(first, section, unseen));
  if (second && clip.differs) {
    drawn.append(element("span", { class: "system" }, `${section.systems[1]}: ${scoreText(second)}`), drawnAlignment(second, section, unseen));
  }
  return drawn;
}

function explorer(place, section) {
  const clips = clipRows(section), two = section.systems.length > 1, unseen = new Set(section.unseen || []);
  const filters = ["all", "wrong", "right", ...(section.unseen ? ["unseen"] : []), ...(two ? ["differs", "first", "second"] : [])];
  const orders = ["errors", "wer", ...(two ? ["lead"] : []), "file", "longest"];
  const names = { first: `${section.systems[0]} has fewer errors`, second: `${section.systems[1]} has fewer errors` };
  const choice = (keys, texts, label) => element("select", { "aria-label": label, onchange: () => start() },
    ...keys.map((key) => element("option", { value: key }, texts(key))));
  const search = element("input", { type: "search", "aria-label": "Search clips",
    placeholder: 'Search names, signers, glosses; "GLOSS" or A → B', oninput: () => start() });
  const filter = choice(filters, (key) => names[key] || FILTERS[key][0], "Which clips");
  const order = choice(orders, (key) => ORDERS[key][0], "Order of the clips");
  const status = element("p", { class: "note", role: "status" });
  const list = element("div");
  const more = element("button", { type: "button", class: "more", onclick: () => draw() });
  let found = [], shown = 0;

  function start() {
    const matches = matcher(search.value, section), wanted = FILTERS[filter.value][1];
    found = clips.filter((clip) => wanted(clip) && matches(clip)).sort(ORDERS[order.value][1]);
    shown = 0;
    list.replaceChildren();
    draw();
  }
  function draw() {
    list.append(...found.slice(shown, shown + PAGE_OF_CLIPS).map((clip) => drawnClip(clip, section, unseen)));
    shown = Math.min(found.length, shown + PAGE_OF_CLIPS);
    status.textContent = `${whole(found.length)} of ${whole(clips.length)} clips`;
    more.hidden = shown >= found.length;
    more.textContent = `Show more (${whole(found.length - shown)} left)`;
  }
  const heading = element("h3", { tabindex: "-1" }, "Clips");
  place.append(heading,
    element("p", { class: "legend" }, element("span", {}, "S substitution (framed, underlined)"), element("span", {}, "D deletion (dashed)"),
      element("span", {}, "I insertion (dotted)"), section.unseen ? element("span", {}, "italic: not in train") : null),
    element("div", { class: "controls" }, search, filter, order), status, list, more);
  start();
  return (query) => { // shows the clips of a gloss or a confusion
    search.value = query;
    filter.value = "all";
    start();
    heading.scrollIntoView();
    search.focus({ preventScroll: true });
  };
}

function tables(place, section, showClips) {
  const { tables, glosses } = section;
  const gloss = (index) => glosses[index];
  const link = (text, query) => element("button", { type: "button", title: "Show the clips", onclick: () => showClips(query) }, text);
  // A table is drawn when it is opened for the first time.
  const lazily = (title, make) => {
    const details = element("details", {}, element("summary", {}, title));
    details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(make()); });
    place.append(details);
  };
  for (const [key, what] of [["signer", "signer"], ["category", "category"], ["clip_length", "clip length"], ["reference_length", "reference length"],
    ["frequency", "frequency in train"], ["position", "position in the sentence"]]) {
    if (tables[key].length) lazily(`By ${what} (${whole(tables[key].length)})`, () => sortableTable(PARTS(what), tables[key]));
  }
  lazily(`Confusions (${whole(tables.confusions.length)})`, () => sortableTable([
    { name: "signed", text: true, key: gloss, cell: (row) => gloss(row[0]) },
    { name: "recognised", text: true, key: gloss, cell: (row) => gloss(row[1]) },
    { name: "count", show: whole, cell: (row) => link(whole(row[2]), `${gloss(row[0])} → ${gloss(row[1])}`) },
  ], tables.confusions, [2, true]));
  const columns = ["signed", "recognised", "correct", "substituted", "deleted", "inserted", "falsely recognised"];
  lazily(`Glosses (${whole(tables.glosses.length)})`, () => sortableTable([
    { name: "gloss", text: true, key: gloss, cell: (row) => link(gloss(row[0]), `"${gloss(row[0])}"`) },
    ...columns.map((name) => ({ name, show: whole })),
    { name: "precision %", show: tenths }, { name: "recall %", show: tenths },
    ...(section.unseen ? [{ name: "in train", show: (seen) => (seen ? "yes" : "no"), key: Number }] : []),
  ], tables.glosses, [4, true]));
}

// Sections: the part of the address after # selects the one to show.

const data = JSON.parse(document.getElementById("data").textContent);
const filled = new Set();

function show() {
  const wanted = Number((location.hash.match(/^#s(\d+)$/) || [0, 0])[1]);
  const chosen = wanted < data.length ? wanted : 0;
  document.querySelectorAll(".split").forEach((split, index) => { split.hidden = index !== chosen; });
  document.querySelectorAll(".sections a").forEach((link, index) => link.setAttribute("aria-current", String(index === chosen)));
  if (filled.has(chosen)) return;
  filled.add(chosen);
  const split = document.getElementById(`s${chosen}`), section = data[chosen];
  const showClips = explorer(split.querySelector("[data-clips]"), section);
  tables(split.querySelector("[data-tables]"), section, showClips);
}
addEventListener("hashchange", show);
show();
