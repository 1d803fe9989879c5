'use strict';
// What depends on what: the graph of statements, the table, and the question why something cannot be done.

function showDependences(panel) {
  panel.append(el('p', { class: 'lead' }, 'What any order of the program must respect. A vector says by how many iterations of the loops '
    + 'around both statements the later instance comes after the earlier one.'));
  if (!report.dependences.length) panel.append(el('p', {}, 'Nothing depends on anything: all instances may run in any order.'));
  else panel.append(el('div', { class: 'drawing', id: 'graph' }, graphPicture()), kindsLegend(), el('div', { id: 'dependence', 'aria-live': 'polite' }));
  panel.append(whyCard());
  if (report.dependences.length) panel.append(el('div', { class: 'card' }, el('h2', {}, 'All dependences of the source'), dependenceTable()));
}

/** `[0, 1] [≥ 1, -1]` */
function vectorsOfDependence(one) {
  const distance = ({ least, most }) => {
    if (least !== null && most !== null) return least === most ? `${least}` : `${least}..${most}`;
    return least !== null ? `≥ ${least}` : most !== null ? `≤ ${most}` : '*';
  };
  return one.distances.map((way) => `[${way.map(distance).join(', ')}]`).join(' ');
}

function instanceText({ statement, point }) {
  return `${statement}[${point.join(', ')}]`;
}

function kindsLegend() {
  const meaning = {
    flow: 'flow: the later one reads what the earlier one wrote', reduction: 'reduction: both update one element, in either order',
    anti: 'anti: the later one overwrites what the earlier one read', output: 'output: both write one element',
  };
  const kinds = Object.keys(meaning).filter((kind) => report.dependences.some((one) => one.kind === kind));
  return el('div', { class: 'legend' }, kinds.map((kind) => el('span', {}, el('span', { class: `key ${kind}` }), meaning[kind])));
}

// ── The graph ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function graphPicture() {
  const { nodes, edges, node: [width, height], size } = data.graph;
  const margin = 20;
  const place = (at) => [nodes[at][1] + margin, nodes[at][2] + margin];
  const shapes = [];
  const texts = [];
  let right = size[0] + 2 * margin;
  for (const edge of edges) {
    const all = edge.dependences.map((at) => report.dependences[at]);
    const kind = ['flow', 'reduction', 'anti', 'output'].find((one) => all.some((each) => each.kind === one));
    const label = [...new Set(all.map((one) => `${one.kind} ${vectorsOfDependence(one)}`.trim()))].join(', ');
    const most = edge.from === edge.to ? 30 : 46;
    const shown = label.length > most ? `${label.slice(0, most - 1)}…` : label;
    const { d, tip, text } = edge.from < edge.to ? down(edge, edges, place, height, width) : around(edge, place, width, height);
    const say = () => showDependence(edge.dependences);
    shapes.push(draw('g', { class: 'dependence', role: 'button', tabindex: 0, 'aria-label': `${nodes[edge.from][0]} to ${nodes[edge.to][0]}: ${label}`, onclick: say,
      onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); say(); } } },
    draw('path', { class: `edge ${kind}`, d }), draw('path', { class: `tip ${kind}`, d: tip }), draw('path', { class: 'hit', d }), draw('title', {}, label)));
    if (edge.from >= edge.to || edges.length < 14) {
      texts.push(draw('text', { class: 'label', x: text[0], y: text[1] }, shown));
      right = Math.max(right, text[0] + shown.length * 6.7 + 8);
    }
  }
  const boxes = nodes.map(([name], at) => {
    const [x, y] = place(at);
    return draw('g', { refs: [`statement:${name}`] }, draw('rect', { class: 'box', x: x - width / 2, y: y - height / 2, width, height, rx: 7 }),
      draw('text', { x, y: y + 4, 'text-anchor': 'middle' }, name), draw('title', {}, statementNamed.get(name)?.formula || name));
  });
  const image = picture(right, size[1] + 2 * margin, 'Which statement depends on which', shapes, texts, boxes);
  if (right > 700) image.style.maxWidth = 'none';
  return image;
}

