"use strict";
// A subscriber's view: its description, its packets' path, a page as its browser shows it, a terminal on its machine.
(() => {
  const $ = (id) => document.getElementById(id);
  const SYMBOLS = { ok: "✓", throttled: "~", blocked: "✕", down: "▽", error: "!", unknown: "?" };
  const meet = async (vantage, from) => {
    const { breakable, make } = page, dialog = $("pg-dialog");
    let who;
    try {
      const answer = await fetch(`subscriber?${new URLSearchParams({ vantage })}`);
      who = await answer.json();
    } catch (error) { who = { error: "The page's server does not answer." }; }
    if (who.error) { page.show(vantage, [make("p", { class: "pg-warn" }, who.error)], () => { if (from && from.isConnected) from.focus(); }); return; }
    const close = make("button", { type: "button", class: "pg-close" }, "Close");
    close.addEventListener("click", () => dialog.close());
    const facts = make("dl", {});
    const tell = (name, ...content) => facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, ...content)));
    tell("Who", `${who.class} subscribers of ${who.operator}, ${who.access}${who.millions ? `, ${who.millions} million` : ""}`);
    tell("Addresses", who.addresses.join(", "));
    tell("Resolver", make("code", {}, who.resolver.address), ` (${who.resolver.node})`);
    dialog.replaceChildren(close, make("h2", { id: "pg-dialog-title" }, ...breakable(vantage)), facts, make("h3", {}, "What its services do"), services(vantage), ...(page.steers() ? tools(vantage) : []));
    dialog.onclose = () => { hangUp(); if (from && from.isConnected) from.focus(); };
    if (!dialog.open) dialog.showModal();
  };

  const services = (vantage) => {
    const { make } = page, { rows, columns, facts, cells } = page.data();
    const row = rows.findIndex((each) => page.vantage(each) === vantage);
    const flat = (cells[page.phase()] || {})[row] || [], list = [];
    for (let at = 0; at < flat.length; at += 5) {
      const [target, family] = columns[flat[at]], fact = facts[flat[at + 1]];
      list.push(make("li", {}, make("span", { class: `pg-cell pg-${fact[0]}` }, SYMBOLS[fact[0]]), ` ${target}${family === "ipv6" ? " over IPv6" : ""}: ${fact[0]}${fact[1] ? ` (${fact[1]})` : ""}${fact[6] != null ? `, ${Math.round(fact[6])} ${fact[7]}` : ""}`));
    }
    return list.length ? make("ul", { class: "pg-plain" }, ...list) : make("p", { class: "pg-soft" }, "Not measured yet.");
  };

  const tools = (vantage) => {
    const { make } = page;
    const asking = (label, value, button, then) => {
      const input = make("input", { type: "text", value, "aria-label": label, spellcheck: "false", autocapitalize: "off" });
      const go = make("button", { type: "submit" }, button), said = make("div", { role: "status" });
      const form = make("form", { class: "live-ask" }, make("label", {}, label, input), go);
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        go.disabled = true;
        said.replaceChildren(make("p", { class: "pg-soft" }, "Waiting for an answer …"));
        try { said.replaceChildren(...(await then(input.value))); } finally { go.disabled = false; }
      });
      return [form, said];
    };
    const route = asking("The way to", "8.8.8.8", "Trace", async (target) => {
      const found = await page.post("trace", { vantage, target });
      if (found.error) return [make("p", { class: "pg-warn" }, found.error)];
      return [make("ol", { class: "live-hops" }, ...found.hops.map(([, address, node, seen]) => make("li", {}, make("code", {}, address || "*"), ` ${node} ${seen}`)))];
    });
    const load = async (url, anyway) => {
      const found = await page.post("fetch", { vantage, url, anyway });
      if (found.error) return [make("p", { class: "pg-warn" }, found.error)];
      return browser(found, (again) => load(found.url, again));
    };
    const terminal = make("div", { class: "live-terminal" });
    const enter = make("button", { type: "button" }, "Terminal on this machine");
    enter.addEventListener("click", () => shell(vantage, terminal, enter));
    return [
      make("h3", {}, "The way of its packets"), ...route,
      make("h3", {}, "Its browser"), ...asking("Address", "https://www.bbc.com/", "Open", (url) => load(url, false)),
      make("h3", {}, "Its machine"), enter, make("p", { class: "pg-soft pg-small" }, "A shell: what is typed goes to it, Tab and Escape too. “exit” or Ctrl-D ends it."), terminal,
    ];
  };

  // A page as text and links without scripts, in a fully sandboxed frame.
  const browser = (found, again) => {
    const { make } = page;
    const https = found.url.startsWith("https:"), nothing = found.failed && !found.page && !found.warning;
    const said = found.warning ? "⚠ Not secure" : nothing ? "Not reached" : !https ? "Not encrypted" : found.trusted ? "Secure" : "⚠ Not trusted";
    const bar = make("p", { class: "live-address" }, make("span", { class: said === "Secure" ? "live-lock" : "live-unsafe" }, said), " ", make("code", {}, found.url));
    if (found.warning) {
      const anyway = make("button", { type: "button" }, "Go on all the same"), place = make("div", {});
      anyway.addEventListener("click", async () => { anyway.disabled = true; place.replaceChildren(...(await again(true))); });
      return [bar, make("div", { class: "pg-warn live-warning" }, make("b", {}, found.warning), make("ul", {}, ...found.certificate.map((line) => make("li", {}, line))), make("p", {}, found.failed), anyway), place];
    }
    if (nothing) return [bar, make("div", { class: "pg-warn live-warning" }, make("b", {}, "This site can’t be reached"), make("p", {}, found.failed))];
    const frame = make("iframe", { sandbox: "", title: `The page ${found.url}`, class: "live-frame", referrerpolicy: "no-referrer" });
    frame.srcdoc = found.page;
    return [bar, make("p", { class: "pg-soft pg-small" }, `status ${found.status} from ${found.address || "nowhere"} in ${found.seconds} s${found.failed ? `; ${found.failed}` : ""}`), frame];
  };

  let line = null, screen = null;
  const hangUp = () => { if (line) line.close(); if (screen) screen.dispose(); line = screen = null; };
  const shell = (node, place, button) => {
    hangUp();
    button.disabled = true;
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    screen = new Terminal({ fontSize: 13, screenReaderMode: true, theme: { background: colour("--paper"), foreground: colour("--ink"), cursor: colour("--accent") } });
    const fit = new FitAddon.FitAddon();
    screen.loadAddon(fit);
    screen.open(place);
    fit.fit();
    line = new WebSocket(`${location.href.replace(/^http/, "ws").replace(/[#?].*$/, "")}terminal?${new URLSearchParams({ node })}`);
    line.binaryType = "arraybuffer";
    const mine = line, shown = screen;
    const say = (what) => { if (mine.readyState === WebSocket.OPEN) mine.send(JSON.stringify(what)); };
    line.onopen = () => { say({ size: [shown.rows, shown.cols] }); shown.focus(); place.scrollIntoView({ block: "nearest" }); };
    line.onmessage = (event) => shown.write(new Uint8Array(event.data));
    line.onclose = () => {
      if (line !== mine) return;
      shown.write("\r\n[the shell has ended]\r\n");
      const held = place.contains(document.activeElement);
      button.disabled = false;
      line = null;
      if (held) button.focus({ preventScroll: true }); // otherwise no key could leave the terminal
    };
    screen.onData((text) => say({ type: text }));
    screen.onResize(({ rows, cols }) => say({ size: [rows, cols] }));
  };

  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-who], #network [data-vantage]");
    if (at && window.page && page.is() === "country") meet(at.dataset.who || at.dataset.vantage, at);
  });
})();
