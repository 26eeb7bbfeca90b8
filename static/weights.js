// Linked weights: however they are moved, they sum to 100. `rebalance` is pure and tested on its own.
'use strict';

/**
 * New weights after version `i` was moved to `x`.
 * base: weights when the gesture began, so dragging out and back restores the others exactly
 * locked[j]: fixed; cap[j]: upper limit (100 when pods are ready, else the weight it has: it can only go down)
 * Others give or take in proportion to base; integers by largest remainder.
 */
function rebalance(base, i, x, locked, cap) {
  const weights = base.slice(), free = [];
  let fixed = 0;
  base.forEach((b, j) => { if (j !== i) locked[j] ? fixed += b : free.push(j); });
  const room = free.reduce((sum, j) => sum + cap[j], 0);
  const high = Math.min(cap[i], 100 - fixed), low = Math.max(0, 100 - fixed - room);
  if (low > high) return base.slice();
  weights[i] = Math.min(high, Math.max(low, Math.round(x)));
  const share = {};
  let rest = 100 - fixed - weights[i], open = free.slice();
  while (open.length) {
    const sum = open.reduce((total, j) => total + base[j], 0), heir = open.find(j => cap[j] > 0);
    for (const j of open) share[j] = sum ? rest * base[j] / sum : j === heir ? rest : 0; // all at 0: the first that may receive takes it
    const over = open.filter(j => share[j] > cap[j]);
    if (!over.length) break;
    for (const j of over) { share[j] = cap[j]; rest -= cap[j]; }
    open = open.filter(j => !over.includes(j));
  }
  let left = 100 - fixed - weights[i];
  for (const j of free) { weights[j] = Math.floor(share[j]); left -= weights[j]; }
  const byRemainder = free.filter(j => weights[j] < cap[j]).sort((a, b) => (share[b] - weights[b]) - (share[a] - weights[a]) || a - b);
  for (const j of byRemainder) if (left > 0) { weights[j]++; left--; }
  return weights;
}
if (typeof module !== 'undefined') module.exports = { rebalance };

