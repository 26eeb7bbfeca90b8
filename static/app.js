// What every page needs: sending forms without losing what was typed, dialogs, keys, theme, small details.
// Loaded after newer.js; weights.js and live.js use `sluice`. No dependency but htmx, no inline handler, no eval.
'use strict';

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

const sluice = {
  /** What is being sent: the pressed button, or the form. */
  sending: null,

  /** A sentence of #texts, in the page's language, with {name} filled in. */
  say(key, values = {}) {
    return ($('#texts').dataset[key] || '').replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
  },

  announce(text) {
    const at = $('#announcer');
    at.textContent = '';
    requestAnimationFrame(() => { at.textContent = text; });
  },

  cookie(name, value) {
    if (value === undefined) return (document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]*)`)) || [])[1];
    document.cookie = `${name}=${value}; Path=/; Max-Age=31536000; SameSite=Lax`;
  },

  csrf: () => $('meta[name=csrf]')?.content || '',

  /** A stretch of time in its largest unit, like views::time::span. */
  span(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const [unit, n] = s < 60 ? ['s', s] : s < 3600 ? ['min', Math.floor(s / 60)] : s < 86400 ? ['h', Math.floor(s / 3600)] : ['d', Math.floor(s / 86400)];
    return sluice.say(unit, { n });
  },

  /** Relative times are rendered by the server and kept fresh here. */
  refreshTimes(now = Date.now() + (sluice.skew || 0)) {
    for (const el of $$('time[data-ago]')) {
      const past = now - Date.parse(el.dateTime);
      if (Number.isNaN(past)) continue;
      const text = past < 10000 ? sluice.say('now') : sluice.say('ago', { span: sluice.span(past) });
      if (el.textContent !== text) el.textContent = text;
    }
  },

  /** Shows a whole page that was fetched: main, title, toast and token are taken from it, and the fields that were changed
      since `before` keep their newer values. False when it is no page of ours. */
  adopt(html, url, history_, before) {
    const page = new DOMParser().parseFromString(html, 'text/html');
    const main = $('main', page);
    if (!main || !$('#texts', page)) return false;
    if (url) {
      history.replaceState({ htmx: true }, '');
      history[history_ === 'push' ? 'pushState' : 'replaceState']({ htmx: true }, '', url);
    }
    const typed = before ? newer.since(before) : [];
    if ($('#dialog').open) $('#dialog').close();
    document.title = page.title;
    document.body.className = page.body.className;
    // A page that follows by itself does not take away the last message.
    const quiet = !url && !$('#toasts .toast', page) && $('#toasts .toast[role=status]');
    if (quiet) $('#more')?.remove();
    for (const selector of quiet ? ['main'] : ['main', '#toasts']) $(selector).replaceWith(document.adoptNode($(selector, page)));
    if ($('meta[name=csrf]', page)) $('meta[name=csrf]').content = $('meta[name=csrf]', page).content;
    const kept = newer.put(typed);
    htmx.process($('main'));
    document.dispatchEvent(new Event('sluice:page'));
    sluice.keep(kept);
    return true;
  },

  /** True when an answer lacks a field that was changed since; the draft that it names is taken over. */
  misses(html, before) {
    const page = new DOMParser().parseFromString(html, 'text/html'), marks = $('#draft-marks', page);
    const missing = newer.since(before).some(({ key }) => key.startsWith('#') && !page.getElementById(key.slice(1)));
    if (missing && marks && $('#draft-marks')) $('#draft-marks').replaceWith(document.adoptNode(marks));
    return missing;
  },

  /** Newer values are in the fields of an answer: each form is evaluated again as it is now. */
  keep(fields) {
    for (const form of new Set(fields.map(el => el.form))) {
      form?.dispatchEvent(new CustomEvent('sluice:kept', { bubbles: true, detail: fields.filter(el => el.form === form) }));
    }
  },

  /** A refusal of what a dialog asked for stays in the dialog: the question once more, or a sentence above it. */
  askAgain(dialog, form, html, before) {
    const typed = newer.since(before, dialog), focused = newer.focus();
    const holder = document.createElement('template');
    holder.innerHTML = html;
    const again = $('form', holder.content);
    if (again) dialog.replaceChildren(holder.content); else $('.pad', form).prepend(holder.content);
    newer.put(typed);
    htmx.process(dialog);
    if (focused && focused.key !== before.at && newer.refocus(focused)) return;
    const at = $('[role=alert], [aria-invalid=true]', dialog) || $('h2', dialog);
    if (!at.matches('input, textarea, select')) at.tabIndex = -1;
    at.focus();
  },

  /** The session is over: keeps what was typed in this tab and asks for the person again. */
  signIn(form) {
    if (form && (form.id !== 'weights' || sluice.dirty())) {
      const kept = [...new FormData(form)].filter(([name]) => !['csrf', 'request_id', 'preview_id', 'base_revision', 'ack'].includes(name));
      sessionStorage.setItem('draft:' + location.pathname, JSON.stringify(kept));
    }
    location.assign('/login?ended=1&next=' + encodeURIComponent(location.pathname + location.search));
  },
};

// ---- forms that write: sent by fetch, so that a lost connection or a refusal never costs the typed text ----

/** Nothing that was typed is left for whoever signs in next in this tab. */
document.addEventListener('submit', event => {
  if (event.target.getAttribute('action') === '/logout') sessionStorage.clear();
}, true);

/** Presses that came while something was being sent: each is made as soon as the answer is there. */
const presses = [];

document.addEventListener('submit', async event => {
  const form = event.target, button = event.submitter;
  if (!form.matches('form[data-send]') || event.defaultPrevented || button?.formMethod === 'dialog') return;
  event.preventDefault();
  if (sluice.sending) {
    // The same button again is a double click, except where each press adds something.
    const again = button === sluice.sending && !button.hasAttribute('data-again');
    if (button && !again) presses.push(newer.mark(button));
    return;
  }
  if (button?.getAttribute('aria-disabled') === 'true') return;
  sluice.sending = button || form;
  button?.setAttribute('aria-disabled', 'true');
  const dialog = form.closest('#dialog');
  const action = button?.getAttribute('formaction') || form.getAttribute('action');
  const lost = () => {
    presses.length = 0;
    $$('.lost').forEach(el => el.remove());
    $$('#pending .busy').forEach(el => { el.hidden = true; });
    const note = $('#t-lost').content.firstElementChild.cloneNode(true);
    (button?.closest('.acts, footer') || form).before(note);
    note.focus();
  };
  try {
    await asking.get(form); // its answer names the save that this one stands on
    const before = newer.take();
    const answer = await fetch(action, {
      method: 'POST', body: new URLSearchParams(new FormData(form, button)),
      headers: { 'X-CSRF-Token': sluice.csrf(), 'X-Sluice-Send': '1', Accept: 'text/html', ...dialog && { 'HX-Request': 'true' } }, signal: AbortSignal.timeout(40000),
    });
    const text = await answer.text();
    if (answer.status === 401 || new URL(answer.url).pathname === '/login') return sluice.signIn(form);
    await newer.still();
    if (button?.matches('#reshape, #use-template') && sluice.misses(text, before)) { // the form was changed where the answer has other fields
      presses.unshift(newer.mark($('#reshape')));
      return;
    }
    if (dialog && !answer.redirected) return sluice.askAgain(dialog, form, text, before);
    if (answer.redirected && form.id === 'weights') sluice.forgetReason(form); // it is in the history now
    const twin = form.hasAttribute('data-twin') && !answer.redirected;
    const url = answer.redirected ? answer.url : twin ? action : null;
    const focused = newer.focus(), typing = focused && (focused.key !== before.at || newer.since(before).some(one => one.key === focused.key));
    if (!sluice.adopt(text, url, twin ? 'push' : 'replace', before)) return lost();
    const at = !(typing && newer.refocus(focused)) && ((button?.dataset.focus && $(button.dataset.focus)) || $('main [role=alert], main [aria-invalid=true]') || $('main h1'));
    if (at) {
      if (!at.matches('input, textarea, select, button, a')) at.tabIndex = -1;
      at.focus();
    }
    const toast = $('#toasts .toast > span');
    if (toast) sluice.announce(toast.textContent);
  } catch {
    lost();
  } finally {
    sluice.sending = null;
    if (button?.isConnected) button.removeAttribute('aria-disabled');
    const next = presses.length && newer.same(presses.shift());
    if (next?.form) next.form.requestSubmit(next); else presses.length = 0;
  }
});

// ---- lean addresses: a filter that is empty is not sent, whether htmx sends the form or the browser itself ----

document.addEventListener('formdata', event => {
  if ((event.target.getAttribute('method') ?? 'get') === 'get') for (const [name, value] of [...event.formData]) if (value === '') event.formData.delete(name);
});

// ---- htmx: token, sessions that ended ----

/** Requests of htmx that a form waits for, and the newest one for each part of the page. */
const asking = new Map(), newest = new Map();
const partOf = ctx => ctx.target?.id || ctx.target;

document.addEventListener('htmx:before:request', event => {
  const { ctx } = event.detail, source = ctx.sourceElement;
  if (!source.isConnected) return event.preventDefault(); // the second half of a double click
  if (source.matches('form') && sluice.sending && (source === sluice.sending || source === sluice.sending.form)) return event.preventDefault();
  if (ctx.target?.id === 'rules-card' && asking.has('rules-card')) { // each press edits the list that the one before it left
    event.preventDefault();
    return edits.push(newer.mark(source));
  }
  ctx.before = newer.take();
  newest.set(partOf(ctx), ctx);
  const key = source.matches('form') ? source : partOf(ctx);
  let ended;
  asking.set(key, Object.assign(new Promise(done => { ended = done; }), { ctx }));
  ctx.ended = () => { if (asking.get(key)?.ctx === ctx) asking.delete(key); ended(); };
});
document.addEventListener('htmx:finally:request', event => {
  const { ctx } = event.detail;
  if (!ctx.ended) return;
  ctx.ended();
  if (ctx.target?.id === 'rules-card' && edits.length) newer.same(edits.shift())?.click();
});
const edits = [];

document.addEventListener('htmx:before:swap', event => {
  const { ctx } = event.detail, now = newest.get(partOf(ctx));
  if (now && now !== ctx) return event.preventDefault(); // an answer to an older request
  if (ctx.target?.id && !ctx.target.isConnected) ctx.target = document.getElementById(ctx.target.id); // an earlier answer replaced it
  ctx.focused = newer.focus();
  ctx.typed = ctx.before ? newer.since(ctx.before) : []; // also what an answer replaces beside its target
});
document.addEventListener('htmx:after:swap', event => {
  const { ctx } = event.detail;
  // What is typed between the two swaps stays: only a field that was replaced takes its value from the old one.
  const lost = (ctx.typed ?? []).filter(one => !one.el.isConnected);
  if (lost.length) sluice.keep(newer.put(lost));
  if (ctx.focused && !ctx.focused.el.isConnected) newer.refocus(ctx.focused);
});

document.addEventListener('htmx:config:request', event => {
  event.detail.ctx.request.headers['X-CSRF-Token'] = sluice.csrf();
});
document.addEventListener('htmx:before:response', event => {
  const { response, sourceElement } = event.detail.ctx;
  // The form is being sent: a check that was asked for before would show an older state over the answer.
  if (sluice.sending && sourceElement.id === 'weights') return event.preventDefault();
  if (response.status === 401 || new URL(response.raw.url, location.href).pathname === '/login') {
    event.preventDefault();
    sluice.signIn(sourceElement.closest('form') || $('#weights'));
  }
});
document.addEventListener('announce', event => sluice.announce(event.detail.value));

// ---- dialogs: the server renders them (their address is also a page); this opens and closes ----

document.addEventListener('htmx:after:swap', event => {
  const dialog = $('#dialog');
  if (event.detail.ctx.target === dialog && dialog.firstElementChild && !dialog.open) {
    const title = $('h1, h2', dialog);
    if (title?.id) dialog.setAttribute('aria-labelledby', title.id);
    dialog.showModal();
    showBegin(dialog, title);
  }
});

/** A question begins with its title: where the dialog is too tall to show that and the button that would have the focus,
    the title has it. */
function showBegin(dialog, title) {
  const focused = document.activeElement;
  dialog.scrollTop = 0;
  if (!title || !dialog.contains(focused)) return;
  if (focused.getBoundingClientRect().bottom <= Math.min(innerHeight, dialog.getBoundingClientRect().bottom)) return;
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
}
document.addEventListener('htmx:error', event => {
  const link = event.detail.ctx?.sourceElement;
  if (link?.matches('a[href]')) location.assign(link.href); // no answer to the fragment: take the page
});
document.addEventListener('close', event => { if (event.target.id === 'dialog') event.target.replaceChildren(); }, true);

document.addEventListener('click', event => {
  const on = selector => event.target.closest(selector);
  let el;
  if ((el = on('[data-close]')) && el.closest('dialog[open]')) {
    event.preventDefault();
    el.closest('dialog').close();
  } else if ((el = on('[data-open]'))) {
    el.closest('details.menu')?.removeAttribute('open');
    $(el.dataset.open).showModal();
  } else if ((el = on('[data-dismiss]'))) {
    el.parentElement.remove();
    $('main').focus();
  } else if ((el = on('[data-copy]'))) {
    navigator.clipboard.writeText(new URL(el.dataset.copy, location.href).href).then(() => {
      el.classList.add('copied');
      sluice.announce(sluice.say('copied'));
    });
  } else if ((el = on('[data-copy-text]'))) {
    navigator.clipboard.writeText($(el.dataset.copyText).textContent).then(() => {
      el.classList.add('copied');
      sluice.announce(sluice.say('copied'));
    });
  } else if ((el = on('[data-theme-next]'))) {
    event.preventDefault();
    const root = document.documentElement, theme = { auto: 'light', light: 'dark', dark: 'auto' }[root.dataset.theme];
    root.dataset.theme = theme;
    sluice.cookie('theme', theme);
    $('.ic', el).className = 'ic i-' + theme;
    el.setAttribute('aria-label', sluice.say('theme', { theme: el.dataset[theme] }));
  } else if ((el = on('[data-keys]'))) {
    const off = sluice.cookie('keys') !== 'off';
    sluice.cookie('keys', off ? 'off' : 'on');
    el.setAttribute('aria-pressed', !off);
  } else if ((el = on('[data-fold]'))) {
    const open = el.getAttribute('aria-expanded') !== 'true';
    el.setAttribute('aria-expanded', open);
    $$(`[data-in="${CSS.escape(el.dataset.fold)}"]`, el.closest('tbody')).forEach(row => row.classList.toggle('shown', open));
  } else if ((el = on('a[data-detail]')) && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    const row = el.closest('tr');
    if (el.getAttribute('aria-expanded') === 'true') {
      if (row.nextElementSibling?.matches('.detail')) row.nextElementSibling.remove();
      row.classList.remove('open');
      el.setAttribute('aria-expanded', 'false');
      history.replaceState(history.state, '', $('#entries').dataset.list);
    } else {
      row.classList.add('open');
      el.setAttribute('aria-expanded', 'true');
      el.dispatchEvent(new Event('detail'));
    }
  }
  for (const menu of $$('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
});

// Another route of the same service has other weights: its page is another page.
document.addEventListener('change', event => {
  const route = event.target.closest('select[data-route]');
  if (route) location.assign(`${route.dataset.route}?route=${encodeURIComponent(route.value)}`);
});

// ---- keys: "/" search, g + letter go, j/k rows, e first weight, Ctrl+Enter apply, "?" help. None changes anything. ----

let afterG = 0;
const rowLinks = () => $$('tbody[data-rows] > tr > td:first-child a').filter(link => link.offsetParent);

// The filter of a list: Enter opens the first match, as soon as the list is the one for what was typed; ↓ goes to the rows.
let toOpen = null;
const listIsFor = text => (new URLSearchParams(location.search).get('q') ?? '') === text;
function openFirst() {
  const field = toOpen, link = rowLinks()[0];
  if (!field || !listIsFor(field.value.trim())) return;
  toOpen = null;
  if (!link) return;
  link.click();
}
document.addEventListener('htmx:after:swap', () => setTimeout(openFirst));
document.addEventListener('input', () => { toOpen = null; });
function inFilter(event, field) {
  if (event.key === 'Enter' && field.value.trim() !== '' && !event.isComposing) {
    event.preventDefault(); // the list follows what is typed by itself; a second answer would close what was opened
    toOpen = field;
    openFirst();
  } else if (event.key === 'ArrowDown' && rowLinks()[0]) {
    event.preventDefault();
    rowLinks()[0].focus();
  }
}

/** Shows why the form cannot be sent, and focuses what can be done about it. */
function sayWhyNot(form) {
  const why = form.id === 'weights' ? $('#apply-why') : null;
  const first = $$('#preview input[name=ack], dialog[open] input[name=ack]').find(box => !box.checked)
    ?? [...form.elements].find(field => !field.validity.valid); // some stand outside the form's own element
  const busy = form.id === 'weights' && !first && $('#pending .busy:not([hidden])');
  if (busy) sluice.announce(busy.textContent);
  else if (why) sluice.announce(why.textContent);
  else if (first && !first.validity.valid) {
    sluice.announce(`${first.labels[0]?.textContent.trim() ?? ''}: ${first.validationMessage}`);
    first.reportValidity();
  }
  first?.focus();
  first?.scrollIntoView({ block: 'nearest' });
}
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    const form = event.target.form || event.target.closest('form');
    const apply = form && (form.id === 'weights' ? $('#apply-btn') : $('button.pri, footer button.bad.solid', form));
    if (!apply || !form.matches('[data-send]')) return;
    const lacks = !form.noValidate && !apply.formNoValidate && !form.checkValidity();
    if ((apply.getAttribute('aria-disabled') === 'true' && !sluice.sending) || lacks) sayWhyNot(form); else apply.click();
    return;
  }
  if (event.key === 'Escape') $$('details.menu[open]').forEach(menu => { menu.open = false; $('summary', menu).focus(); });
  if (sluice.cookie('keys') === 'off' || event.ctrlKey || event.metaKey || event.altKey || $('dialog[open]')) return;
  const filter = event.target.closest('form.tools[hx-get] input[type=search]');
  if (filter) return inFilter(event, filter);
  if (event.target.closest('input:not([type=range]), textarea, select')) return;
  if (event.key === '/') {
    const find = ['#find', '#q', '#aq'].map(id => $(id)).find(el => el?.offsetParent); // the box that shows this key first
    if (find) { event.preventDefault(); find.focus(); }
  } else if (event.key === '?') {
    $('#keys').showModal();
  } else if (event.key === 'g') {
    afterG = event.timeStamp;
  } else if (event.timeStamp - afterG < 1200 && $(`[data-go="${CSS.escape(event.key)}"]`)) {
    afterG = 0;
    $(`[data-go="${CSS.escape(event.key)}"]`).click();
  } else if (event.key === 'j' || event.key === 'k' || (/^Arrow(Down|Up)$/.test(event.key) && rowLinks().includes(document.activeElement))) {
    const rows = rowLinks(), at = rows.indexOf(document.activeElement);
    const next = rows[/j|Down/.test(event.key) ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0)];
    if (next) { event.preventDefault(); next.focus(); }
  } else if (event.key === 'e') {
    const first = $('#weights input[type=range]:not(:disabled)');
    if (first) { event.preventDefault(); first.focus(); }
  }
});

// ---- notes that have been read: a toast goes by itself, but not from under a pointer or the focus ----

const READ_MS = 10000;

function leave(toast) {
  let timer = 0;
  const held = () => toast.matches(':hover') || toast.contains(document.activeElement);
  const start = () => { clearTimeout(timer); timer = setTimeout(() => held() ? start() : toast.remove(), READ_MS); };
  for (const event of ['pointerleave', 'focusout']) toast.addEventListener(event, start);
  start();
}

// ---- once per page ----

/** The address of one entry of the history leads to that entry. */
function showEntry() {
  const row = $('#entries tr.open');
  if (!row || $('main [role=alert], main [aria-invalid=true]')) return;
  row.scrollIntoView({ block: 'start' });
  $('[data-detail]', row).focus({ preventScroll: true });
}

function dress() {
  $$('[data-not-yet]').forEach(el => el.setAttribute('aria-disabled', 'true')); // until the first check; without scripts the server judges
  const keys = $('[data-keys]');
  if (keys) keys.setAttribute('aria-pressed', sluice.cookie('keys') !== 'off');
  if (!navigator.clipboard) document.documentElement.classList.add('no-clip');
  $$('#toasts .toast[role=status]').forEach(leave);
  const here = new URL(location.href); // a message that was shown once is not shown again by a reload
  if (here.searchParams.has('retired')) { here.searchParams.delete('retired'); history.replaceState(history.state, '', here.pathname + here.search); }
  if (here.pathname.startsWith('/audit/')) showEntry();
  sluice.refreshTimes();
  const current = $('.side [aria-current]');
  if (current && innerWidth <= 900) current.parentElement.scrollLeft = current.offsetLeft - 60;
}
sluice.cookie('tz', -new Date().getTimezoneOffset());
setInterval(() => sluice.refreshTimes(), 20000);
document.addEventListener('sluice:page', dress);
dress();
