// What a person types or presses while an answer is on its way. An answer never replaces what was typed, chosen or focused
// after its request was sent, and a press on an element that an answer replaces reaches the element in its place.
// Loaded first; app.js, live.js and release.js use `newer`. It knows nothing of any page.
'use strict';

const newer = (() => {
  const FIELDS = 'input:not([type=hidden], [type=submit], [type=button]), select, textarea';
  const PRESSED = 'button, a[href], summary, label, input';
  const PATIENCE = 10000; // a browser may keep the end of a press to itself
  const isBox = el => el.type === 'checkbox' || el.type === 'radio';

  /** A name that outlives a swap: the id, else form, name and, where several share a name, value. */
  const keyOf = el => el.id ? '#' + el.id : `${el.form?.id}/${el.name}${isBox(el) ? '=' + el.value : ''}`;
  const valueOf = el => isBox(el) ? el.checked : el.value;
  const placeOf = el => `${el.form?.id} ${el.form?.getAttribute('action')}`;
  const fields = root => [...root.querySelectorAll(FIELDS)];

  /** The element with the focus, and where the cursor is in it; null when nothing is focused. */
  function focus() {
    const el = document.activeElement;
    if (!el || el === document.body || !(el.id || el.name)) return null;
    let cursor = null;
    try { cursor = el.selectionStart === null ? null : [el.selectionStart, el.selectionEnd]; } catch { /* a number has none */ }
    return { el, key: keyOf(el), place: placeOf(el), cursor, scroll: el.scrollTop };
  }

  /** All fields as they are when a request is sent. */
  function take() {
    return { values: new Map(fields(document).map(el => [keyOf(el), valueOf(el)])), at: focus()?.key };
  }

  /** What was changed since; with `root`, only what an answer for that part of the page would replace. */
  function since(before, root = document) {
    const changed = el => before.values.has(keyOf(el)) && before.values.get(keyOf(el)) !== valueOf(el);
    return fields(root).filter(changed).map(el => ({ el, key: keyOf(el), place: placeOf(el), value: valueOf(el) }));
  }

  function find({ key, place }) {
    const el = key.startsWith('#') ? document.getElementById(key.slice(1)) : fields(document).find(one => keyOf(one) === key);
    return el && placeOf(el) === place ? el : null;
  }

  /** Puts newer values into the fields of an answer. Answers the fields that took one. */
  function put(changes) {
    const taken = [];
    for (const change of changes) {
      const el = find(change);
      if (!el || el.disabled || valueOf(el) === change.value) continue;
      if (isBox(el)) el.checked = change.value; else el.value = change.value;
      if (valueOf(el) === change.value) taken.push(el);
    }
    return taken;
  }

  /** Gives the focus back to where it was. False when that is gone. */
  function refocus(at) {
    const el = at && find(at);
    if (!el) return false;
    el.focus({ preventScroll: true });
    if (at.cursor && el.setSelectionRange) try { el.setSelectionRange(...at.cursor); } catch { /* a number has no cursor */ }
    el.scrollTop = at.scroll;
    return true;
  }

  // ---- presses ----

  const rowOf = el => el.closest('tr')?.querySelector('.wrap')?.textContent ?? '';

  /** What a button or link is, so that the same one is found after a swap. */
  function mark(el) {
    const word = (el.value ?? '').toString().split(':')[0];
    return { id: el.id, tag: el.tagName, form: el.form?.id, name: el.name, value: el.value, word, to: el.getAttribute('formaction'), href: el.getAttribute('href'), row: rowOf(el), text: el.textContent };
  }

  function same(of) {
    if (of.id) return document.getElementById(of.id);
    const all = [...document.querySelectorAll(of.tag)].filter(el => {
      const at = mark(el);
      return !at.id && ['form', 'name', 'word', 'to', 'href', 'row', 'text'].every(part => at[part] === of[part]);
    });
    return all.find(el => el.value === of.value) ?? all[0] ?? null;
  }

  let pressed = null, composing = false, typing = 0;
  const waiting = [];
  const isStill = () => !pressed && !composing && !typing;
  const wake = () => setTimeout(() => { if (isStill()) waiting.splice(0).forEach(go => go()); });

  function down(el, x, y) {
    const of = el.closest?.(PRESSED);
    pressed = of ? { el: of, is: mark(of), x, y } : null;
  }

  /** The button or link that was pressed was replaced before it was let go: the browser sends no click to either. */
  function up(x, y) {
    const was = pressed;
    pressed = null;
    if (was && !was.el.isConnected) {
      const heir = same(was.is), near = x === undefined || Math.hypot(x - was.x, y - was.y) < 12;
      if (heir && (near || heir.contains(document.elementFromPoint(x, y)))) setTimeout(() => heir.click());
    }
    wake();
  }
  addEventListener('pointerdown', event => { if (event.isPrimary && event.button === 0) down(event.target, event.clientX, event.clientY); }, true);
  addEventListener('pointerup', event => { if (event.isPrimary) up(event.clientX, event.clientY); }, true);
  addEventListener('pointercancel', () => { pressed = null; wake(); }, true);
  addEventListener('keydown', event => { if (event.key === ' ' && !event.repeat && event.target.matches?.('button')) down(event.target); }, true);
  addEventListener('keyup', event => { if (event.key === ' ') up(); }, true);
  addEventListener('blur', () => { pressed = null; wake(); });
  // Between a key and its character: the character would go to the field that is being replaced.
  const typed = () => { if (typing) { clearTimeout(typing); typing = 0; wake(); } };
  addEventListener('keydown', event => {
    if (event.key.length !== 1 || !event.target.matches?.('input, textarea')) return;
    clearTimeout(typing);
    typing = setTimeout(typed, 100);
  }, true);
  addEventListener('input', typed, true);
  addEventListener('compositionstart', () => { composing = true; }, true);
  addEventListener('compositionend', () => { composing = false; wake(); }, true);

  return {
    take, since, put, focus, refocus, mark, same,
    /** When no press and no composition of characters is in progress. */
    still: () => isStill() ? Promise.resolve() : new Promise(go => { waiting.push(go); setTimeout(go, PATIENCE); }),
  };
})();
