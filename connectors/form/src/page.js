// What we do inside a page: one function, called with the name of the work and its argument. Runs in the page's own
// world, so it believes nothing that it did not look up itself, and reports facts; what they mean is decided in Rust.
const [work, given] = arguments;
const TEXT_MAX = 400, PROBLEMS_MAX = 20;

const all = (selector, root = document) => {
  try { return [...root.querySelectorAll(selector)]; } catch { return []; }
};
const visible = (el) => el.getClientRects().length > 0 && getComputedStyle(el).visibility !== 'hidden';
const first = (selectors) => {
  for (const selector of selectors) {
    const found = all(selector);
    if (found.length) return found.find(visible) ?? found[0];
  }
  return null;
};
const plain = (text) => (text ?? '').replace(/\s+/g, ' ').trim();
const same = (a, b) => plain(a).toLowerCase() === plain(b).toLowerCase();
const fire = (el, ...types) => types.forEach((type) => el.dispatchEvent(new Event(type, { bubbles: true })));
const sameNumber = (a, b) => /^\d+$/.test(a) && /^\d+$/.test(b) && Number(a) === Number(b);

// Through the prototype's setter: frameworks replace the element's own and would not notice.
const setValue = (el, value) => {
  const proto = el instanceof HTMLTextAreaElement ? HTMLTextAreaElement : el instanceof HTMLSelectElement ? HTMLSelectElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(proto.prototype, 'value').set.call(el, value);
};

const fillText = (el, value) => {
  if (!(el instanceof HTMLInputElement || el instanceof HTMLTextAreaElement)) return 'wrong_kind';
  if (el.readOnly && el.type !== 'date' && !el.value) return 'disabled';
  if (el.maxLength >= 0 && value.length > el.maxLength) return 'too_long';
  el.focus();
  setValue(el, value);
  fire(el, 'input', 'change');
  el.blur();
  return el.value === '' ? 'refused' : 'ok';
};

const fillSelect = (el, value) => {
  if (!(el instanceof HTMLSelectElement)) return 'wrong_kind';
  const options = [...el.options].filter((option) => !option.disabled);
  const option = options.find((o) => o.value === value) ?? options.find((o) => same(o.label, value) || same(o.text, value))
    ?? options.find((o) => sameNumber(o.value, value));
  if (!option) return 'no_option';
  setValue(el, option.value);
  option.selected = true;
  fire(el, 'input', 'change');
  return 'ok';
};

const fillCheckbox = (el, value) => {
  if (!(el instanceof HTMLInputElement) || el.type !== 'checkbox') return 'wrong_kind';
  const wanted = same(value, 'true');
  if (el.checked !== wanted) el.click();
  if (el.checked !== wanted) { el.checked = wanted; fire(el, 'input', 'change'); }
  return el.checked === wanted ? 'ok' : 'refused';
};

const fillRadio = (el, value) => {
  if (!(el instanceof HTMLInputElement) || el.type !== 'radio') return 'wrong_kind';
  const group = el.name ? all(`input[type=radio][name="${CSS.escape(el.name)}"]`, el.form ?? document) : [el];
  const labelled = (radio) => [...(radio.labels ?? [])].some((label) => same(label.innerText, value));
  const radio = group.find((r) => r.value === value) ?? group.find(labelled);
  if (!radio) return 'no_option';
  radio.click();
  return radio.checked ? 'ok' : 'refused';
};

const fillers = { text: fillText, date: fillText, select: fillSelect, checkbox: fillCheckbox, radio: fillRadio };

const fillOne = (field) => {
  const el = first(field.selectors);
  if (!el) return { status: 'missing', name: '', id: '' };
  const status = el.disabled ? 'disabled' : fillers[field.kind](el, field.value);
  return { status, name: el.name ?? '', id: el.id ?? '' };
};

const dismiss = (selectors) => {
  for (const selector of selectors) all(selector).filter(visible).forEach((el) => el.click());
};

// Stops at the first required field that is not ready, so that fields depending on each other keep their order.
const fill = ({ dismiss: unwanted, fields }) => {
  dismiss(unwanted);
  const results = [];
  for (const field of fields) {
    const result = fillOne(field);
    results.push(result);
    if (result.status !== 'ok' && !field.optional) break;
  }
  return results;
};

