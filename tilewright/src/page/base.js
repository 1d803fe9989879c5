'use strict';
// What every pane uses: the data, elements, numbers for people, lists for the keyboard.

const data = JSON.parse(document.getElementById('data').textContent);
const report = data.report;

/** An element with attributes and children; `on…` are listeners, `refs` says what it names (see selection.js). */
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for a part of a picture. */
function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'refs') element.setAttribute('data-refs', value.filter(Boolean).join(' '));
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** A picture of so many pixels. */
function picture(width, height, label, ...children) {
  return draw('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label }, ...children);
}

/** `640 B`, `12.5 MiB`. */
function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (count >= 10000 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return unit === 0 ? `${count} B` : `${(Math.floor(count * 10) / 10).toFixed(1)} ${units[unit]}`;
}

/** A number that was counted or a bound that it does not exceed. */
function amount(value, show = bytes) {
  return value === null || value === undefined ? '' : (value.exact ? '' : '≤ ') + show(value.value);
}

/** `16`, `85.3`, `0.03`. */
function decimal(value) {
  if (!Number.isFinite(value)) return '–';
  return String(Number(value < 0.95 ? value.toPrecision(2) : value.toFixed(1)));
}

/** `268 435 456` */
function whole(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, '\u2009');
}

/** `2.7 G`, `33.6 M` */
function large(value) {
  const units = ['', ' k', ' M', ' G', ' T', ' P'];
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${unit === 0 ? decimal(value) : value.toFixed(value < 10 ? 2 : 1)}${units[unit]}`;
}

/** `1.19 ms` */
function seconds(value) {
  const [scale, unit] = value >= 1 ? [1, 's'] : value >= 1e-3 ? [1e3, 'ms'] : value >= 1e-6 ? [1e6, 'µs'] : [1e9, 'ns'];
  return `${(value * scale).toPrecision(3)} ${unit}`;
}

function plural(count, one, several = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : several}`;
}

/** How a loop runs, as a mark. */
function kindMark(kind, more = '') {
  return el('span', { class: `kind ${kind.split(/[ .]/)[0]}` }, kind + more);
}

function loopKind(one) {
  return kindMark(one.kind, one.kind === 'in order' && one.coincident ? ', by choice' : '');
}

/** Iterations each time that a loop is begun. */
function trips(one) {
  if (!one.trips) return '';
  const { all, entries } = one.trips;
  return `${all.exact && entries.exact ? '' : '≤ '}${decimal(all.value / Math.max(entries.value, 1))}`;
}

/** Steps of a scale with so much room, such that at most `most` of them are named. */
function stride(count, most) {
  return [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 250, 500, 1000].find((step) => count / step <= most) || 4096;
}

/** From the first moment to the last: violet to yellow. */
function ramp(place) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const at = Math.min(Math.max(place, 0), 1) * (stops.length - 1);
  const [low, part] = [Math.min(Math.floor(at), stops.length - 2), at - Math.min(Math.floor(at), stops.length - 2)];
  const mixed = stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * part));
  return `rgb(${mixed.join(',')})`;
}

/** Scrolls a box, and nothing else, so far that an element in it is seen. */
function seenIn(box, element) {
  if (!box || !element || !box.clientHeight) return;
  const [outer, inner] = [box.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.top < outer.top) box.scrollTop -= outer.top - inner.top + 4;
  else if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 4;
}

/** A choice of one of some words. */
function choice(label, values, chosen, change) {
  const options = values.map((value) => el('option', { value, selected: value === chosen }, value));
  const select = el('select', { 'aria-label': label, onchange: () => change(select.value) }, options);
  return select;
}

/**
 * Makes the items of a list reachable by the keyboard: one of them by Tab, the others from there by the arrow keys,
 * Home and End. `pick` is told of the item that Enter or Space is pressed on, and of each that is walked over when
 * `follow` is given.
 */
function arrowKeys(list, items, { follow = false, across = false, pick = () => {} } = {}) {
  const own = () => items().filter((item) => item.offsetParent !== null);
  const enter = (item) => {
    items().forEach((other) => { other.tabIndex = other === item ? 0 : -1; });
    item.focus();
    if (follow) pick(item);
  };
  items().forEach((item, at) => { item.tabIndex = at === 0 ? 0 : -1; });
  list.addEventListener('keydown', (event) => {
    const all = own();
    const at = all.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const [back, on] = across ? ['ArrowLeft', 'ArrowRight'] : ['ArrowUp', 'ArrowDown'];
    const to = { [back]: at - 1, [on]: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      enter(all[Math.min(Math.max(to, 0), all.length - 1)]);
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      pick(all[at]);
    }
  });
  return enter;
}
