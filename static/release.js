// Releases: the countdown of a step, and the wizard's form. The timer follows the server's clock (skew from the stream's
// pings); it stops at "unknown" while the page is not live. The wizard is a plain form: here every change plans again.
'use strict';

(() => {
  const two = n => String(n).padStart(2, '0');
  const clock = ms => {
    const s = Math.max(0, Math.ceil(ms / 1000)), h = Math.floor(s / 3600);
    return (h ? h + ':' : '') + two(Math.floor(s / 60) % 60) + ':' + two(s % 60);
  };

  function tick() {
    for (const el of $$('[data-due]')) {
      const left = Number(el.dataset.due) - (Date.now() + (sluice.skew || 0));
      const text = document.body.classList.contains('off') ? sluice.say('unknown') : clock(left);
      if (el.textContent !== text) el.textContent = text;
      const whole = Number(el.dataset.whole), meter = $('[role=progressbar]', el.closest('div').parentElement);
      if (whole && meter) {
        const done = Math.round(100 - Math.min(whole, Math.max(0, left)) / whole * 100);
        meter.setAttribute('aria-valuenow', done);
        meter.firstElementChild.className = 'w-' + done;
      }
    }
  }
  setInterval(tick, 500);
  document.addEventListener('visibilitychange', tick);

  // ---- the wizard ----

  const plan = form => form.dispatchEvent(new Event('plan'));
  document.addEventListener('input', event => {
    const form = event.target.form;
    if (form?.id === 'draft' && !event.target.hasAttribute('data-reshape')) plan(form);
  });
  // A field that was left empty is asked for; the other empty ones are not called wrong yet.
  document.addEventListener('focusout', event => {
    const { form, id } = event.target, left = form?.id === 'draft' && form.elements.left;
    if (!left || !id || !event.target.matches('input, select, textarea') || left.value.split(' ').includes(id)) return;
    left.value = `${left.value} ${id}`.trim();
    if (!event.target.value && !sluice.sending) plan(form);
  });
  // A number that was emptied is what it was before: nothing becomes 0 because a field was cleared.
  document.addEventListener('focusin', event => {
    if (event.target.matches('[data-number]') && event.target.value) event.target.dataset.number = event.target.value;
  });
  document.addEventListener('change', event => {
    const field = event.target, before = field.dataset?.number;
    if (!before || field.value) return;
    field.value = before;
    sluice.announce(sluice.say('restored', { n: before }));
    if (field.form.id === 'draft') plan(field.form);
  });
  /** What changes the form itself is sent whole; the page that comes back has the new fields. */
  document.addEventListener('change', event => {
    const field = event.target.closest('[data-reshape]'), form = field?.form;
    if (!form) return;
    const button = $('#reshape');
    if (field.id) button.dataset.focus = '#' + CSS.escape(field.id);
    form.requestSubmit(button);
  });
  // Fields were changed while an answer was on its way: the form is sent again as it is now.
  document.addEventListener('sluice:kept', event => {
    const form = event.target;
    if (!form.querySelector('#reshape')) return;
    const field = event.detail.find(el => el.hasAttribute('data-reshape') && (el.type !== 'radio' || el.checked));
    if (!field) return form.id === 'draft' && plan(form);
    const button = $('#reshape');
    if (field.id) button.dataset.focus = '#' + CSS.escape(field.id);
    form.requestSubmit(button);
  });
  // A refusal that came or went is shown at its field.
  document.addEventListener('htmx:after:settle', () => {
    const url = $('#draft-marks')?.dataset.url; // a new draft has an address of its own from its first save on
    if (url && url !== '/releases/new' && location.pathname !== url) history.replaceState(history.state, '', url);
    mark();
  });
  function mark() {
    for (const slot of $$('.err[id^=err-]')) {
      for (const field of $$(`[aria-describedby~="${slot.id}"]`)) {
        const parts = slot.dataset.parts?.split(',');
        if (slot.hidden || (parts && !parts.includes(field.name.split('.').pop()))) field.removeAttribute('aria-invalid');
        else field.setAttribute('aria-invalid', 'true');
      }
    }
  }

  // ---- keys: p puts the focus on Pause, b opens the question before an abort ----

  document.addEventListener('keydown', event => {
    if (sluice.cookie('keys') === 'off' || event.ctrlKey || event.metaKey || event.altKey || $('dialog[open]')) return;
    if (event.target.closest('input, textarea, select')) return;
    const visible = id => [$(id), $(id + '-dock')].find(el => el?.offsetParent);
    if (event.key === 'p') visible('#rel-pause')?.focus();
    else if (event.key === 'b') visible('#rel-abort')?.click();
  });
})();