// Fills a page that a form could be on, when none of `walls` stands before it: what it shows, and the results if it was filled.
const enter = ({ watch, walls, bad_from, elements_max, ...form }) => {
  const seen = look(watch);
  const fit = !seen.unreachable && !seen.captcha && seen.status < bad_from && seen.elements <= elements_max && !first(walls);
  return { look: seen, filled: fit ? fill(form) : null };
};

const holds = (signs) => {
  if (!signs) return false;
  const { selector, text_contains: text, url_contains: url } = signs;
  if (!selector && !text && !url) return false;
  return (!selector || all(selector).some(visible))
    && (!url || location.href.includes(url))
    && (!text || plain(document.body?.innerText).toLowerCase().includes(plain(text).toLowerCase()));
};

const problems = (errors) => {
  if (!errors) return [];
  const name = errors.field_attribute;
  const holder = (el) => el.closest(`[${CSS.escape(name)}]`) ?? el.querySelector(`[${CSS.escape(name)}]`);
  const field = (el) => (name ? holder(el)?.getAttribute(name) : null) ?? '';
  return all(errors.selector).filter((el) => visible(el) && plain(el.innerText)).slice(0, PROBLEMS_MAX)
    .map((el) => ({ field: field(el).slice(0, TEXT_MAX), text: plain(el.innerText).slice(0, TEXT_MAX) }));
};

const flags = ['valueMissing', 'typeMismatch', 'patternMismatch', 'tooLong', 'tooShort', 'rangeUnderflow', 'rangeOverflow', 'stepMismatch', 'badInput'];
// Flags and not the browser's message: that repeats what was typed.
const unfit = (el) => ({
  name: el.name ?? '', id: el.id ?? '', flag: flags.find((flag) => el.validity[flag]) ?? 'customError',
  hint: plain(el.title).slice(0, TEXT_MAX),
});

// What the browser itself would refuse if `button` were clicked.
const refusedByBrowser = (button) => {
  const form = button.form ?? button.closest('form');
  if (!form || form.noValidate || button.formNoValidate) return [];
  return [...form.elements].filter((el) => el.willValidate && !el.validity.valid).slice(0, PROBLEMS_MAX).map(unfit);
};

const wantsLogin = (selectors) => all('input[type=password]').some(visible) || selectors.some((s) => all(s).some(visible));

const look = (watch) => {
  const timing = performance.getEntriesByType('navigation')[0];
  return {
    status: timing?.responseStatus ?? 0,
    loaded: document.readyState !== 'loading' && !!document.body,
    fresh: window.__regflow?.mark !== watch.mark,
    unreachable: location.protocol === 'chrome-error:',
    success: holds(watch.success),
    already: holds(watch.already),
    login: wantsLogin(watch.login),
    captcha: watch.captcha.some((selector) => all(selector).length > 0),
    next: !!watch.next.length && !!first(watch.next) && visible(first(watch.next)),
    next_hidden: !!watch.next.length && !!first(watch.next),
    blocked: window.__regflow?.mark === watch.mark ? window.__regflow.blocked : [],
    missed: window.__regflow?.mark === watch.mark && !!window.__regflow.missed && !window.__regflow.reached,
    problems: problems(watch.errors),
    confirmation: watch.confirmation ? plain(first([watch.confirmation])?.innerText).slice(0, TEXT_MAX) : '',
    elements: document.getElementsByTagName('*').length,
  };
};

// The middle of what is in sight of an element, if a click there hits nothing else.
const spot = (el) => {
  for (const { left, right, top, bottom } of el.getClientRects()) {
    const x = Math.floor((Math.max(left, 0) + Math.min(right, innerWidth)) / 2);
    const y = Math.floor((Math.max(top, 0) + Math.min(bottom, innerHeight)) / 2);
    if (x < Math.max(left, 0) || y < Math.max(top, 0) || right <= left || bottom <= top) continue;
    const hit = document.elementFromPoint(x, y);
    return hit && el.contains(hit) ? { x, y } : null;
  }
  return null;
};
const aim = (el) => {
  const seen = spot(el);
  if (seen) return seen;
  el.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
  return spot(el);
};

