"use strict";
// Feeds the report's page (page.js) with the server's events: parts of the page, and the data behind them.
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const steers = root.dataset.steers === "true";
  const board = { data: {}, cells: [] };
  const STILL_MS = 150;
  let state = {}, follows = true, playing = 0;
  const start = () => {
    const { make } = page;

    // -- parts that are drawn anew --------------------------------------------------------------------------------------
    const FOCUSABLE = "a, button, select, input, summary, [tabindex]";
    const replace = (place, html) => {
      const held = place.contains(document.activeElement) ? [...place.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement) : -1;
      const boxes = [...place.querySelectorAll(".pg-scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
      const open = [...place.querySelectorAll("details")].map((each) => each.open);
      const service = place.querySelector("#pg-service"), chosen = service ? service.value : null;
      const heading = place.querySelector(":scope > h2");
      const cells = place.querySelector("#pg-cells"); // drawn by page.js: kept, and with them the focus
      place.innerHTML = html;
      if (heading) place.prepend(heading);
      const empty = place.querySelector("#pg-cells");
      if (cells && empty) empty.replaceWith(cells);
      place.querySelectorAll(".pg-scroll").forEach((box, at) => { if (boxes[at]) [box.scrollLeft, box.scrollTop] = boxes[at]; });
      place.querySelectorAll("details").forEach((each, at) => { each.open = open[at] || false; });
      if (chosen !== null && $("pg-service")) $("pg-service").value = chosen;
      const again = held >= 0 && place.querySelectorAll(FOCUSABLE)[held];
      if (again) again.focus({ preventScroll: true });
    };
    const partOf = (name) => (name === "top" ? document.querySelector("body > header") : document.querySelector(`main > section#${CSS.escape(name)}`));

    let newest = 0;
    const apply = ({ version, set, gone }) => {
      let drawn = false;
      if (version < newest) { $("live-log").replaceChildren(); listed = null; } // the server was restarted
      newest = version;
      for (const name of gone) {
        if (name.startsWith("view/data/cells/")) { board.cells.length = Math.min(board.cells.length, +name.slice(16)); drawn = true; }
      }
      for (const [name, value] of Object.entries(set)) {
        if (name === "state") { state = value; told(); }
        else if (name.startsWith("log/")) continue;
        else if (name.startsWith("view/data/cells/")) { board.cells[+name.slice(16)] = value; drawn = true; }
        else if (name.startsWith("view/data/")) { board.data[name.slice(10)] = value; drawn = true; }
        else if (name.startsWith("view/")) { const place = partOf(name.slice(5)); if (place) { replace(place, value); place.hidden = value === ""; } drawn = true; }
      }
      log(Object.entries(set).filter(([name]) => name.startsWith("log/")));
      if (!drawn) return;
      for (const link of document.querySelectorAll('body > header nav a[href^="#"]')) link.parentElement.hidden = document.querySelector(link.getAttribute("href")).hidden;
      const before = page.data().phases.length ? page.data().phases[page.phase()][0] : null;
      page.take({ ...board.data, cells: board.cells, extracts: [] });
      const phases = page.data().phases;
      if (!phases.length) return;
      const same = phases.findIndex(([name]) => name === before);
      page.choose(follows && state.kind !== "replay" ? phases.length - 1 : same >= 0 ? same : page.data().worst);
      shown();
    };

    // -- what is going on -------------------------------------------------------------------------------------------------
    const standing = () => state.kind === "country" ? (state.status === "ended" ? "The country has ended." : state.doing ? `${state.doing} …` : `${state.whole ? `As in phase ${state.phase}` : state.phase ? `Of phase ${state.phase}, changed by hand` : "In no phase of the scenario"}; probes repeat.`)
      : state.kind === "replay" ? (state.status === "verified" ? "Worked out by the model, not measured." : `A run that is over: ${state.status}.`)
      : state.status === "running" ? state.doing || "running" : `The run has ended: ${state.status}.`;
    const told = () => {
      $("live-state").textContent = standing();
      $("live-state").classList.remove("live-error");
      $("live-replay").hidden = state.kind !== "replay";
      document.title = `${state.title || "shutdownlab"}: live`;
      root.dataset.kind = state.kind;
      root.dataset.busy = state.doing && state.kind === "country" ? "true" : "false";
      controls();
    };
    // a ring of places: a new line replaces the oldest one, so the list does not grow
    const log = (lines) => {
      const past = state.kind === "replay"; // then all lines belong to the phase that is shown
      for (const [place, { at, kind, text, phase, cell }] of lines.sort(([, a], [, b]) => a.n - b.n)) {
        const old = document.querySelector(`#live-log > [data-place="${place}"]`);
        if (old) old.remove();
        $("live-log").prepend(make("li", { class: `live-${kind}`, "data-place": place }, make("code", {}, at), " ",
          phase && !cell && !past ? make("button", { type: "button", class: "live-jump", "data-jump": phase }, phase) : null, phase && !cell && !past ? " " : null,
          cell ? make("button", { type: "button", class: "live-why", "data-cell": JSON.stringify(cell), title: `Why? ${cell[2]} from ${cell[1]}` }, text) : text));
      }
    };
    // a finished run's list belongs to the phase that is shown; it is requested once that has not changed for a moment
    let listed = null, asking = 0;
    const shown = () => {
      const name = page.data().phases[page.phase()][0];
      root.dataset.shown = name;
      clearTimeout(asking);
      if (state.kind === "replay" && name !== listed) asking = setTimeout(() => list(name), STILL_MS);
    };
    const list = async (name) => {
      let lines;
      try { lines = await (await fetch(`happened?${new URLSearchParams({ phase: name })}`)).json(); } catch (error) { return; }
      if (name !== page.data().phases[page.phase()][0]) return;
      listed = name;
      $("live-of").textContent = `In ${name}, at the run's own time of day (UTC):`;
      $("live-log").replaceChildren();
      log(lines.map((line, at) => [`log/${at}`, { n: at, ...line }]));
      root.dataset.listed = name;
    };
    for (const box of document.querySelectorAll("#live-kinds input")) {
      box.addEventListener("change", () => { $("live-log").dataset.without = [...document.querySelectorAll("#live-kinds input:not(:checked)")].map((each) => each.value).join(" "); });
    }
    document.addEventListener("click", async (event) => {
      const asked = event.target.dataset && event.target.dataset.cell;
      if (!asked) return;
      const [moment, vantage, target, family] = JSON.parse(asked), { phases, rows, columns } = page.data();
      const at = phases.findIndex(([name]) => name === moment);
      if (at >= 0) { follows = at === phases.length - 1; follow(); page.choose(at); }
      const row = rows.findIndex((each) => page.vantage(each) === vantage), column = columns.findIndex(([name, of]) => name === target && of === family);
      const box = at >= 0 && document.querySelector(`#pg-cells td[data-row="${row}"][data-column="${column}"]`);
      if (box) await page.open(box); else await page.tell(moment, vantage, target, family, event.target.textContent);
      const from = event.target.closest("li").dataset.place;
      $("pg-dialog").onclose = () => { const again = document.querySelector(`#live-log > [data-place="${from}"] button`); if (again) again.focus(); };
    });
    document.addEventListener("click", (event) => {
      const name = event.target.dataset && event.target.dataset.jump;
      const at = name ? page.data().phases.findIndex(([each]) => each === name) : -1;
      if (at < 0) return;
      follows = at === page.data().phases.length - 1;
      follow();
      page.choose(at);
      document.querySelector("#cells").scrollIntoView();
    });
    const follow = () => { $("live-follow").hidden = follows || state.kind === "replay"; };
    document.addEventListener("pg-picked", () => { follows = page.phase() === page.data().phases.length - 1; follow(); stop(); shown(); });
    $("live-follow").addEventListener("click", () => { follows = true; follow(); page.choose(page.data().phases.length - 1); $("pg-select").focus(); });

    // -- looking back: the phases one after another, each as long as it lasted ----------------------------------------------
    const TICK = 100; // milliseconds; the speed may be changed within a phase that lasts for days
    let elapsed = 0, last = 0; // hours of the phase that is shown; when it was looked at
    const passed = (hours) => { $("live-passed").textContent = `${hours < 1 ? `${Math.round(60 * elapsed)} of ${Math.round(60 * hours)} min` : `${Math.floor(elapsed)} of ${Math.round(hours)} h`}`; };
    const stop = () => { clearInterval(playing); playing = 0; elapsed = 0; $("live-passed").textContent = ""; $("live-play").textContent = "▶ Replay"; root.dataset.playing = "false"; };
    const tick = () => {
      const { phases } = page.data(), at = page.phase();
      if (at >= phases.length - 1) { stop(); return; }
      const hours = phases[at][3] || 1, now = Date.now();
      elapsed += (+$("live-speed").value * (now - last)) / 1000;
      last = now;
      if (elapsed < hours) { passed(hours); return; }
      elapsed = 0;
      page.choose(at + 1);
      shown();
    };
    $("live-play").addEventListener("click", () => {
      if (playing) { stop(); return; }
      if (page.phase() >= page.data().phases.length - 1) page.choose(0);
      $("live-play").textContent = "❚❚ Pause";
      root.dataset.playing = "true";
      shown();
      last = Date.now();
      playing = setInterval(tick, TICK);
    });

    // -- orders ---------------------------------------------------------------------------------------------------------------
    const order = async (what) => {
      const answer = await page.post("order", what);
      if (!answer.error) return;
      $("live-state").textContent = answer.error;
      $("live-state").classList.add("live-error");
    };
    let drawnFor = "";
    const controls = () => {
      const box = $("steer-controls");
      $("steer").hidden = state.kind !== "country";
      if (state.kind !== "country") return;
      if (!state.phases) { for (const button of box.querySelectorAll("button")) button.disabled = true; return; } // it has ended
      const now = JSON.stringify([state.phases, state.policies, state.faults]);
      if (drawnFor !== now) { drawnFor = now; draw(box); }
      for (const button of box.querySelectorAll("button[data-do]")) button.disabled = !steers || state.doing !== "" || (button.dataset.do === "undo" && !state.undo);
      for (const button of box.querySelectorAll('button[data-do="phase"]')) button.setAttribute("aria-current", state.whole && button.dataset.name === state.phase ? "step" : "false");
    };
    const draw = (box) => {
      const held = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const group = (title, ...content) => make("fieldset", {}, make("legend", {}, title), ...content);
      const button = (verb, name, text, title) => make("button", { type: "button", "data-do": verb, "data-name": name, "data-key": `${verb === "stop" ? "start" : verb === "mend" ? "throw" : verb} ${name}`, title }, text);
      const switches = (list, on, off, mark) => list.map(([name, title, is]) => {
        const made = button(is ? off : on, name, `${is ? mark : "○"} ${name}`, title);
        made.setAttribute("aria-pressed", is ? "true" : "false");
        made.setAttribute("aria-label", `${name}: ${title}`);
        return made;
      });
      box.replaceChildren(
        make("p", { class: "pg-soft" }, state.command),
        group("Phase", make("div", { class: "live-buttons" }, ...state.phases.map(([name, title]) => button("phase", name, name, title)))),
        group("Policies in force", make("div", { class: "live-buttons" }, ...switches(state.policies, "start", "stop", "●"))),
        ...(state.faults.length ? [group("Faults", make("div", { class: "live-buttons" }, ...switches(state.faults, "throw", "mend", "▽")))] : []),
        make("div", { class: "live-buttons" }, button("undo", "", "↶ Undo the last order")),
      );
      const again = held && [...box.querySelectorAll("button")].find((each) => each.dataset.key === held);
      if (again) again.focus({ preventScroll: true });
    };
    $("steer-controls").addEventListener("click", (event) => {
      const button = event.target.closest("button[data-do]");
      if (button) order({ do: button.dataset.do, name: button.dataset.name || "" });
    });

    // -- the server -------------------------------------------------------------------------------------------------------------
    page.ask = async (phase, vantage, target, family) => {
      try { return await (await fetch(`cell?${new URLSearchParams({ phase, vantage, target, family })}`)).json(); } catch (error) { return {}; }
    };
    page.post = async (where, what) => {
      try {
        const answer = await fetch(where, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(what) });
        return await answer.json();
      } catch (error) { return { error: "the page's server does not answer" }; }
    };
    page.steers = () => steers && state.kind === "country";
    page.is = () => state.kind;
    const SILENCE = 40000; // milliseconds; an idle server says every 15 s that it is there
    let events, heard;
    const gone = (before) => { root.dataset.connected = "false"; $("live-state").textContent = `${before}The page's server is gone; what was seen stays.`; };
    const hear = () => {
      heard = Date.now();
      if (root.dataset.connected === "false") { root.dataset.connected = "true"; told(); } // there may be no change to receive
      root.dataset.connected = "true";
    };
    const listen = () => {
      heard = Date.now();
      events = new EventSource("events");
      events.onopen = hear;
      events.onmessage = (event) => { hear(); apply(JSON.parse(event.data)); };
      events.onerror = () => gone("");
      events.addEventListener("alive", hear);
      events.addEventListener("over", () => { events.close(); gone(["running", undefined].includes(state.status) ? "" : `${standing()} `); });
    };
    listen();
    setInterval(() => { // of a network that drops what is sent, the browser itself learns nothing for a quarter of an hour
      if (Date.now() - heard > SILENCE && events.readyState !== 2) { events.close(); gone(""); listen(); }
    }, 5000);
  };
  if (window.page) start(); else document.addEventListener("pg-ready", start);
})();
