'use strict';
// What one iteration of a loop touches of each tensor, and the bytes that each cache moves.

const memory = { loop: null, values: new Map() };

function showMemory(panel) {
  const touching = report.loops.filter((one) => one.footprints.length);
  panel.append(el('p', { class: 'lead' }, 'What is used again should still be near: one iteration of a loop touches so much, and the first cache '
    + 'that holds it keeps it for the next.'));
  if (touching.length) {
    const last = report.machine.caches.length;
    const isNear = (one) => one.held_by && one.held_by !== `L${last}` && one.footprints.length > 1;
    const isOwn = (one) => one.statements.some((name) => !statementNamed.get(name)?.is_made);
    const first = touching.find((one) => isNear(one) && isOwn(one)) || touching[0];
    panel.append(el('div', { class: 'card' }, el('h2', {}, 'What one iteration touches'),
      el('div', { class: 'controls', id: 'footprint-controls' }), el('div', { class: 'boxes', id: 'boxes' }), el('div', { id: 'touched' })));
    queueMicrotask(() => showFootprint(first.name));
    selection.watch((ref) => {
      const [kind, name] = ref ? parts(ref) : [];
      if (kind === 'loop' && loopNamed.get(name)?.footprints.length) showFootprint(name);
    });
  } else {
    panel.append(el('p', {}, 'What loops touch was not counted.'));
  }
  panel.append(trafficCard());
}

function showFootprint(name) {
  memory.loop = loopNamed.get(name);
  const names = report.loops.filter((one) => one.footprints.length).map((one) => one.name);
  const around = loopsAround(memory.loop);
  memory.values = new Map(around.map((one) => [one.name, one.trips ? one.trips.first : 0]));
  const fixed = around.every((one) => isWhole(one));
  const used = around.filter((one) => fixed && one.trips && one.trips.last > one.trips.first
    && memory.loop.footprints.some((print) => (print.lower || []).some((text) => namesIn(text).includes(one.name))));
  const slider = (one) => el('label', {}, el('code', {}, one.name), el('input', {
    type: 'range', min: one.trips.first, max: one.trips.last, value: one.trips.first, 'aria-label': one.name,
    oninput: (event) => { memory.values.set(one.name, Number(event.target.value)); event.target.nextSibling.textContent = event.target.value; showBoxes(); },
  }), el('span', { class: 'mono' }, one.trips.first));
  document.getElementById('footprint-controls').replaceChildren(
    el('label', {}, 'one iteration of', choice('Loop', names, name, showFootprint)), ...used.map(slider),
    fixed || !around.length ? '' : el('span', { class: 'soft' }, 'the first iteration of each loop'));
  showBoxes();
}

/** A loop and those around it, from the outside in. */
function loopsAround(one) {
  return one ? [...loopsAround(loopNamed.get(one.parent)), one] : [];
}

/** Whether a loop has the same values each time that it is begun. */
function isWhole({ trips: found }) {
  return found !== null && found.all.value === (found.last - found.first + 1) * found.entries.value;
}

function namesIn(text) {
  return (text.match(/[A-Za-z_][A-Za-z0-9_.]*/g) || []).filter((word) => !['floor', 'mod', 'min', 'max'].includes(word));
}

/** The value of what `polyhedral::Index` prints; null for what is not understood. */
function valueOf(text, values) {
  const tokens = text.match(/[A-Za-z_][A-Za-z0-9_.]*|\d+|[-+*/(),]/g) || [];
  let at = 0;
  const next = (token) => (tokens[at] === token ? ((at += 1), true) : false);
  const atom = () => {
    if (next('-')) return -atom();
    if (next('(')) { const value = sum(); next(')'); return value; }
    const token = tokens[at++];
    if (/^\d/.test(token)) return Number(token);
    if (['floor', 'min', 'max'].includes(token) && next('(')) {
      const list = [sum()];
      while (next(',')) list.push(sum());
      next(')');
      return token === 'floor' ? Math.floor(list[0]) : Math[token](...list);
    }
    return values.has(token) ? values.get(token) : NaN;
  };
  const product = () => {
    let value = atom();
    for (;;) {
      if (next('*')) value *= atom();
      else if (next('/')) value /= atom();
      else if (tokens[at] === 'mod') { at += 1; const by = atom(); value = ((value % by) + by) % by; } else return value;
    }
  };
  const sum = () => {
    let value = product();
    for (;;) {
      if (next('+')) value += product();
      else if (next('-')) value -= product();
      else return value;
    }
  };
  const value = sum();
  return at === tokens.length && Number.isFinite(value) ? value : null;
}