/** An edge to a statement further down: edges that leave a node are side by side, and so are their labels below each other. */
function down(edge, edges, place, height, width) {
  const [from, to] = [place(edge.from), place(edge.to)];
  const own = (end) => edges.filter((other) => other.from < other.to && other[end] === edge[end]);
  const spread = (end, x) => {
    const all = own(end);
    const room = Math.min(width * 0.6, 26 * (all.length - 1));
    return x - room / 2 + (all.length > 1 ? (room * all.indexOf(edge)) / (all.length - 1) : 0);
  };
  const start = [spread('from', from[0]), from[1] + height / 2];
  const end = [spread('to', to[0]), to[1] - height / 2];
  let d = `M${start.join(' ')}`;
  let last = start;
  for (const point of [...edge.bends.map(([x, y]) => [x + 20, y + 20]), [end[0], end[1] - 4]]) {
    const middle = (last[1] + point[1]) / 2;
    d += `C${last[0]} ${middle} ${point[0]} ${middle} ${point.join(' ')}`;
    last = point;
  }
  return { d, tip: `M${end.join(' ')}l-4 -8h8Z`, text: [start[0] + 6, start[1] + 14 + 12 * own('from').indexOf(edge)] };
}

/** An edge of a statement to itself, or back to an earlier one: at the right side. */
function around(edge, place, width, height) {
  const [from, to] = [place(edge.from), place(edge.to)];
  const [y1, y2] = edge.from === edge.to ? [from[1] + height / 4, to[1] - height / 4] : [from[1], to[1]];
  const [x1, x2] = [from[0] + width / 2, to[0] + width / 2];
  const out = Math.max(x1, x2) + 22;
  return { d: `M${x1} ${y1}H${out}V${y2}H${x2 + 6}`, tip: `M${x2} ${y2}l8 -4v8Z`, text: [out + 6, (y1 + y2) / 2 + 4] };
}

function showDependence(numbersOf) {
  document.getElementById('dependence').replaceChildren(...numbersOf.map((at) => {
    const one = report.dependences[at];
    return el('div', { class: 'card' }, el('h2', {}, el('span', { class: `key ${one.kind}` }), ` ${one.kind}: `, named(one.from), ' → ', named(one.to)),
      one.distances.length > 0 && el('p', {}, el('span', { class: 'soft' }, `apart by, in ${one.loops.join(', ')}: `), el('code', {}, vectorsOfDependence(one))),
      one.example && el('p', {}, el('span', { class: 'soft' }, 'for example: '), pairText(one.example, one.kind)),
      el('p', {}, el('span', { class: 'soft' }, 'all pairs: '), el('code', {}, one.relation)));
  }));
  document.getElementById('dependence').scrollIntoView({ block: 'nearest' });
}

function dependenceTable() {
  const rows = report.dependences.map((one, at) => el('tr', { refs: [`statement:${one.from}`, `statement:${one.to}`], onclick: () => showDependence([at]) },
    el('td', {}, el('span', { class: `key ${one.kind}` }), one.kind), el('td', {}, el('code', {}, one.from)), el('td', {}, el('code', {}, one.to)),
    el('td', {}, el('code', {}, vectorsOfDependence(one))),
    el('td', {}, one.example ? el('code', {}, `${instanceText(one.example.source)} → ${instanceText(one.example.sink)}`) : '')));
  return tableOf(['kind', 'from', 'to', 'distances', 'example'], rows);
}

// ── Why not ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

function whyCard() {
  const names = report.loops.map((one) => one.name);
  if (!names.length) return '';
  const first = report.loops.find((one) => one.conflict) || report.loops[0];
  const card = el('div', { class: 'card', id: 'why' }, el('h2', {}, 'Why not at once?'),
    el('div', { class: 'controls' }, el('label', {}, 'loop', choice('Loop', names, first.name, (name) => showWhy(name)))),
    el('div', { id: 'because', 'aria-live': 'polite' }));
  queueMicrotask(() => showWhy(first.name));
  selection.watch((ref) => {
    const [kind, name] = ref ? parts(ref) : [];
    if (kind === 'loop') showWhy(name);
  });
  return card;
}

