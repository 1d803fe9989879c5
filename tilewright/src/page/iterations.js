'use strict';
// The pane of instances: the controls, the plane drawn, the animation, and what an instance touches of each tensor.

const iterations = {
  model: Math.max(0, data.models.findLastIndex((model) => model.statements.every((of) => pointsOf(of) <= 150))),
  statement: null, down: null, right: null,
  /** The moment that is shown, or null for all of them. */
  moment: null,
  timer: null,
  shows: { order: true, arrows: true, tiles: true },
  /** The point under the pointer or the keyboard. */
  here: null,
  /** Two points that cannot run at once: see `askWhy`. */
  pair: null,
};

/** Points of the plane in which a statement is shown first, about. */
function pointsOf(of) {
  const extents = decoded(of).point.map((column) => new Set(column).size).filter((count) => count > 1);
  return Math.min(of.count, (extents[0] || 1) * (extents[1] || 1));
}

function showIterations(panel) {
  if (!data.models.length) {
    panel.append(el('p', {}, 'There are no pictures of this program: it is scheduled in parts, or has too many instances at any size.'));
    return;
  }
  panel.append(
    el('p', { class: 'lead' }, 'Each point is an instance of the statement; its colour says when it runs. Drawn at small sizes, '
      + 'where each can be seen, with tiles made smaller in proportion.'),
    el('div', { class: 'controls', id: 'what' }), el('div', { class: 'controls', id: 'when' }),
    el('div', { class: 'stage' },
      el('div', {}, el('div', { class: 'drawing', id: 'plane' }), el('div', { class: 'legend', id: 'legend' }),
        el('p', { class: 'said', id: 'said', 'aria-live': 'polite' }), el('div', { id: 'changed' })),
      el('div', { class: 'maps', id: 'maps' })));
  const dims = (of) => of.dims.length;
  const first = modelNow().statements.reduce((best, of) => (dims(of) > dims(best) && of.count > 1 && !statementNamed.get(of.statement)?.is_made ? of : best));
  chooseStatement(first.statement);
  selection.watch((ref) => {
    const [kind, name] = ref ? parts(ref) : [];
    if (kind === 'statement' && name !== iterations.statement && modelNow().statements.some((of) => of.statement === name)) chooseStatement(name);
  });
}

const modelNow = () => data.models[iterations.model];
const instancesNow = () => modelNow().statements.find((of) => of.statement === iterations.statement) || modelNow().statements[0];

/** Shows a statement in the first two of its dimensions that have several values. */
function chooseStatement(name) {
  stopPlaying();
  Object.assign(iterations, { statement: name, moment: null, here: null, pair: null });
  const of = instancesNow();
  const all = decoded(of);
  const varied = of.dims.map((_, dim) => dim).filter((dim) => new Set(all.point[dim]).size > 1);
  const chosen = [...varied, ...of.dims.map((_, dim) => dim).filter((dim) => !varied.includes(dim))].slice(0, 2).sort((a, b) => a - b);
  [iterations.down, iterations.right] = chosen.length > 1 ? chosen : [null, chosen.length ? chosen[0] : null];
  showControls();
  showPlane();
}

function showControls() {
  const model = modelNow();
  const of = instancesNow();
  const names = model.statements.map((one) => one.statement);
  const label = (text, ...control) => el('label', {}, text, ...control);
  const dim = (text, which, other) => label(text, choice(text, of.dims, of.dims[iterations[which]], (name) => {
    const next = of.dims.indexOf(name);
    if (iterations[other] === next) iterations[other] = iterations[which];
    Object.assign(iterations, { [which]: next, here: null, pair: null });
    showControls();
    showPlane();
  }));
  const slider = el('input', {
    type: 'range', id: 'size', min: 0, max: data.models.length - 1, value: iterations.model, 'aria-label': 'Size',
    'aria-valuetext': sizesOf(model), disabled: data.models.length < 2, oninput: (event) => chooseModel(Number(event.target.value)),
  });
  const focused = document.activeElement?.id;
  document.getElementById('what').replaceChildren(...[
    label('statement', choice('Statement', names, of.statement, chooseStatement)),
    iterations.down !== null && dim('down ↓', 'down', 'right'),
    iterations.right !== null && dim('right →', 'right', 'down'),
    label('size', slider, el('span', { id: 'sizes', class: 'mono' }, sizesOf(model))),
    el('span', { class: 'group' }, toggle('order', 'path'), toggle('arrows', 'dependences'), toggle('tiles', 'tiles')),
  ].filter(Boolean));
  if (focused === 'size') document.getElementById('size').focus();
}