// Lets a click through to the button and to nothing else: the page may move between the look at the button and the click, and what
// stands in its place then is kept from noticing. Whatever follows a press of the button itself is the page's own affair.
const guard = (button, state) => {
  const types = ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'];
  const check = (event) => {
    if (!event.isTrusted) return;
    state.reached ||= event.composedPath().includes(button);
    if (state.reached) return;
    state.missed = true;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  types.forEach((type) => addEventListener(type, check, true));
  return () => types.forEach((type) => removeEventListener(type, check, true));
};

// Marks this document, so that the next one is known as new, and listens for what the browser refuses.
const arm = ({ mark, dismiss: unwanted, submit, success }) => {
  dismiss(unwanted);
  const button = first(submit);
  window.__regflow?.unguard?.();
  const state = { mark, blocked: [], reached: false, missed: false };
  if (button) state.unguard = guard(button, state);
  window.__regflow = state;
  document.addEventListener('invalid', (event) => {
    if (state.blocked.length < PROBLEMS_MAX) state.blocked.push(unfit(event.target));
  }, true);
  const ready = !!button && !button.disabled;
  return {
    ready, spot: ready ? aim(button) : null,
    refused: button ? refusedByBrowser(button) : [], success: holds(success),
  };
};

const FIELDS_MAX = 100, NAME_MAX = 100;
const NO_FIELDS = ['hidden', 'submit', 'button', 'reset', 'image'];
// A styled upload or box is hidden, but its label is not.
const isField = (el) => !NO_FIELDS.includes(el.type) && !el.closest('[aria-hidden=true]')
  && (visible(el) || [...(el.labels ?? [])].some(visible));

// The words of an element without those of the fields in it.
const words = (el) => {
  const copy = el.cloneNode(true);
  all('input,select,textarea,button,script,style', copy).forEach((inner) => inner.remove());
  return plain(copy.textContent);
};
const labelOf = (el) => {
  const ids = (el.getAttribute('aria-labelledby') ?? '').split(/\s+/);
  const referred = ids.map((id) => id && document.getElementById(id)).filter(Boolean);
  // of one button among several: what they have in common
  const label = el.type === 'radio' ? el.closest('fieldset')?.querySelector('legend') : el.labels?.[0];
  return referred.map(words).join(' ') || plain(el.getAttribute('aria-label')) || (label ? words(label) : '');
};
const fieldOf = (el) => ({
  name: plain(el.getAttribute('name')).slice(0, NAME_MAX), id: plain(el.id).slice(0, NAME_MAX),
  kind: el.type === 'select-one' ? 'select' : el.type, label: labelOf(el).slice(0, NAME_MAX),
  required: el.required || el.getAttribute('aria-required') === 'true',
});

// Where a form is sent: the path, with the host before it when that is another one. Attributes and not properties: a
// field named `action` would hide them.
const target = (form, button) => {
  const own = button && button.form === form ? button.getAttribute('formaction') : null;
  try {
    const url = new URL(own || form?.getAttribute('action') || location.href, document.baseURI);
    const path = url.pathname.split(';')[0].slice(0, TEXT_MAX);
    return url.host === location.host ? path : `//${url.host}${path}`;
  } catch { return ''; }
};

// The form that holds most of what is known of it; its fields as they are, nothing is touched.
const shape = ({ fields, submit }) => {
  const known = fields.map(first).filter(Boolean);
  const button = first(submit);
  const forms = new Map();
  for (const el of all('input,select,textarea').filter(isField)) forms.set(el.form, [...(forms.get(el.form) ?? []), el]);
  const weight = ([form, own]) => 1e6 * own.filter((el) => known.includes(el)).length
    + 1e4 * (button && button.form === form ? 1 : 0) + own.length;
  const [form, own] = [...forms].sort((a, b) => weight(b) - weight(a))[0] ?? [button?.form ?? null, []];
  return {
    action: target(form, button), fields: own.slice(0, FIELDS_MAX).map(fieldOf),
    whole: known.length === fields.length,
  };
};

const works = { enter, fill, look, arm, dismiss, locate: first, shape };
return works[work](given) ?? null;
