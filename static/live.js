// Live data: one event stream a page. Elements with data-live and an id are replaced by newer ones from the server;
// never a form field, never what has the focus. When the stream is silent for 15 s the page says that it is old.
'use strict';

(() => {
  const SILENCE = 13000; // pings come every 5 s: two lost and a bit, so that people hear of it within 15 s
  let opened = false, source = null, topic = '', heard = Date.now(), off = false, failures = 0, retryAt = 0, away = 0;
  const deferred = new Map();

  const clock = at => new Date(at).toLocaleTimeString(document.documentElement.lang, { hour12: false });
  const hasField = el => el.matches('input, select, textarea') || el.querySelector('input, select, textarea');

  const typing = () => document.activeElement.matches('main :is(input, select, textarea)');
  // Between pressing and letting go of the button an element that is replaced gets no click, and not every browser
  // focuses what is pressed.
  let pressed = null;
  addEventListener('pointerdown', event => { pressed = event.target; }, true);
  const letGo = () => setTimeout(() => { pressed = null; flush(); });
  for (const name of ['pointerup', 'pointercancel', 'dragend']) addEventListener(name, letGo, true);
  addEventListener('blur', letGo); // of the window: it never hears of a button that is let go elsewhere

  // A bar of buttons is never older than the state: it comes even while it has the focus, which moves to the same button.
  const isBar = el => 'bar' in el.dataset;
  const used = el => el.contains(document.activeElement) && (!isBar(el) || el.querySelector('.htmx-request'));

  /** While somebody edits or presses, nothing comes or goes above: what they look at would move. */
  const mustWait = el => used(el) || el.contains(pressed) || 'waits' in el.dataset && (sluice.dirty() || typing() || $('dialog[open]'));

  function put(id, html) {
    const old = document.getElementById(id);
    if (!old || hasField(old)) return;
    if (mustWait(old)) { deferred.set(id, html); return; }
    const holder = document.createElement('template');
    holder.innerHTML = html;
    const fresh = holder.content.firstElementChild;
    if (!fresh || fresh.id !== id || hasField(fresh)) return;
    if (fresh.dataset.barred !== old.dataset.barred) return follow(); // all levers of the page come or go
    const ends = fresh.dataset.ended !== old.dataset.ended;
    if (ends && $('dialog[open]')) { deferred.set(id, html); return; } // an open question is not closed by it
    const room = old.offsetHeight, focused = old.contains(document.activeElement) && document.activeElement;
    const open = old.querySelector('details[open]');
    old.replaceWith(fresh);
    if (open && fresh.querySelector('details')) fresh.querySelector('details').open = true;
    if (focused) heir(fresh, focused.id).focus({ preventScroll: true });
    if (ends) follow().then(done => { if (!done) fresh.dataset.ended = old.dataset.ended; }); // cards come or go: once, whole
    if ('holds' in fresh.dataset) hold(fresh, room);
    htmx.process(fresh);
    sluice.refreshTimes(); // one moment has one age on the whole page
    fresh.dispatchEvent(new Event('sluice:live', { bubbles: true }));
  }

  /** The button of a bar that takes the focus: the one with the same id, else the first that is shown. */
  function heir(bar, id) {
    const all = [...bar?.querySelectorAll('a[href], button, summary') ?? []].filter(el => el.offsetParent);
    return all.find(el => el.id === id) || all[0] || $('#main');
  }

  /** Keeps the height of a list that is above others: rows that do not fit wait until they are asked for. */
  function hold(list, room) {
    const needed = list.offsetHeight, more = $('#more');
    if (needed > room) {
      if (!more) $('#toasts').append($('#t-more').content.firstElementChild.cloneNode(true));
      sluice.announce($('#t-more').content.textContent.trim());
    } else more?.remove();
    if (needed === room) return;
    list.hidden = room === 0;
    list.style.height = room + 'px';
  }

  /** Takes this page as it is now, when nothing on it was edited. */
  async function follow() {
    const before = newer.take(), at = newer.focus(), bar = document.activeElement.closest('[data-bar]')?.id;
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: 'text/html' } }).catch(() => null);
    const text = answer?.ok && await answer.text();
    await newer.still();
    if (!text || sluice.dirty() || sluice.sending) return false;
    const focused = newer.focus() || at;
    const adopted = sluice.adopt(text, undefined, undefined, before);
    if (adopted && focused && !focused.el.isConnected && !newer.refocus(focused) && bar) heir(document.getElementById(bar), '').focus({ preventScroll: true });
    return adopted;
  }

  /** Fetches this page again and replaces every live region once. */
  async function resync() {
    try {
      const answer = await fetch(location.href, { headers: { 'X-Sluice-Live': '1', Accept: 'text/html' }, signal: AbortSignal.timeout(20000) });
      if (answer.status === 401 || new URL(answer.url).pathname === '/login') return sluice.signIn($('#weights'));
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const el of $$('[data-live][id]', page)) if (!el.parentElement.closest('[data-live]')) put(el.id, el.outerHTML);
      sluice.refreshTimes();
    } catch { /* the next silence says so */ }
  }

  function setOff(now) {
    if (off === now) return;
    off = now;
    document.body.classList.toggle('off', off);
    $('#stale').hidden = !off;
    sluice.announce(sluice.say(off ? 'lost' : 'back'));
  }

  function paint() {
    const chip = $('#live'), connected = source && failures === 0 && !off;
    chip.hidden = !topic || !opened && !off && failures === 0; // says nothing before it knows
    chip.classList.toggle('stale', !connected);
    $('.word', chip).textContent = sluice.say(connected ? 'live' : 'reconnecting');
    $('.at', chip).textContent = connected ? ' · ' + clock(heard) : '';
    if (off) {
      $('#stale .what').textContent = sluice.say('stale', { time: clock(heard), age: sluice.span(Date.now() - heard) });
      $('#stale .retry').textContent = retryAt > Date.now() ? sluice.say('retry', { n: Math.ceil((retryAt - Date.now()) / 1000) }) : '';
    }
  }

  function alive() {
    heard = Date.now();
    failures = 0;
    retryAt = 0;
    if (off) { setOff(false); resync(); }
  }

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    close();
    topic = $('main')?.dataset.topic || '';
    if (!topic) return paint();
    retryAt = 0;
    source = new EventSource('/events?topic=' + encodeURIComponent(topic));
    const on = (name, handle) => source.addEventListener(name, event => { alive(); handle(event.data ? JSON.parse(event.data) : {}); });
    const behind = failures > 0 || off;
    source.onopen = () => { opened = true; if (behind && !off) resync(); alive(); paint(); };
    on('frag', ({ id, html }) => put(id, html));
    on('ping', ({ at }) => { sluice.skew = at - Date.now(); paint(); });
    on('resync', resync);
    on('revision', revision);
    source.onerror = () => { // our own retry: the browser gives up for ever on an error status, and hammers on others
      close();
      failures++;
      retryAt = Date.now() + Math.min(10000, 1000 * 2 ** Math.min(failures, 4)) * (0.8 + Math.random() * 0.4);
      paint();
      if (failures === 2) resync(); // finds out whether the session ended
    };
  }

  /** This service was changed: an untouched page follows, an edited one shows a notice and keeps its numbers. */
  async function revision({ service, revision: now, by }) {
    const form = $('#weights'), base = form?.elements.base_revision; // a page that only shows has no base to stand on
    if (sluice.sending || !form || form.dataset.service !== service || base?.value === String(now)) return;
    if (base && sluice.dirty()) {
      sluice.announce(sluice.say('elsewhere', { by }));
      return sluice.check(); // the answer carries You saw / Now / Yours
    }
    if ($('dialog[open]') || typing()) {
      document.activeElement.addEventListener('blur', () => revision({ service, revision: now, by }), { once: true });
      return;
    }
    if (await follow()) sluice.announce(sluice.say('elsewhere', { by }));
  }

  /** Puts what had to wait. */
  function flush() {
    for (const [id, html] of [...deferred]) { deferred.delete(id); put(id, html); }
  }
  document.addEventListener('focusout', () => setTimeout(flush));
  // A dialog that closes gives the focus back to what opened it, which may have been replaced in the meantime.
  let opener = null;
  document.addEventListener('click', event => {
    const el = event.target.closest?.('[data-bar] [hx-target="#dialog"]');
    if (el) opener = { id: el.id, bar: el.closest('[data-bar]').id };
  }, true);
  document.addEventListener('close', event => {
    if (event.target.id !== 'dialog') return;
    const from = opener;
    opener = null;
    setTimeout(() => {
      if (from && document.activeElement === document.body && !$('dialog[open]')) heir(document.getElementById(from.bar), from.id).focus({ preventScroll: true });
      flush();
    });
  }, true);
  document.addEventListener('click', event => {
    if (event.target.closest('[data-retry]')) open();
    if (event.target.closest('[data-more]')) {
      const list = $('[data-holds]');
      $('#more').remove();
      list.hidden = false;
      list.style.height = '';
      list.tabIndex = -1;
      list.focus();
      list.scrollIntoView({ block: 'center' });
    }
  });
  document.addEventListener('visibilitychange', () => { // browsers allow six connections a host: hidden tabs give theirs back
    clearTimeout(away);
    if (document.hidden) {
      away = setTimeout(close, 3000);
    } else if (!source && topic) {
      heard = Math.max(heard, Date.now() - SILENCE + 4000);
      failures = Math.max(failures, 1);
      open();
    }
  });
  addEventListener('pagehide', close);
  addEventListener('pageshow', event => { if (event.persisted) { failures = 1; open(); } });
  document.addEventListener('sluice:page', () => { if (($('main').dataset.topic || '') !== topic) open(); else paint(); $('#stale').hidden = !off; document.body.classList.toggle('off', off); });
  setInterval(() => {
    if (document.hidden || !topic) return;
    if (!off && Date.now() - heard > SILENCE) setOff(true);
    if (!source && retryAt && Date.now() > retryAt) open();
    else if (source && Date.now() - heard > SILENCE + 5000) { close(); failures++; retryAt = Date.now() + 3000; }
    paint();
  }, 1000);
  if (document.hidden) topic = $('main')?.dataset.topic || ''; // opened in the background: connects when it is looked at
  else open();
})();