const sizesOf = (model) => model.sizes.map(({ name, value }) => `${name}=${value}`).join(' ') || 'as it is';

function toggle(what, text) {
  return el('button', {
    type: 'button', 'aria-pressed': String(iterations.shows[what]), onclick: (event) => {
      iterations.shows[what] = !iterations.shows[what];
      event.target.setAttribute('aria-pressed', String(iterations.shows[what]));
      showPlane();
    },
  }, text);
}

function chooseModel(at) {
  stopPlaying();
  Object.assign(iterations, { model: at, moment: null, here: null });
  const of = instancesNow();
  if (of.statement !== iterations.statement) return chooseStatement(of.statement);
  showControls();
  showPlane();
}

/** Draws all of it anew. */
function showPlane() {
  const of = instancesNow();
  const plane = planeOf(of, iterations.down, iterations.right);
  iterations.plane = plane;
  document.getElementById('plane').replaceChildren(planePicture(of, plane));
  document.getElementById('legend').replaceChildren(...legendOf(plane));
  document.getElementById('changed').replaceChildren(...changedBy(modelNow()));
  showWhen(plane);
  showMoment();
  remark();
}

/** The first number and how many, of each dimension of the plane. */
function boundsOf(points) {
  const of = (dim) => points.map((point) => point.at[dim]);
  const low = [Math.min(...of(0)), Math.min(...of(1))];
  return { low, extent: [Math.max(...of(0)) - low[0] + 1, Math.max(...of(1)) - low[1] + 1] };
}