/** Opens the pane with the answer for a loop. */
function askWhy(name) {
  openPane('dependences');
  showWhy(name);
  document.getElementById('why').scrollIntoView({ block: 'start' });
}

function showWhy(name) {
  const one = loopNamed.get(name);
  const select = document.querySelector('#why select');
  if (!one || !select) return;
  select.value = name;
  const answer = [el('p', {}, named(name), ' runs ', loopKind(one), '.')];
  if (one.conflict) {
    answer.push(el('p', {}, el('span', { class: 'bad' }, 'Two of its iterations cannot run at once: '), pairText(one.conflict.pair, one.conflict.kind)));
    if (one.kind !== 'in order' && !one.kind.startsWith('unrolled')) answer.push(el('p', { class: 'soft' }, 'They update one result, and what runs at once is combined afterwards.'));
  } else if (one.coincident) {
    answer.push(el('p', {}, el('span', { class: 'good' }, 'Its iterations may run at once: '), 'nothing depends on anything there.'));
  } else {
    answer.push(el('p', {}, 'Whether its iterations may run at once was too much work to find out.'));
  }
  if (one.tried.length) answer.push(el('h3', {}, 'Other commands, tried on the finished schedule'), tableOf(['command', 'outcome', 'why'], one.tried.map(triedRow)));
  document.getElementById('because').replaceChildren(...answer);
  remark();
}

function triedRow({ command, outcome, conflict, why }) {
  const words = { legal: 'legal', conflict: 'not legal', 'does-not-fit': 'does not fit', 'too-much-work': 'too much work to prove' };
  return el('tr', {}, el('td', {}, el('code', {}, command)), el('td', { class: outcome === 'legal' ? 'good' : 'bad' }, words[outcome]),
    el('td', {}, conflict ? pairText(conflict.pair, conflict.kind) : why));
}

/** Two instances, with a way to see them where they are in a picture. */
function pairText(pair, kind) {
  const through = pair.through ? el('span', {}, ' through ', el('code', { refs: [`tensor:${pair.through.split('[')[0]}`] }, pair.through)) : '';
  const text = [el('code', { refs: [`statement:${pair.source.statement}`] }, instanceText(pair.source)), ' and ',
    el('code', { refs: [`statement:${pair.sink.statement}`] }, instanceText(pair.sink)), `: ${kind}`, through];
  const seen = pair.source.statement === pair.sink.statement && data.models.some((model) => modelWith(model, pair));
  if (seen) text.push(' ', el('button', { type: 'button', onclick: () => seePair(pair) }, 'show the two'));
  return el('span', {}, text);
}

function modelWith(model, pair) {
  const of = model.statements.find((one) => one.statement === pair.source.statement);
  if (!of || !of.count) return false;
  const all = decoded(of);
  const holds = (point) => all.point.length === point.length && all.point[0]?.some((_, i) => point.every((value, dim) => all.point[dim][i] === value));
  return holds(pair.source.point) && holds(pair.sink.point);
}

/** Opens the pane of instances at the two, in dimensions in which they differ. */
function seePair(pair) {
  openPane('iterations');
  if (!modelWith(modelNow(), pair)) chooseModel(data.models.findIndex((model) => modelWith(model, pair)));
  chooseStatement(pair.source.statement);
  const dims = pair.source.point.map((_, dim) => dim);
  const differ = dims.filter((dim) => pair.source.point[dim] !== pair.sink.point[dim]);
  const shown = [...differ, ...dims.filter((dim) => !differ.includes(dim))].slice(0, 2).sort((a, b) => a - b);
  if (shown.length === 2) [iterations.down, iterations.right] = shown;
  iterations.pair = [pair.source.point, pair.sink.point];
  showControls();
  showPlane();
}