/** The tensors as rectangles of their last two dimensions, with the box that is touched. */
function showBoxes() {
  const prints = memory.loop.footprints;
  const drawn = prints.map((print) => [print, tensorNamed.get(print.tensor)]).filter(([print, tensor]) => tensor?.extent && print.extent);
  const sides = drawn.map(([, tensor]) => dimsShown(tensor).map((dim) => (dim === null ? 1 : tensor.extent[dim])));
  const largest = Math.max(...sides.flat(), 1);
  const scale = (count) => 12 + 168 * Math.sqrt(count / largest);
  document.getElementById('boxes').replaceChildren(...drawn.map(([print, tensor], i) => boxFigure(print, tensor, sides[i].map(scale))));
  const rows = prints.map((print) => el('tr', { refs: [`tensor:${print.tensor}`] }, el('td', {}, el('code', {}, print.tensor)), el('td', {}, print.writes ? 'written' : 'read'),
    el('td', { class: 'number' }, amount(print.bytes)),
    el('td', {}, el('code', {}, print.extent ? print.extent.map((count, dim) => `${print.lower[dim]} .. +${count}`).join(', ') : 'no box of a constant size'))));
  const total = memory.loop.bytes ? el('p', {}, 'Together ', el('strong', {}, amount(memory.loop.bytes)),
    memory.loop.held_by ? `: the first cache that holds it is ${memory.loop.held_by}.` : report.machine.caches.length && data.bytes_per_cycle.length ? ': more than any cache holds.' : '.') : '';
  document.getElementById('touched').replaceChildren(tableOf(['tensor', '', '#bytes on average', 'from .. how many'], rows), total);
  remark();
}

function dimsShown(tensor) {
  const several = tensor.extent.map((_, dim) => dim).filter((dim) => tensor.extent[dim] > 1).slice(-2);
  return several.length === 2 ? several : [null, several.length ? several[0] : null];
}

function boxFigure(print, tensor, [height, width]) {
  const dims = dimsShown(tensor);
  const ends = dims.map((dim) => {
    if (dim === null) return [0, 1];
    const from = valueOf(print.lower[dim], memory.values);
    const low = Math.min(Math.max((from ?? 0) - tensor.lower[dim], 0), tensor.extent[dim]);
    const high = Math.min((from ?? 0) - tensor.lower[dim] + print.extent[dim], tensor.extent[dim]);
    return [low / tensor.extent[dim], high / tensor.extent[dim]];
  });
  const [[y1, y2], [x1, x2]] = ends;
  const box = draw('rect', { class: `box${print.writes ? ' writes' : ''}`, x: 2 + x1 * width, y: 2 + y1 * height,
    width: Math.max((x2 - x1) * width, 2), height: Math.max((y2 - y1) * height, 2) });
  const image = picture(width + 4, height + 4, `The part of ${tensor.name} that is touched`, draw('rect', { class: 'whole', x: 2, y: 2, width, height }), box);
  return el('figure', {}, image, el('figcaption', { refs: [`tensor:${tensor.name}`] }, `${tensor.name}[${tensor.shape.join(', ')}]`));
}

// ── Traffic ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

function trafficCard() {
  const card = el('div', { class: 'card' }, el('h2', {}, 'Bytes that each cache moves'));
  const { traffic } = report;
  if (!traffic || !traffic.levels.length) {
    card.append(el('p', {}, report.kernels.length || !data.bytes_per_cycle.length ? 'The caches of devices are not modelled.'
      : report.sizes.length ? 'Not counted for this program.' : 'Known only for given sizes.'));
    return card;
  }
  const heads = ['tensor', '#used', ...traffic.levels.flatMap((level) => [`#${level.name} fetches`, '#writes back', '#reuse'])];
  const most = Math.max(...traffic.levels.flatMap((level) => level.tensors.map((one) => one.fetched.value)), 1);
  const row = (name, used, moved) => {
    const cells = moved.flatMap(({ fetched, written }) => [
      el('td', { class: 'number' }, amount(fetched), name && el('span', { class: 'bar', style: `width:${(100 * fetched.value) / most}%` })),
      el('td', { class: 'number' }, amount(written)),
      el('td', { class: 'number' }, fetched.value ? `${fetched.exact ? '' : '≥ '}${decimal(used.value / fetched.value)}×` : '–')]);
    return el('tr', { refs: name ? [`tensor:${name}`] : undefined }, el('td', {}, name ? el('code', {}, name) : el('strong', {}, 'all')), el('td', { class: 'number' }, amount(used)), cells);
  };
  const names = traffic.levels[0].tensors.map((one) => one.tensor);
  const rows = names.map((name, at) => row(name, traffic.used[at], traffic.levels.map((level) => level.tensors[at])));
  const sum = traffic.used.reduce((all, one) => ({ value: all.value + one.value, exact: all.exact && one.exact }), { value: 0, exact: true });
  rows.push(row('', sum, traffic.levels.map((level) => level.all)));
  const sizes = traffic.levels.map((level) => `${level.name} ${bytes(level.capacity)}`).join(', ');
  card.append(el('p', { class: 'soft' }, `“Used” is what the instances read and write; “reuse” is how often a byte is used once it was fetched. Caches: ${sizes}.`), tableOf(heads, rows));
  return card;
}