if (typeof document !== 'undefined') {
  /** Scripts run before htmx has taken the page in; until then nobody listens to a form. */
  const taken = new Promise(done => {
    document.addEventListener('htmx:after:process', done, { once: true });
    addEventListener('load', () => setTimeout(done, 500));
  });
  const wire = () => {
    const form = $('#weights');
    if (!form || form.dataset.wired) return;
    form.dataset.wired = '1';
    // A pending change in the address keeps the revision on which it was opened: a live update never moves it to another.
    const opened = $('#preview [data-copy]')?.dataset.copy;
    if (opened && /[?&]w\./.test(location.search) && !/[?&]base=/.test(location.search)) history.replaceState(history.state, '', opened);
    const rows = $$('.vrow', form).filter(row => $('input[type=number]', row));
    const declared = rows.map(row => +row.dataset.declared), cap = rows.map(row => +row.dataset.cap);
    const number = rows.map(row => $('input[type=number]', row)), range = rows.map(row => $('input[type=range]', row));
    const lock = rows.map(row => $('[data-lock]', row)), kept = rows.map(row => $('[data-kept]', row));
    const name = j => rows[j].dataset.version;
    let settled = number.map(el => +el.value || 0); // what stands in a field that is empty for a moment
    const isWeight = el => /^\d+$/.test(el.value.trim()) && +el.value <= 100;
    const now = () => number.map((el, j) => isWeight(el) ? +el.value : settled[j]);
    let base = now();
    const isLocked = j => lock[j]?.getAttribute('aria-pressed') === 'true' || number[j].disabled;
    const why = text => {
      const at = $('#weights-why');
      if (at.textContent !== text) at.textContent = text;
    };

    const rove = (row, value) => { // one tab stop per group of presets; arrows move inside it
      const buttons = $$('.pre button', row), on = buttons.find(button => +button.value === value);
      buttons.forEach(button => {
        button.setAttribute('aria-pressed', button === on);
        button.tabIndex = button === (on || buttons[0]) ? 0 : -1;
      });
    };
    const paint = weights => {
      settled = weights.slice();
      rows.forEach((row, j) => {
        number[j].value = range[j].value = kept[j].value = weights[j];
        number[j].removeAttribute('aria-invalid');
        range[j].style.setProperty('--w', weights[j] + '%');
        range[j].setAttribute('aria-valuetext', weights[j] + '%');
        const by = weights[j] - declared[j], delta = $('.delta', row);
        delta.textContent = by ? '' : form.dataset.same;
        if (by) {
          const bold = document.createElement('b');
          bold.textContent = (by > 0 ? '+' : '−') + Math.abs(by);
          delta.append(bold, ` ${form.dataset.was} ${declared[j]}`);
        }
        rove(row, weights[j]);
      });
      $('#total').textContent = weights.reduce((a, b) => a + b, 0);
    };
    const move = (j, wanted) => {
      const weights = rebalance(base, j, wanted, rows.map((_, k) => isLocked(k)), cap);
      paint(weights);
      const stuck = weights[j] !== Math.min(100, Math.max(0, Math.round(wanted)));
      const alone = rows.every((_, k) => k === j || isLocked(k));
      why(!stuck ? '' : cap[j] < 100 && wanted > cap[j] ? sluice.say('onlyDown', { v: name(j) }) : alone ? sluice.say('othersLocked') : '');
      check();
    };
    const begin = () => { base = now(); };
    if (base.reduce((a, b) => a + b, 0) === 100) rows.forEach((row, j) => { // typed nonsense that came back from the server stays as it is
      rove(row, base[j]);
      range[j].style.setProperty('--w', base[j] + '%');
    });

    rows.forEach((row, j) => {
      for (const el of [number[j], range[j]]) {
        el.addEventListener('focus', begin);
        el.addEventListener('pointerdown', begin);
      }
      range[j].addEventListener('input', () => move(j, +range[j].value));
      range[j].addEventListener('keydown', event => {
        const step = { PageUp: 10, PageDown: -10 }[event.key];
        if (step) { event.preventDefault(); move(j, +range[j].value + step); }
      });
      const typed = () => { // an emptied field (or what is no number) is a change of mind, not a 0
        if (number[j].value.trim() === '') { number[j].value = settled[j]; return; }
        if (!isWeight(number[j])) { // neither cut to 100 nor rounded: what was typed stays, and nothing moves
          number[j].setAttribute('aria-invalid', 'true');
          why(sluice.say('notWhole', { v: name(j), n: number[j].value }));
          return;
        }
        move(j, +number[j].value);
      };
      number[j].addEventListener('change', typed);
      number[j].addEventListener('keydown', event => { // Enter would press the first button of the form
        if (event.key !== 'Enter') return;
        if (event.ctrlKey || event.metaKey) { if (number[j].value.trim() === '') typed(); return; }
        event.preventDefault();
        typed();
      });
      $('.pre', row)?.addEventListener('keydown', event => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], buttons = $$('.pre button', row);
        if (step) { event.preventDefault(); buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus(); }
      });
      $$('.pre button', row).forEach(button => button.addEventListener('click', () => { begin(); move(j, +button.value); }));
      lock[j]?.addEventListener('click', () => {
        const on = lock[j].getAttribute('aria-pressed') !== 'true';
        lock[j].setAttribute('aria-pressed', on);
        $('.ic', lock[j]).className = 'ic ' + (on ? 'i-lock' : 'i-unlock');
        number[j].disabled = range[j].disabled = on; // a disabled field is not sent: the hidden twin carries the value
        kept[j].disabled = !on;
        kept[j].value = number[j].value;
        $$('.pre button', row).forEach(button => { button.disabled = on; });
        sluice.announce(sluice.say(on ? 'locked' : 'unlocked', { v: name(j) }));
      });
    });

    /** Pods came or went: what can be moved changes at once, what was typed stays. */
    form.addEventListener('sluice:live', event => {
      const j = rows.findIndex(row => row.contains(event.target)), ready = event.target.dataset.ready;
      if (ready === undefined || rows[j].disabled) return;
      const before = cap[j];
      cap[j] = +ready > 0 ? 100 : declared[j];
      if (cap[j] === before) return;
      const on = lock[j]?.getAttribute('aria-pressed') === 'true', stuck = cap[j] === 0 && +number[j].value === 0;
      number[j].disabled = range[j].disabled = stuck || on;
      kept[j].disabled = !number[j].disabled;
      kept[j].value = number[j].value;
      if (lock[j]) lock[j].hidden = stuck;
      const presets = $('.pre', rows[j]);
      if (presets) presets.hidden = cap[j] === 0;
      rove(rows[j], +number[j].value);
      sluice.announce(sluice.say(cap[j] < 100 ? 'onlyDown' : 'canMove', { v: name(j) }));
      if (sluice.dirty()) check(); // a block may have gone, or come
    });

    const mirror = form.elements.mirror, percent = form.elements.mirror_pct;
    const mirrored = () => { if (percent && mirror) percent.disabled = mirror.disabled || !mirror.value; };
    mirrored();
    for (const el of [mirror, percent]) el?.addEventListener('change', () => { mirrored(); check(); });

    sluice.setWeights = values => {
      rows.forEach((row, j) => { if (name(j) in values) number[j].value = values[name(j)]; });
      begin();
      paint(base);
    };
    keepReason(form);
    restore(form);
  };

  /** A reason that was typed stays in this tab, by service, until it is applied or discarded; never in the address. */
  const keepReason = form => {
    const field = $('#why'), key = 'why:' + form.dataset.service;
    if (!field) return;
    if (!field.value) field.value = sessionStorage.getItem(key) ?? '';
    field.addEventListener('input', () => {
      if (field.value) sessionStorage.setItem(key, field.value); else sessionStorage.removeItem(key);
    });
  };
  sluice.forgetReason = form => sessionStorage.removeItem('why:' + form.dataset.service);
  document.addEventListener('click', event => {
    if (event.target.closest('#apply [data-discard]')) sluice.forgetReason($('#weights'));
  });

  /** Asks the server what the form as it stands would do. The answer replaces #preview, #apply and #t-next. */
  const check = () => {
    const form = $('#weights'), preview = $('#preview');
    if (!form || !preview) return;
    preview.setAttribute('aria-busy', 'true');
    $('#pending .busy').hidden = false;
    $('#apply-btn')?.setAttribute('aria-disabled', 'true');
    $$('.lost').forEach(el => el.remove());
    form.dataset.dirty = '1';
    form.dispatchEvent(new Event('preview'));
  };
  sluice.check = check;
  sluice.dirty = () => $('#weights')?.dataset.dirty === '1';

  /** Brings back what was typed before the session ended. */
  const restore = async form => {
    const key = 'draft:' + location.pathname, kept = sessionStorage.getItem(key);
    if (!kept) return;
    sessionStorage.removeItem(key);
    const weights = {};
    for (const [name, value] of JSON.parse(kept)) {
      if (name.startsWith('w.')) weights[name.slice(2)] = value;
      else if (form.elements[name] && 'value' in form.elements[name]) form.elements[name].value = value;
    }
    sluice.setWeights(weights);
    const rules = new Map(JSON.parse(kept)).get('rules');
    if (rules) { // edited rules travel as a list: the server renders its card
      const answer = await fetch(form.getAttribute('action').replace(/traffic\/preview$/, 'rules/edit'), {
        method: 'POST', body: new URLSearchParams({ rules, do: 'cancel' }), headers: { 'HX-Request': 'true', 'X-CSRF-Token': sluice.csrf() },
      }).catch(() => null);
      if (answer?.ok) {
        $('#rules-card').outerHTML = await answer.text();
        htmx.process($('#rules-card'));
      }
    }
    await taken;
    check();
  };

  // Fields were changed while an answer was on its way: they are painted and checked as they are now.
  document.addEventListener('sluice:kept', event => {
    if (event.target.id !== 'weights') return;
    sluice.setWeights?.(Object.fromEntries($$('.vrow input[type=number]', event.target).map(el => [el.closest('.vrow').dataset.version, el.value])));
    check();
  });
  document.addEventListener('change', event => { if (event.target.matches('#preview [name=ack]')) check(); });
  document.addEventListener('htmx:after:swap', event => { // rules were edited: they are part of the pending change
    const { target, focused } = event.detail.ctx;
    if (target?.id !== 'rules-card') return;
    const editor = $('#rules-card tr.form input, #rules-card tr.form select');
    if (!editor) check();
    else if (!focused?.el.matches('input, select, textarea')) editor.focus();
  });
  document.addEventListener('htmx:finally:request', event => {
    const { sourceElement, status } = event.detail.ctx;
    if (sourceElement?.id !== 'weights' || status === 'swapped' || sluice.sending || /Abort/.test(status)) return;
    $('#pending .busy').hidden = true;
    $('#preview').removeAttribute('aria-busy');
    if (!$('#pending .lost')) $('#preview').before($('#t-unchecked').content.firstElementChild.cloneNode(true));
  });
  document.addEventListener('htmx:after:swap', event => {
    if (event.detail.ctx.sourceElement?.id !== 'weights' || !$('#pending .busy')) return;
    $('#pending .busy').hidden = true;
    const link = $('#preview [data-copy]')?.dataset.copy; // the address is the pending change: it survives a reload
    history.replaceState(history.state, '', link || $('#apply a').getAttribute('href'));
  });
  document.addEventListener('sluice:page', wire);
  wire();
}