function planePicture(of, plane) {
  if (!plane.points.length) return el('p', { class: 'said' }, 'No instances at this size.');
  const { low, extent } = boundsOf(plane.points);
  const cell = Math.min(Math.max(Math.min(600 / extent[1], 330 / extent[0]), 9), 38);
  const [left, above] = [58, 44];
  const corner = (at) => [left + (at[1] - low[1]) * cell, above + (at[0] - low[0]) * cell];
  const centre = (at) => corner(at).map((value) => value + cell / 2);
  const view = { of, plane, low, extent, cell, left, above, corner, centre, radius: Math.min(Math.max(cell * 0.27, 2.4), 8) };
  const [width, height] = [left + extent[1] * cell + 20, above + extent[0] * cell + 16];
  const hatch = draw('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    draw('path', { class: 'hatch', d: 'M0 0V6' }));
  const dims = [iterations.down, iterations.right].filter((dim) => dim !== null).map((dim) => of.dims[dim]);
  const image = picture(width, height, `The instances of ${of.statement} in ${dims.join(' and ')}`, draw('defs', {}, hatch),
    grounds(view), axes(view), iterations.shows.order && path(view), iterations.shows.tiles && borders(view),
    iterations.shows.arrows && arrows(view), dots(view), draw('circle', { class: 'here', id: 'here', r: view.radius + 3, visibility: 'hidden' }));
  image.setAttribute('class', 'plane');
  image.setAttribute('tabindex', '0');
  image.addEventListener('keydown', (event) => walk(event, view));
  iterations.view = view;
  return image;
}

/** The grounds of threads, tiles that are cut, and lanes of vectors. */
function grounds({ plane, corner, cell, centre, radius }) {
  const square = (name) => (point) => {
    const [x, y] = corner(point.at);
    return draw('rect', { class: name, x, y, width: cell, height: cell });
  };
  const odd = plane.points.filter((point) => point.thread !== null && Math.abs(point.thread) % 2 === 1);
  const cut = iterations.shows.tiles && plane.tiles.length ? plane.points.filter((point) => !plane.tiles[0][point.tiles[0]].whole) : [];
  const lanes = plane.vectors.map(([from, to]) => {
    const [[x1, y1], [x2, y2]] = [centre(from), centre(to)];
    return draw('line', { class: 'lanes', x1, y1, x2, y2, 'stroke-width': radius * 3 });
  });
  return draw('g', {}, odd.map(square('lane')), cut.map(square('partial')), lanes);
}

function axes({ of, low, extent, cell, left, above }) {
  const texts = [];
  const numbersOn = (dim, place) => {
    const step = stride(extent[dim], Math.max((extent[dim] * cell) / 34, 1));
    for (let i = 0; i < extent[dim]; i += step) texts.push(place(i, low[dim] + i));
  };
  if (iterations.right !== null) {
    numbersOn(1, (i, value) => draw('text', { class: 'soft', x: left + (i + 0.5) * cell, y: above - 7, 'text-anchor': 'middle' }, value));
    texts.push(draw('text', { x: left, y: 16 }, `${of.dims[iterations.right]} →`));
  }
  if (iterations.down !== null) {
    numbersOn(0, (i, value) => draw('text', { class: 'soft', x: left - 8, y: above + (i + 0.5) * cell + 4, 'text-anchor': 'end' }, value));
    texts.push(draw('text', { x: 6, y: above + 8 }, `${of.dims[iterations.down]} ↓`));
  }
  return draw('g', {}, texts);
}

/** A line for each thread, through its points in the order of their first instances. */
function path({ plane, centre }) {
  const threads = new Map();
  plane.points.forEach((point) => threads.set(point.lane, [...(threads.get(point.lane) || []), point]));
  let d = '';
  for (const points of threads.values()) {
    points.sort((a, b) => a.first - b.first);
    let last = null;
    for (const point of points) {
      if (last !== null && point.first === last.first) continue;
      d += `${last === null ? 'M' : 'L'}${centre(point.at).join(' ')}`;
      last = point;
    }
  }
  return draw('path', { class: 'order', d });
}

/** Lines between cells of different tiles. */
function borders({ plane, corner, cell }) {
  const lines = ['', ''];
  for (const point of plane.points) {
    const [x, y] = corner(point.at);
    for (const [down, right, line] of [[-1, 0, `M${x} ${y}h${cell}`], [1, 0, `M${x} ${y + cell}h${cell}`],
      [0, -1, `M${x} ${y}v${cell}`], [0, 1, `M${x + cell} ${y}v${cell}`]]) {
      const next = plane.byPlace.get(plane.key([point.at[0] + down, point.at[1] + right]));
      const level = point.tiles.findIndex((tile, at) => !next || next.tiles[at] !== tile);
      if (level >= 0) lines[Math.min(level, 1)] += line;
    }
  }
  return draw('g', {}, draw('path', { class: 'tile inner', d: lines[1] }), draw('path', { class: 'tile', d: lines[0] }));
}

function arrows({ plane, centre, radius, cell }) {
  const kinds = new Map();
  for (const { kind, from, to } of plane.arrows) {
    const [a, b] = [centre(from), centre(to)];
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const [ux, uy] = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
    const [start, end] = [[a[0] + ux * radius, a[1] + uy * radius], [b[0] - ux * (radius + 1), b[1] - uy * (radius + 1)]];
    const s = Math.min(Math.max(cell * 0.2, 3), 6);
    const lines = kinds.get(kind) || { d: '', tips: '' };
    lines.d += `M${start.map(short).join(' ')}L${end.map(short).join(' ')}`;
    const back = [end[0] - ux * s, end[1] - uy * s];
    lines.tips += `M${end.map(short).join(' ')}L${short(back[0] - uy * s * 0.5)} ${short(back[1] + ux * s * 0.5)}L${short(back[0] + uy * s * 0.5)} ${short(back[1] - ux * s * 0.5)}Z`;
    kinds.set(kind, lines);
  }
  return draw('g', {}, [...kinds].map(([kind, { d, tips }]) =>
    [draw('path', { class: `arrow ${kind}`, d }), draw('path', { class: `tip ${kind}`, d: tips })]));
}

const short = (value) => Math.round(value * 10) / 10;

function dots(view) {
  const last = Math.max(view.plane.moments - 1, 1);
  return draw('g', { id: 'points' }, view.plane.points.map((point) => {
    const [cx, cy] = view.centre(point.at);
    const enter = () => pointAt(point);
    point.dot = draw('circle', { cx, cy, r: view.radius, fill: ramp(point.first / last), onpointerenter: enter, onclick: enter });
    return point.dot;
  }));
}

/** The arrow keys go from point to point. */
function walk(event, { plane }) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const here = iterations.here || plane.points[0];
  const next = iterations.here ? plane.byPlace.get(plane.key([here.at[0] + step[0], here.at[1] + step[1]])) : here;
  if (next) pointAt(next);
}

