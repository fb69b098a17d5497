"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const packed = $("pg-data") ? $("pg-data").textContent : "";
  const live = document.documentElement.dataset.live === "true"; // then shutdownlab/web/static/live.js brings the data
  if (!packed && !live) return;
  const make = (tag, attributes, ...content) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== "" && value != null) made.setAttribute(name, value);
    made.append(...content.filter((each) => each != null));
    return made;
  };
  const breakable = (text) => text.split("/").flatMap((part, at) => (at ? ["/", document.createElement("wbr"), part] : [part]));
  let data = { phases: [], rows: [], columns: [], facts: [], extracts: [], whys: [], orders: {}, cells: [], common: [], operators: {}, regions: {}, worst: 0 };
  if (packed) try {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    data = JSON.parse(await new Response(stream).text());
  } catch (error) {
    $("pg-cells").append(make("p", {}, "This browser cannot unpack the page's data (it lacks DecompressionStream); results.csv has every cell."));
    return;
  }
  let { phases, rows, columns, facts, whys, orders } = data;
  const SYMBOLS = { ok: "✓", throttled: "~", blocked: "✕", down: "▽", error: "!", unknown: "?" };
  const measured = (outcome) => outcome !== "error" && outcome !== "unknown";
  const told = ([outcome, failure]) => `${outcome}${failure ? ` (${failure})` : ""}`;
  const through = (outcome) => outcome === "ok" || outcome === "throttled";
  const percent = (share) => (share <= 0 ? 0 : share >= 1 ? 100 : Math.min(99, Math.max(1, Math.round(share * 100))));
  const level = (share) => (share == null ? "pg-none" : "pg-l" + [0, 0.25, 0.5, 0.75, 0.999999].filter((least) => share > least).length);
  const vantage = (row) => row.slice(0, 3).filter(Boolean).join("/");
  // what a cell was in the run that this one is compared with, where that is another thing: outcome and failure
  const was = (row, column) => (data.was && (data.was.cells[phase][row] || {})[columns[column].slice(0, 2).join(" ")]) || null;
  const met = (fact) => measured(fact[0]) && (fact[2] == null || fact[2] === fact[0]);

  // each cell of a phase as [row, column, fact, why, line, extract]
  const cellsOf = (phase) => {
    const found = [];
    for (const [row, flat] of Object.entries(data.cells[phase] || {})) {
      for (let at = 0; at < flat.length; at += 5) found.push([+row, ...flat.slice(at, at + 5)]);
    }
    return found;
  };
  const where = (row, why) => {
    const at = why.at || "";
    return at.startsWith("own ") ? row[6][at.slice(4)] || "" : at;
  };

  let phase = data.worst;

  // -- the matrix -----------------------------------------------------------------------------------------------------
  const matrix = () => {
    const held = document.activeElement && document.activeElement.closest("#pg-cells td");
    const lefts = [...document.querySelectorAll("#pg-cells .pg-scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    const cells = cellsOf(phase);
    const used = columns.map((_, column) => cells.some((cell) => cell[1] === column));
    const shown = columns.map((_, column) => column).filter((column) => used[column] && !columns[column][3]);
    const outside = columns.map((_, column) => column).filter((column) => used[column] && columns[column][3]);
    const byRow = new Map();
    for (const cell of cells) {
      if (!byRow.has(cell[0])) byRow.set(cell[0], new Map());
      byRow.get(cell[0]).set(cell[1], cell);
    }
    const boxes = $("pg-cells");
    boxes.replaceChildren();
    const inside = [...byRow.keys()].filter((row) => rows[row][1]);
    if (inside.length) boxes.append(grid("Inside the country, from subscribers' lines", inside, shown, byRow));
    const beyond = [...byRow.keys()].filter((row) => !rows[row][1]);
    if (beyond.length) boxes.append(grid("As seen from outside the country", beyond, outside, byRow));
    [...boxes.querySelectorAll(".pg-scroll")].forEach((box, at) => { if (lefts[at]) [box.scrollLeft, box.scrollTop] = lefts[at]; });
    const same = held && boxes.querySelector(`td[data-row="${held.dataset.row}"][data-column="${held.dataset.column}"]`);
    if (same) focusOn(same);
  };
  const focusOn = (box) => {
    for (const other of box.closest("table").querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
    box.tabIndex = 0;
    box.focus({ preventScroll: true });
  };

  const grid = (caption, list, shown, byRow) => {
    const table = make("table", { class: "pg-matrix", role: "grid", "aria-label": `${caption}, ${phases[phase][0]}` });
    table.append(make("caption", {}, make("span", {}, `${caption}: ${phases[phase][0]}`)));
    const head = make("tr", { role: "row" }, make("th", { scope: "col", role: "columnheader" }, "Vantage point"));
    for (const column of shown) {
      const [target, family, service] = columns[column];
      const said = make("span", {}, target, family === "ipv6" ? make("i", {}, " v6") : "");
      head.append(make("th", { scope: "col", role: "columnheader", title: `${service}: ${target}, ${family}` }, said));
    }
    table.append(make("thead", { role: "rowgroup" }, head));
    let operator = null, body = null, first = true;
    const trying = new Set(phase === phases.length - 1 ? (data.trying || []).map(([row, column]) => `${row} ${column}`) : []); // of a live page
    for (const row of list) {
      const [name, region, group, access] = rows[row];
      if (name !== operator && region) {
        operator = name;
        body = make("tbody", { role: "rowgroup" });
        const title = make("th", { colspan: shown.length + 1, scope: "rowgroup", role: "rowheader", class: "pg-operator" });
        title.append(make("span", {}, data.operators[name] || name));
        body.append(make("tr", { role: "row" }, title));
        table.append(body);
      } else if (!body) {
        body = make("tbody", { role: "rowgroup" });
        table.append(body);
      }
      const heading = region ? [data.regions[region] || region, make("small", {}, ` ${[group, access].filter(Boolean).join(", ")}`)] : [data.operators[name] || name];
      const who = live && page.is && page.is() === "country" && region ? [make("button", { type: "button", class: "pg-who", "data-who": vantage(rows[row]) }, ...heading)] : heading;
      const line = make("tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, ...who));
      for (const column of shown) {
        const cell = byRow.get(row).get(column);
        if (!cell) { line.append(make("td", { role: "gridcell", class: "pg-empty" }, make("span", { class: "pg-hidden" }, "not measured"))); continue; }
        const fact = facts[cell[2]], tried = trying.has(`${row} ${column}`), ill = !met(fact) && !tried;
        const said = `${columns[column][0]} ${columns[column][1]} from ${vantage(rows[row])}: ${told(fact)}${tried ? ", failing now, being confirmed" : ""}${ill ? ", not as expected" : ""}${was(row, column) ? `; ${told(was(row, column))} in ${data.was.name}` : ""}`;
        const box = make("td", { role: "gridcell", class: `pg-cell pg-${fact[0]}${tried ? " pg-trying" : ""}${ill ? " pg-unmet" : ""}${was(row, column) ? " pg-changed" : ""}`, tabindex: first ? "0" : "-1", "aria-label": said, title: said, "data-row": row, "data-column": column, "aria-haspopup": "dialog" }, tried && fact[0] === "unknown" ? "…" : SYMBOLS[fact[0]]);
        box.cell = cell;
        first = false;
        line.append(box);
      }
      body.append(line);
    }
    table.addEventListener("click", (event) => { const box = event.target.closest("td"); if (box && box.cell) open(box); });
    table.addEventListener("keydown", (event) => walk(table, event));
    return make("div", { class: "pg-scroll", role: "region", "aria-label": caption }, table);
  };

  // the keys of a grid, as the ARIA Authoring Practices have them (w3.org/WAI/ARIA/apg/patterns/grid), among measured cells
  const walk = (table, event) => {
    const box = event.target.closest("td"), far = event.ctrlKey || event.metaKey;
    if (!box || !box.cell || event.altKey || event.shiftKey) return;
    if (!far && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); open(box); return; }
    const lines = [...table.querySelectorAll("tr")].map((line) => [...line.children].filter((each) => each.cell)).filter((line) => line.length);
    const line = lines.find((each) => each.includes(box)), right = line.indexOf(box);
    const column = lines.flat().filter((each) => each.dataset.column === box.dataset.column), down = column.indexOf(box);
    const screen = Math.max(1, Math.floor(innerHeight / box.offsetHeight / 2));
    const ways = far ? { Home: lines[0][0], End: lines.at(-1).at(-1) } : {
      ArrowDown: column[down + 1], ArrowUp: column[down - 1], ArrowRight: line[right + 1], ArrowLeft: line[right - 1],
      Home: line[0], End: line.at(-1), PageDown: column[Math.min(down + screen, column.length - 1)], PageUp: column[Math.max(down - screen, 0)],
    };
    if (!(event.key in ways)) return;
    event.preventDefault();
    const next = ways[event.key];
    if (!next || next === box) return;
    box.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };

  // -- a cell -----------------------------------------------------------------------------------------------------------
  const list = (title, lines, kind) => (lines && lines.length ? [make("h3", {}, title), make("ul", { class: kind || "pg-plain" }, ...lines.map((line) => make("li", {}, line)))] : []);
  const show = (title, content, closed) => {
    const dialog = $("pg-dialog"), close = make("button", { type: "button", class: "pg-close" }, "Close");
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(close, make("h2", { id: "pg-dialog-title" }, ...breakable(title)), ...content);
    dialog.onclose = closed || null;
    if (!dialog.open) dialog.showModal();
  };
  const open = async (box) => {
    const [rowAt, columnAt, factAt, whyAt, line, extractAt] = box.cell;
    const row = rows[rowAt], [target, family] = columns[columnAt];
    const [outcome, failure, expected, source, tries, certainty, value, unit] = facts[factAt];
    const facts_ = make("dl", {});
    const tell = (name, ...content) => facts_.append(make("div", {}, make("dt", {}, name), make("dd", {}, ...content)));
    tell("Outcome", make("span", { class: `pg-cell pg-${outcome}` }, SYMBOLS[outcome]), ` ${told([outcome, failure])}`);
    if (was(rowAt, columnAt)) tell(`In ${data.was.name}`, make("span", { class: `pg-cell pg-${was(rowAt, columnAt)[0]}` }, SYMBOLS[was(rowAt, columnAt)[0]]), ` ${told(was(rowAt, columnAt))}`);
    if (expected) tell("Expected", `${expected}${source ? ` [${source}]` : ""}${expected === outcome ? ", as found" : ""}`);
    if (value != null) tell("Measured", `${Math.round(value * 10) / 10} ${unit}`);
    tell("Certainty", `${certainty}${tries > 1 ? `, in ${tries} tries` : ""}`);
    tell("When", `${phases[phase][0]}, from ${phases[phase][2]}`);
    const content = [facts_];
    const at = phase, answer = live ? await page.ask(phases[at][0], vantage(row), target, family) : {};
    if (at !== phase) return;
    const extract = live ? answer.extract : data.extracts[extractAt];
    if (extract) {
      const [what, test, verdict, steps, controls] = extract;
      content.push(make("h3", {}, "The measurement"), make("p", {}, `${what || target} by ${test}${live ? "" : `; line ${line.toLocaleString("en")} of measurements.jsonl`}`));
      content.push(...list("What OONI's test says of it", verdict), ...list("What was tried", steps), ...list("Controls beside it", controls));
    } else {
      content.push(make("p", { class: "pg-soft" }, live ? "Its measurement is not at hand." : data.measured ? "There is no measurement of it in the record." : "It was worked out by the model, not measured."));
    }
    content.push(...explained(row, outcome, failure, live ? answer.why : whys[whyAt]));
    if (row[1] && !live) content.push(make("p", { class: "pg-small" }, through(outcome) ? "In full: " : "In full, with what would let it through: ", make("code", {}, `shutdownlab explain RUN --at ${phases[phase][0]} --from ${vantage(row)} --to ${target}${family === "ipv6" ? " --family ipv6" : ""}`)));
    const place = `td[data-row="${rowAt}"][data-column="${columnAt}"]`; // the table may be drawn anew meanwhile
    show(`${target}${family === "ipv6" ? " over IPv6" : ""} from ${vantage(row)}`, content, () => {
      const cell = box.isConnected ? box : document.querySelector(`#pg-cells ${place}`);
      if (cell) focusOn(cell);
    });
  };

  // of a live page: why something came out as it did that is no cell of the table
  const tell = async (at, from, target, family, said) => {
    const { why } = await page.ask(at, from, target, family), row = rows.find((each) => vantage(each) === from);
    const because = why && row ? [make("p", {}, `By the model: ${told([why.outcome, why.failure])}.`), ...explained(row, why.outcome, why.failure, why)] : [make("p", { class: "pg-soft" }, "The model does not say more of it.")];
    show(`${target} from ${from}`, [make("p", {}, said), ...because]);
  };

  const since = (name) => {
    const order = orders[name];
    let at = phase;
    if (!order || !order[3].includes(phase)) return "";
    while (order[3].includes(at - 1)) at -= 1;
    return `, in force since ${phases[at][0]} (${phases[at][2]})`;
  };
  const explained = (row, outcome, failure, why) => {
    if (!why) return [];
    const found = [make("h3", {}, "Why")];
    const agrees = why.outcome === outcome;
    if (!agrees) found.push(make("p", { class: "pg-warn" }, `The model says otherwise: ${told([why.outcome, why.failure])}.`));
    else if (why.outcome === "unknown") found.push(make("p", {}, why.failure || ""));
    for (const name of why.policies || []) {
      const [title, source, place] = orders[name] || [name, "", ""];
      found.push(make("p", {}, make("b", {}, name), `: ${title}${source ? ` [${source}]` : ""}${since(name)}`, place ? make("small", {}, ` ${place}`) : ""));
    }
    for (const [name, title, needs] of why.faults || []) found.push(make("p", {}, make("b", {}, name), `: ${title}, takes away its ${needs.join(" and its ")}`));
    const at = where(row, why);
    if (at) found.push(make("p", {}, "Decided at ", make("code", {}, at), "."));
    if (why.hops) {
      const same = why.from === vantage(row);
      found.push(make("p", {}, `The way of ${why.back ? "the answers to " : ""}${why.to || "its packets"}${why.others ? `, one of ${why.others + 1} connections` : ""}${same && why.phase === phases[phase][0] ? "" : `, as worked out for ${why.from} in ${why.phase}, whose packets fare the same`}:`));
      found.push(make("ol", { class: "pg-hops" }, ...why.hops.map(([node, role, did, rule, , stops]) =>
        make("li", { class: stops ? "pg-stop" : "" }, make("code", {}, node), ` ${role}`, did ? make("b", {}, `: ${did}`) : "", rule ? make("small", {}, rule) : "", stops ? make("span", { class: "pg-hidden" }, " (nothing goes on from here)") : ""))));
    }
    found.push(...list("What the box saw", why.saw));
    if (why.server) found.push(make("p", {}, `The server: ${why.server}.`));
    return found;
  };

  // -- regions ----------------------------------------------------------------------------------------------------------
  const tiles = () => {
    const service = $("pg-service") ? $("pg-service").value : "";
    const shares = new Map();
    for (const [rowAt, columnAt, factAt] of cellsOf(phase)) {
      const [operator, region, , , , weight] = rows[rowAt], column = columns[columnAt][2], outcome = facts[factAt][0];
      if (!region || !measured(outcome) || (service ? column !== service : !data.common.includes(column))) continue;
      for (const name of ["", operator]) {
        const key = JSON.stringify([name, region]);
        if (!shares.has(key)) shares.set(key, new Map());
        const of = shares.get(key);
        const share = of.get(column) || [0, 0];
        of.set(column, [share[0] + weight, share[1] + (through(outcome) ? weight : 0)]);
      }
    }
    if ($("pg-map-phase")) $("pg-map-phase").textContent = phases[phase][0];
    for (const tile of document.querySelectorAll("#map [data-region]")) {
      const of = shares.get(JSON.stringify([tile.dataset.operator, tile.dataset.region]));
      const found = of ? [...of.values()].filter(([all]) => all).map(([all, reached]) => reached / all) : [];
      const share = found.length ? found.reduce((a, b) => a + b) / found.length : null;
      const said = share == null ? "" : `${percent(share)}%`;
      if (tile.tagName === "LI") {
        tile.className = level(share);
        tile.querySelector("b").textContent = said || "·";
      } else {
        tile.setAttribute("class", `pg-area ${level(share)}`);
        tile.firstElementChild.textContent = `${tile.dataset.title}: ${said || "not measured"}`;
      }
    }
  };

  // -- the network -------------------------------------------------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.textContent = text;
    return made;
  };
  const redrawn = (svg) => {
    const wanted = (data.drawings || [])[(data.drawn || [])[phase]];
    if (!svg || !wanted || (svg.drawing || "") === wanted) return svg;
    const made = document.importNode(new DOMParser().parseFromString(wanted, "image/svg+xml").documentElement, true);
    made.drawing = wanted;
    svg.replaceWith(made);
    return made;
  };
  // a name of the drawing from here to there, narrower if need be; or where it was
  const SET = ["x", "text-anchor", "textLength", "lengthAdjust"];
  const aside = (text, ends) => {
    if (!ends) {
      JSON.parse(text.dataset.was).forEach((value, at) => { if (value == null) text.removeAttribute(SET[at]); else text.setAttribute(SET[at], value); });
      text.removeAttribute("data-was");
      return;
    }
    const room = ends[1] - ends[0];
    text.dataset.was = JSON.stringify(SET.map((name) => text.getAttribute(name)));
    text.removeAttribute("textLength");
    text.setAttribute("x", ends[0]);
    text.setAttribute("text-anchor", "start");
    if (text.getComputedTextLength() > room) { text.setAttribute("textLength", room); text.setAttribute("lengthAdjust", "spacingAndGlyphs"); }
  };
  const network = () => {
    const svg = redrawn(document.querySelector("#network svg"));
    for (const old of document.querySelectorAll("#network .pg-made")) old.remove();
    for (const text of document.querySelectorAll("#network text[data-was]")) aside(text, null);
    const stopped = new Map(), bars = new Map();
    for (const [rowAt, , factAt, whyAt] of cellsOf(phase)) {
      const row = rows[rowAt], outcome = facts[factAt][0], why = whys[whyAt];
      if (!row[1]) continue;
      if (measured(outcome)) {
        const bar = bars.get(vantage(row)) || [0, 0];
        bars.set(vantage(row), [bar[0] + 1, bar[1] + (through(outcome) ? 1 : 0)]);
      }
      if (!why || why.outcome !== outcome || (outcome !== "blocked" && outcome !== "throttled")) continue;
      const node = where(row, why);
      if (!node) continue;
      const by = stopped.get(node) || new Map();
      for (const name of why.policies || []) by.set(name, (by.get(name) || 0) + 1);
      by.set("", (by.get("") || 0) + 1);
      stopped.set(node, by);
    }
    if (svg) {
      for (const place of svg.querySelectorAll("[data-vantage]")) {
        const [all, reached] = bars.get(place.dataset.vantage) || [0, 0];
        if (!all) continue;
        const box = place.querySelector("rect"), width = +box.getAttribute("width"), y = +box.getAttribute("y") + +box.getAttribute("height") - 3;
        place.append(draw("rect", { x: box.getAttribute("x"), y, width, height: 3.5, class: "pg-made pg-lost" }));
        place.append(draw("rect", { x: box.getAttribute("x"), y, width: (width * reached) / all, height: 3.5, class: "pg-made pg-reached" }));
      }
      for (const place of svg.querySelectorAll("[data-node]")) {
        const by = stopped.get(place.dataset.node);
        if (!by) continue;
        const box = place.querySelector("rect"), x = +box.getAttribute("x") + +box.getAttribute("width"), y = +box.getAttribute("y");
        const text = `✕ ${by.get("")}`, width = 8 + 6.4 * text.length, flat = +box.getAttribute("height") < 24;
        // in a box with one line of text the mark stands beside the name, in a higher one on its corner
        const left = flat ? x - width - 1 : x - width + 6, top = flat ? y + +box.getAttribute("height") / 2 - 7 : y - 11;
        if (flat) for (const name of place.querySelectorAll("text")) aside(name, [+box.getAttribute("x") + 4, left - 3]);
        place.append(draw("rect", { x: left, y: top, width, height: flat ? 14 : 15, rx: 7, class: "pg-made pg-badge-stop" }));
        place.append(draw("text", { x: left + width / 2, y: top + 11, "text-anchor": "middle", class: "pg-made pg-badge-text" }, text));
      }
    }
    const stops = $("pg-stops");
    stops.replaceChildren();
    const force = Object.entries(orders).filter(([, order]) => order[3].includes(phase));
    stops.append(make("h3", {}, `In force in ${phases[phase][0]}`));
    if (!force.length) { stops.append(make("p", {}, "No order.")); return; }
    stops.append(make("ul", {}, ...force.map(([name, [title]]) => {
      const nodes = [...stopped].filter(([, by]) => by.get(name)).map(([node, by]) => `${node} ${by.get(name)}`);
      const shown = nodes.length > 8 ? [...nodes.slice(0, 8), `${nodes.length - 8} more`] : nodes;
      return make("li", {}, make("b", {}, name), title === name ? "" : `: ${title}`, nodes.length ? make("small", {}, `cells decided at ${shown.join(", ")}`) : make("small", {}, "decided no cell that was measured"));
    })));
  };

  // -- the phase --------------------------------------------------------------------------------------------------------
  const long = (hours) => (!hours ? "" : hours < 1 / 60 ? `${Math.max(1, Math.round(hours * 3600))} s` : hours < 1 ? `${Math.round(hours * 60)} min` : `${Math.round(hours * 10) / 10} h`);
  const read = (at) => [phases[at][0], phases[at][1], phases[at][2], long(phases[at][3])].filter(Boolean).join(" · ");
  const choose = (to) => {
    if (!phases.length) return;
    phase = Math.max(0, Math.min(phases.length - 1, to));
    $("pg-range").value = phase;
    $("pg-range").setAttribute("aria-valuetext", read(phase));
    $("pg-select").value = phase;
    $("pg-before").disabled = phase === 0;
    $("pg-next").disabled = phase === phases.length - 1;
    $("pg-read").textContent = read(phase);
    const hit = document.querySelector(`.pg-hit[data-phase="${phase}"]`), cursor = $("pg-cursor");
    if (hit && cursor) for (const name of ["x", "width"]) cursor.setAttribute(name, hit.getAttribute(name));
    const box = $("pg-timebox"), svg = $("pg-timeline");
    if (hit && box.scrollWidth > box.clientWidth) {
      const scale = svg.clientWidth / svg.viewBox.baseVal.width, left = +hit.getAttribute("x") * scale;
      if (left < box.scrollLeft || left > box.scrollLeft + box.clientWidth * 0.8) box.scrollLeft = left - box.clientWidth / 2;
    }
    for (const line of document.querySelectorAll("[data-row]")) if (line.tagName === "TR") line.classList.toggle("pg-chosen", +line.dataset.row === phase);
    matrix(); tiles(); network();
    address(`#phase=${encodeURIComponent(phases[phase][0])}`);
  };
  const address = (fragment) => {
    try { history.replaceState(null, "", fragment); } catch (error) { /* in a notebook's frame the page has no address */ }
  };
  const fill = () => {
    const options = [...$("pg-select").options];
    const said = ([name, , at]) => `${at.slice(8, 10)} ${"JanFebMarAprMayJunJulAugSepOctNovDec".substr(3 * (+at.slice(5, 7) - 1), 3)} ${at.slice(11, -4)} ${name}`;
    if (options.length !== phases.length || phases.some((each, at) => options[at].textContent !== said(each))) {
      $("pg-select").replaceChildren(...phases.map((each, at) => make("option", { value: `${at}` }, said(each))));
    }
    $("pg-range").max = Math.max(0, phases.length - 1);
    $("pg-bar").hidden = !phases.length;
  };
  fill();
  const picked = (to) => { choose(to); document.dispatchEvent(new CustomEvent("pg-picked")); };
  $("pg-range").addEventListener("input", (event) => picked(+event.target.value));
  $("pg-select").addEventListener("change", (event) => picked(+event.target.value));
  $("pg-before").addEventListener("click", () => picked(phase - 1));
  $("pg-next").addEventListener("click", () => picked(phase + 1));
  document.addEventListener("change", (event) => { if (event.target.id === "pg-service") tiles(); });
  // of what may be drawn anew: heard at the document
  document.addEventListener("scroll", (event) => {
    if (event.target.id !== "pg-timebox") return;
    const svg = $("pg-timeline"), scale = svg.clientWidth / svg.viewBox.baseVal.width;
    $("pg-names").setAttribute("transform", `translate(${event.target.scrollLeft / scale} 0)`);
  }, { capture: true, passive: true });
  const place = (event) => { const at = event.target.dataset && event.target.dataset.phase; return at == null ? -1 : +at; };
  document.addEventListener("click", (event) => { if (place(event) >= 0) picked(place(event)); });
  document.addEventListener("pointermove", (event) => { if (place(event) >= 0 && event.target.closest("#pg-timeline")) $("pg-read").textContent = read(place(event)); });
  document.addEventListener("pointerout", (event) => { if (phases.length && event.target.closest("#pg-timeline")) $("pg-read").textContent = read(phase); });
  document.addEventListener("keydown", (event) => {
    const to = { ArrowRight: phase + 1, ArrowLeft: phase - 1, Home: 0, End: phases.length - 1 }[event.key];
    if (to != null && event.target.id === "pg-timebox" && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); picked(to); }
  });
  const named = (location.hash.match(/^#phase=(.*)$/) || [])[1];
  const wanted = phases.findIndex(([name]) => encodeURIComponent(name) === named);
  const fragment = location.hash;
  choose(wanted >= 0 ? wanted : data.worst);
  if (wanted < 0 && fragment) address(fragment);
  addEventListener("hashchange", () => {
    const to = phases.findIndex(([name]) => location.hash === `#phase=${encodeURIComponent(name)}`);
    if (to >= 0 && to !== phase) picked(to);
  });
  // paper has no triangles to open
  let folded = [];
  addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; for (const each of folded) each.open = true; });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });
  // what the live page works with
  const page = {
    breakable, choose, open, tell, show, make, vantage, phase: () => phase, data: () => data,
    take: (found) => { data = found; ({ phases, rows, columns, facts, whys, orders } = data); fill(); },
    ask: async () => ({}),
  };
  if (live) window.page = page;
  document.documentElement.dataset.ready = "true";
  document.dispatchEvent(new CustomEvent("pg-ready"));
})();
