/* What the pages do beyond forms and links. Each part works on its own, and every page works without
   any of them. No inline handlers, no eval: the content security policy forbids both. */
(() => {
  "use strict";

  const root = document.documentElement;
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const on = (type, selector, handle) =>
    document.addEventListener(type, (event) => {
      const found = event.target.closest?.(selector);
      if (found) handle(event, found);
    });
  root.classList.add("js");

  /* Say something to people who listen to the page. */
  let said = "";
  const say = (text) => {
    if (text && text !== said) $("#live").textContent = text;
    said = text;
  };

  /* --- colours --- */
  on("submit", "[data-theme-form]", (event) => {
    const theme = event.submitter?.value;
    if (!theme) return;
    event.preventDefault();
    root.dataset.bsTheme = theme;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `aen_theme=${theme}; path=/; max-age=31536000; samesite=lax${secure}`;
    const next = $(theme === "dark" ? ".aen-dark-only" : ".aen-light-only", event.target);
    next?.focus();
    say(theme === "dark" ? "Dark colours" : "Light colours");
  });

  /* --- menus --- */
  const closeMenus = (except) => {
    for (const menu of all("details.aen-menu[open]")) if (menu !== except) menu.open = false;
  };
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.aen-menu")));
  on("focusin", "*", (event) => closeMenus(event.target.closest("details.aen-menu")));

  const openSearch = () => {
    $("#top").classList.add("aen-searching");
    $("#search")?.focus();
    $("#search")?.select();
  };
  on("click", "[data-search-open]", openSearch);

  /* --- dialogs --- */
  on("click", "a[data-dialog]", async (event, link) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = $("#dialog");
    try {
      await htmx.ajax("GET", link.href, { target: dialog, swap: "innerHTML" });
    } finally {
      if (dialog.childElementCount) dialog.showModal();
      else location.assign(link.href);
    }
  });
  on("click", "[data-dialog-close]", (event, element) => {
    const dialog = element.closest("dialog");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });
  on("click", "dialog", (event, dialog) => {
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("close", (event) => {
    if (event.target.id === "dialog") event.target.replaceChildren();
  }, true);

  /* --- toasts --- */
  const leave = (toast) => setTimeout(() => {
    if (toast.matches(":hover, :focus-within")) leave(toast);
    else toast.remove();
  }, 6000);
  all("[data-toast]").forEach(leave);
  on("click", "[data-toast-close]", (event, button) => button.closest("[data-toast]").remove());

  /* --- keyboard --- */
  const keysOn = () => localStorage.getItem("aen-keys") !== "off";
  const showKeys = () => { closeMenus(); $("#keys")?.showModal(); };
  on("click", "[data-keys-open]", showKeys);
  const box = $("#keys-on");
  if (box) {
    box.checked = keysOn();
    box.addEventListener("change", () => {
      if (box.checked) localStorage.removeItem("aen-keys");
      else localStorage.setItem("aen-keys", "off");
      markKeys();
    });
  }
  const markKeys = () => { for (const key of all("[data-keys]")) key.hidden = !keysOn(); };
  markKeys();

  let afterG = 0;
  const places = { h: "/", r: "/running/" };
  const single = {
    "/": openSearch,
    "c": () => location.assign("/new/"),
    "g": () => { afterG = Date.now(); },
    "?": showKeys,
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return escape(event);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !keysOn()) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable], dialog[open]")) return;
    if (!$("#search")) return;
    const key = event.key.toLowerCase();
    const go = Date.now() - afterG < 1500 ? places[key] : undefined;
    if (go) { afterG = 0; event.preventDefault(); location.assign(go); }
    else if (single[key]) { event.preventDefault(); single[key](); }
  });
  function escape(event) {
    const menu = $("details.aen-menu[open]");
    if (menu) { menu.open = false; $("summary", menu).focus(); }
    const top = $("#top.aen-searching");
    if (event.target.id === "search") event.target.blur();
    if (top) { top.classList.remove("aen-searching"); $("[data-search-open]")?.focus(); }
  }

  /* --- small helps in forms --- */
  on("click", "[data-reveal]", (event, button) => {
    const field = $(button.dataset.reveal);
    const show = field.type === "password";
    field.type = show ? "text" : "password";
    button.setAttribute("aria-pressed", String(show));
  });
  on("input", "[data-preview]", (event, field) => {
    $(field.dataset.preview).textContent = field.value || "…";
  });
  on("change", "[data-submit-on-change]", (event, field) => field.form.requestSubmit());
  on("click", "[data-copy]", async (event, button) => {
    event.preventDefault();
    const from = $(button.dataset.copy);
    const text = from.childElementCount
      ? [...from.children].map((line) => line.textContent).join("\n")
      : from.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(from);
      return say("Selected. Copy it with the keyboard.");
    }
    const label = $("span", button);
    const before = label.textContent;
    label.textContent = "Copied";
    say("Copied");
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  /* --- choosing a person as one types: each field names its list in aria-controls --- */
  const listOf = (field) => document.getElementById(field.getAttribute("aria-controls"));
  const fieldOf = (list) => $(`[data-combo][aria-controls="${list.id}"]`);
  const optionsOf = (field) => all('[role="option"]', listOf(field));
  const mark = (field, option) => {
    for (const each of optionsOf(field)) each.setAttribute("aria-selected", String(each === option));
    if (option) field.setAttribute("aria-activedescendant", option.id);
    else field.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  };
  const closeOptions = (field) => {
    listOf(field)?.replaceChildren();
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (field, option) => {
    field.value = option.dataset.value;
    closeOptions(field);
    field.focus();
  };
  on("keydown", "[data-combo]", (event, field) => {
    const found = optionsOf(field);
    const at = found.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!found.length) return;
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark(field, found[(at + step + found.length) % found.length]);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      choose(field, found[at]);
    } else if (event.key === "Escape") {
      closeOptions(field);
    }
  });
  on("mousedown", '.aen-options [role="option"]', (event, option) => {
    event.preventDefault();
    choose(fieldOf(option.closest(".aen-options")), option);
  });
  on("focusout", "[data-combo]", (event, field) => setTimeout(() => closeOptions(field), 150));
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!event.target.matches?.(".aen-options")) return;
    const field = fieldOf(event.target);
    const found = optionsOf(field);
    field.setAttribute("aria-expanded", String(found.length > 0));
    if (found.length) mark(field, found[0]);
  });

  /* --- the moving part of a project's page --- */

  /* Make `old` like `fresh` in place: focus, scrolling, selection and what is ticked stay. */
  function morph(old, fresh) {
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
    }
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = counterpart(old, at, child);
      if (!same) { old.insertBefore(child, at); continue; }
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      morph(same, child);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }
  /* What the person set is theirs. */
  const kept = (element, name) =>
    (name === "open" && element.localName === "details") || (name === "checked" && element.id);
  function counterpart(parent, at, child) {
    if (child.id) return [...parent.children].find((each) => each.id === child.id);
    return at && at.nodeType === child.nodeType && at.nodeName === child.nodeName && !at.id ? at : null;
  }

  const log = () => $("#log");
  let following = true;
  document.addEventListener("scroll", (event) => {
    if (event.target.id !== "log") return;
    following = event.target.scrollHeight - event.target.scrollTop - event.target.clientHeight < 24;
    noteFollowing();
  }, true);
  function follow() {
    if (log() && following) log().scrollTop = log().scrollHeight;
    noteFollowing();
  }
  function noteFollowing() {
    const note = $("#log-follow");
    if (note) note.textContent = following ? "following" : "scrolled up";
  }
  document.addEventListener("toggle", (event) => { if (event.target.matches?.(".aen-log")) follow(); }, true);

  /* Seconds go on between two looks at the server. */
  const clocks = new WeakMap();
  setInterval(() => {
    for (const clock of all("[data-elapsed]")) {
      const base = clocks.get(clock);
      const given = clock.dataset.elapsed;
      if (base?.given !== given) clocks.set(clock, { given, at: performance.now() });
      const passed = Number(given) + (performance.now() - clocks.get(clock).at) / 1000;
      clock.textContent = `${passed < 10 ? passed.toFixed(1) : Math.round(passed)} s`;
    }
  }, 100);

  /* A start asked for in this tab opens its app in a tab of its own. It is remembered for the tab's
     session, so that a reload in between, or a start from the home page, changes nothing. */
  const WAITING = "aen-waiting";
  const waiting = () => JSON.parse(sessionStorage.getItem(WAITING) || "{}");
  const setWaiting = (value) => sessionStorage.setItem(WAITING, JSON.stringify(value));
  let openWhenReady = true;
  on("submit", "form[data-start]", (event, form) => {
    setWaiting({ ...waiting(), [`${form.dataset.project} ${form.dataset.start}`]: Date.now() });
    openWhenReady = true;
    following = true;
  });
  on("change", "#open-when-ready", (event, check) => { openWhenReady = check.checked; });

  function openReady(workspace) {
    const asked = waiting();
    for (const tile of all("[data-app]", workspace)) {
      const key = `${workspace.dataset.project} ${tile.dataset.app}`;
      if (!asked[key] || !["running", "failed", "stopped"].includes(tile.dataset.state)) continue;
      const fresh = Date.now() - asked[key] < 600000;
      delete asked[key];
      if (tile.dataset.state === "running" && fresh && openWhenReady) openApp(tile);
    }
    setWaiting(asked);
  }
  function openApp(tile) {
    const tab = window.open(tile.dataset.url, `aen-${tile.dataset.id}`);
    if (tab) tab.opener = null;
    else {
      /* The browser holds pop-ups back: the panel's button does it with one click. */
      const button = $("#open-ready");
      (button?.href === tile.dataset.url ? button : $(`#act-${tile.dataset.app}-open`))?.focus();
      said = "";
      say(`${tile.dataset.title} is ready. Open it with the button.`);
    }
  }

  function looked() {
    const workspace = $("#workspace");
    const change = $("#change");
    if (change) { say(change.dataset.say); follow(); }
    if (!workspace) return;
    const check = $("#open-when-ready");
    if (check) check.checked = openWhenReady;
    openReady(workspace);
    say(workspace.dataset.say);
    follow();
  }

  if (window.htmx) {
    htmx.defineExtension("aen-morph", {
      isInlineSwap: (style) => style === "morph",
      handleSwap: (style, target, fragment) => {
        if (style !== "morph") return false;
        const fresh = fragment.querySelector(`#${target.id}`);
        if (!fresh) return [];
        const focused = target.contains(document.activeElement) ? document.activeElement : null;
        const tile = focused?.closest("[data-app]");
        const id = focused?.id;
        morph(target, fresh);
        if (focused && !document.contains(focused)) (id && document.getElementById(id) || tile)?.focus();
        return [target];
      },
    });
    document.addEventListener("htmx:afterSettle", (event) => {
      if (["workspace", "change"].includes(event.target.id)) looked();
    });
    /* A server that is being restarted is no event for the person: the page stays and tries again. */
    let silent = 0;
    const contact = (there) => {
      silent = there ? 0 : silent || Date.now();
      const note = $("#offline");
      if (note) note.hidden = !silent || Date.now() - silent < 2000;
    };
    for (const type of ["sendError", "timeout"]) document.addEventListener(`htmx:${type}`, () => contact(false));
    document.addEventListener("htmx:afterRequest", (event) => {
      const status = event.detail.xhr?.status || 0;
      if (status) contact(status < 500);
    });
    /* A refusal of a form in the workspace has a page of its own: show it there. */
    document.addEventListener("htmx:responseError", (event) => {
      const status = event.detail.xhr.status;
      if (status < 500 && event.detail.requestConfig.verb === "get" && ["workspace", "change"].includes(event.target.id)) {
        location.reload();
      } else if (event.detail.requestConfig.verb === "post") {
        say("The server refused this. The page is loaded again.");
        location.reload();
      }
    });
  }

  said = ($("#workspace") || $("#change"))?.dataset.say || "";
  if ($("#change")) follow();
  if ($("#workspace")) { openReady($("#workspace")); follow(); }
})();