/** Says what a point is, and shows what it and its tile touch. */
function pointAt(point) {
  iterations.here = point;
  const { view } = iterations;
  const ring = document.getElementById('here');
  const [cx, cy] = view.centre(point.at);
  ring.setAttribute('cx', cx);
  ring.setAttribute('cy', cy);
  ring.setAttribute('visibility', 'visible');
  document.getElementById('said').replaceChildren(...saidOfPoint(point));
  showMaps(point.instances, point);
}

function saidOfPoint(point) {
  const of = instancesNow();
  const { plane } = iterations;
  const dims = [iterations.down, iterations.right].filter((dim) => dim !== null);
  const place = dims.map((dim) => `${of.dims[dim]} = ${decoded(of).point[dim][point.instances[0]]}`).join(', ');
  const when = point.first === point.last ? `moment ${point.first + 1} of ${plane.moments}` : `moments ${point.first + 1} to ${point.last + 1} of ${plane.moments}`;
  const tile = point.tiles.map((one, level) => `${level ? 'inner ' : ''}tile ${one + 1}${plane.tiles[level][one].whole ? '' : ' (cut)'}`).join(', ');
  const thread = point.thread === null ? '' : `${plane.thread[0]} = ${point.thread}`;
  const count = point.instances.length > 1 ? plural(point.instances.length, 'instance') : '';
  return [el('strong', {}, place || of.statement), ` · ${[count, when, tile, thread].filter(Boolean).join(' · ')}`];
}

function legendOf(plane) {
  const gradient = `background:linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp).join(', ')})`;
  const items = [el('span', {}, 'first', el('span', { class: 'ramp', style: gradient }), 'last')];
  for (const kind of ['flow', 'reduction', 'anti', 'output']) {
    const count = plane.arrows.filter((arrow) => arrow.kind === kind).length;
    if (count) items.push(el('span', {}, el('span', { class: `key ${kind}` }), `${kind} (${whole(count)})`));
  }
  if (plane.tiles.length) {
    const wholes = plane.tiles[0].filter((tile) => tile.whole).length;
    items.push(el('span', {}, el('span', { class: 'swatch whole' }), plural(wholes, 'whole tile')));
    const cut = plane.tiles[0].length - wholes;
    if (cut) items.push(el('span', {}, el('span', { class: 'swatch cut' }), plural(cut, 'cut tile')));
  }
  if (plane.thread) items.push(el('span', {}, el('span', { class: 'swatch lane' }), `every second iteration of ${plane.thread[0]} (${plane.thread[1]})`));
  if (plane.vectors.length) items.push(el('span', {}, 'grey bars: lanes of one vector'));
  if (!plane.arrows.length && instancesNow().dependences.length) items.push(el('span', {}, 'the nearest dependences are within one point of these dimensions'));
  else if (plane.leftOut) items.push(el('span', {}, `${whole(plane.leftOut)} dependences further apart are not drawn`));
  if (plane.leftOut === null) items.push(el('span', {}, 'some dependences are too many to draw'));
  return items;
}

/** What is other than in the script of the report. */
function changedBy(model) {
  if (model.same) return [el('p', { class: 'soft' }, 'These are the sizes of the report, and its script as it is.')];
  const script = report.script.map((step) => step.command.split('\n')[0]);
  const changed = model.changed.map(([at, command]) => el('li', {}, el('code', {}, command.split('\n')[0]), el('span', { class: 'soft' }, ` in place of ${script[at]}`)));
  const out = model.left_out.map(([at, why]) => el('li', {}, el('code', {}, script[at]), el('span', { class: 'soft' }, ` is left out here: ${why}`)));
  if (!changed.length && !out.length) return [el('p', { class: 'soft' }, 'The same script as in the report, at smaller sizes.')];
  return [el('details', {}, el('summary', {}, `What is smaller here than in the report (${plural(changed.length + out.length, 'command')})`), el('ul', {}, changed, out))];
}

// ── The animation ───────────────────────────────────────────────────────────────────────────────────────────────────────

function showWhen(plane) {
  const last = plane.moments - 1;
  const button = (id, text, title, go) => el('button', { type: 'button', id, title, 'aria-label': title, onclick: go }, text);
  document.getElementById('when').replaceChildren(
    el('span', { class: 'group' },
      button('back', '◀', 'One moment back', () => step(-1)),
      button('play', '▶ play', 'Play the schedule', () => (iterations.timer ? stopPlaying() : play())),
      button('on', '▶', 'One moment on', () => step(1)),
      button('all', 'all', 'Show all moments', () => { stopPlaying(); moveTo(null); })),
    el('label', { class: 'wide' }, 'moment', el('input', {
      type: 'range', id: 'moment', min: 0, max: last, value: iterations.moment ?? last, 'aria-label': 'Moment',
      oninput: (event) => { stopPlaying(); moveTo(Number(event.target.value)); },
    })), el('span', { id: 'clock', class: 'mono' }));
}

function moveTo(moment) {
  iterations.moment = moment;
  showMoment();
}

function step(by) {
  stopPlaying();
  const last = iterations.plane.moments - 1;
  moveTo(Math.min(Math.max((iterations.moment ?? (by > 0 ? -1 : last + 1)) + by, 0), last));
}

function play() {
  const last = iterations.plane.moments - 1;
  if (iterations.moment === null || iterations.moment >= last) moveTo(0);
  // Some fifteen seconds for all of it, and never faster than can be followed.
  const by = Math.max(1, Math.round(last / 250));
  iterations.timer = setInterval(() => {
    moveTo(Math.min(iterations.moment + by, last));
    if (iterations.moment >= last) stopPlaying();
  }, Math.min(Math.max(15000 / (last + 1), 60), 400));
  document.getElementById('play').textContent = '❚❚ pause';
}

function stopPlaying() {
  clearInterval(iterations.timer);
  iterations.timer = null;
  const button = document.getElementById('play');
  if (button) button.textContent = '▶ play';
}

/** What ran before the moment, what runs in it, what waits. */
function showMoment() {
  const { plane, moment } = iterations;
  const of = instancesNow();
  const all = decoded(of);
  const now = [];
  for (const point of plane.points) {
    const at = moment === null ? [] : point.instances.filter((i) => plane.ranks.get(all.moment[i]) === moment);
    point.dot.classList.toggle('now', at.length > 0);
    point.dot.classList.toggle('waiting', moment !== null && point.first > moment);
    now.push(...at);
  }
  document.getElementById('moment').value = moment ?? plane.moments - 1;
  document.getElementById('clock').textContent = moment === null ? `all ${whole(plane.moments)}` : `${moment + 1} / ${whole(plane.moments)}`;
  showPair();
  if (moment === null && iterations.here) return pointAt(plane.byPlace.get(plane.key(iterations.here.at)) || plane.points[0]);
  if (moment === null) return rest();
  const point = plane.points.find((one) => one.instances.includes(now[0]));
  const said = now.length > 1 ? `${plural(now.length, 'instance')} at once` : '';
  document.getElementById('said').replaceChildren(...(point ? [...saidOfPoint(point), said && ` · ${said}`] : []));
  return showMaps(now, point);
}

/** What is said where nothing is pointed at. */
function rest() {
  const of = instancesNow();
  const { plane } = iterations;
  document.getElementById('said').replaceChildren(el('code', {}, of.formula),
    ` · ${plural(of.count, 'instance')}, ${plural(plane.moments, 'moment')}. Point at one, or walk with the arrow keys, to see what it and its tile touch.`);
  showMaps([], plane.points.find((point) => point.first === 0) || null);
}

/** The two points that a loop cannot run at once. */
function showPair() {
  document.querySelectorAll('.plane .pair').forEach((ring) => ring.remove());
  for (const point of iterations.pair || []) {
    const at = [iterations.down, iterations.right].map((dim) => (dim === null ? 0 : point[dim]));
    const found = iterations.plane.byPlace.get(iterations.plane.key(at));
    if (!found) continue;
    const [cx, cy] = iterations.view.centre(at);
    document.getElementById('here').before(draw('circle', { class: 'pair', cx, cy, r: iterations.view.radius + 3 }));
  }
}

// ── What is touched of the tensors ──────────────────────────────────────────────────────────────────────────────────────

/** Each tensor that the statement touches: cells of some instances strong, those of the tile of a point weak. */
function showMaps(instances, point) {
  const of = instancesNow();
  const tile = point && point.tiles.length ? iterations.plane.points.filter((other) => other.tiles[0] === point.tiles[0]).flatMap((other) => other.instances) : [];
  const strong = touchedBy(of, instances);
  const weak = touchedBy(of, tile);
  const shown = new Map();
  strong.forEach((touched, at) => {
    const map = shown.get(touched.tensor) || { strong: [], weak: [], writes: false };
    map.strong.push(...touched.cells);
    map.weak.push(...weak[at].cells);
    map.writes ||= touched.writes;
    shown.set(touched.tensor, map);
  });
  document.getElementById('maps').replaceChildren(...[...shown].map(([name, map]) => mapOf(name, map)).filter(Boolean));
  remark();
}

/** A tensor's last two dimensions that have several elements, with cells that are touched. */
function mapOf(name, { strong, weak, writes }) {
  const tensor = modelNow().tensors.find((one) => one.tensor === name);
  if (!tensor) return null;
  const several = tensor.extent.map((_, dim) => dim).filter((dim) => tensor.extent[dim] > 1).slice(-2);
  const [down, right] = several.length === 2 ? several : [null, several.length ? several[0] : null];
  const extent = [down === null ? 1 : tensor.extent[down], right === null ? 1 : tensor.extent[right]];
  const cell = Math.min(Math.max(Math.min(190 / extent[1], 130 / extent[0]), 2), 14);
  const rects = (cells, style) => {
    const places = new Map(cells.map((one) => {
      const at = [down, right].map((dim) => (dim === null ? 0 : one[dim] - tensor.lower[dim]));
      return [at.join(), at];
    }));
    return [...places.values()].map(([y, x]) => draw('rect', { class: style, x: 1 + x * cell, y: 1 + y * cell, width: cell, height: cell }));
  };
  const shape = `${name}[${tensor.extent.join(', ')}]${writes ? ' written' : ''}`;
  const [width, height] = extent.map((count) => count * cell).reverse();
  const image = picture(width + 2, height + 2, `What is touched of ${name}`, draw('rect', { class: 'whole', x: 1, y: 1, width, height }),
    rects(weak, 'tiled'), rects(strong, writes ? 'written' : 'cell'));
  image.setAttribute('class', 'map');
  return el('figure', {}, el('figcaption', { refs: [`tensor:${name}`] }, shape), image);
}
