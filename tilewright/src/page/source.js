'use strict';
// The left side: the source with its statements and tensors, the loops of the schedule, the tensors.

/** The ranges of the source that name something: `{ start, end, refs }` in bytes, outer ones first. */
function rangesOfSource() {
  const found = new Map();
  const add = (place, refs, kind) => {
    if (!place || place.end <= place.start) return;
    const key = `${place.start}-${place.end}`;
    const range = found.get(key) || { ...place, refs: [], kind };
    refs.filter((ref) => !range.refs.includes(ref)).forEach((ref) => range.refs.push(ref));
    found.set(key, range);
  };
  for (const stmt of report.source_statements) {
    add(stmt.place, [`statement:${stmt.name}`], 'statement');
    stmt.accesses.forEach((access) => {
      const whole = access.place && stmt.place && access.place.start === stmt.place.start && access.place.end === stmt.place.end;
      if (!whole) add(access.place, [`tensor:${access.tensor}`], 'tensor');
    });
  }
  report.tensors.filter((tensor) => tensor.role !== 'temporary').forEach((tensor) => {
    const inside = report.source_statements.some((stmt) => stmt.place && tensor.place && tensor.place.start >= stmt.place.start && tensor.place.end <= stmt.place.end);
    if (!inside) add(tensor.place, [`tensor:${tensor.name}`], 'tensor');
  });
  return [...found.values()].sort((a, b) => a.start - b.start || b.end - a.end);
}

/** The source as elements, one inside of the other. */
function sourceText() {
  const encoded = new TextEncoder().encode(report.source.text);
  const decoder = new TextDecoder();
  const slice = (from, to) => withComments(decoder.decode(encoded.slice(from, to)));
  const ranges = rangesOfSource();
  let next = 0;
  const fill = (from, to) => {
    const children = [];
    let at = from;
    while (next < ranges.length && ranges[next].start < to) {
      const range = ranges[next++];
      if (range.start < at || range.end > to) continue;
      children.push(slice(at, range.start));
      children.push(el('span', { class: range.kind, refs: range.refs }, fill(range.start, range.end)));
      at = range.end;
    }
    children.push(slice(at, to));
    return children;
  };
  return fill(0, encoded.length);
}

function withComments(text) {
  return text.split(/(#[^\n]*)/).map((part) => (part.startsWith('#') ? el('span', { class: 'comment' }, part) : part));
}

/** The loops in order, with the statements below the innermost ones around them. */
function rowsOfLoops() {
  const rows = [];
  const walk = (node, depth) => {
    let inside = depth;
    (node.loops || []).forEach((name) => {
      if (loopNamed.has(name)) rows.push({ loop: loopNamed.get(name), depth: inside });
      inside += 1;
    });
    (node.statements || []).forEach((name) => rows.push({ statement: name, depth: inside }));
    childrenOf(node).forEach((child) => walk(child, inside));
  };
  walk(report.tree, 0);
  return rows;
}

function childrenOf(node) {
  return node.children || (node.child ? [node.child] : []);
}

function rowOfLoop({ loop, statement, depth }) {
  const style = `padding-left:${6 + 10 * depth}px`;
  if (statement) {
    const name = el('span', { class: 'name', title: statementNamed.get(statement)?.formula }, statement);
    return el('li', { class: 'formula', style, refs: [`statement:${statement}`] }, name);
  }
  return el('li', { style, refs: [`loop:${loop.name}`], title: loop.marks.join('; ') || null },
    el('span', { class: 'name' }, loop.name), el('span', { class: 'fill' }),
    loop.kind === 'in order' ? null : kindMark(loop.kind), el('span', { class: 'end' }, trips(loop)));
}

function rowOfTensor(tensor) {
  const where = tensor.memory === 'global' ? '' : ` ${tensor.memory}`;
  return el('li', { refs: [`tensor:${tensor.name}`] }, el('span', { class: 'name' }, `${tensor.name}[${tensor.shape.join(', ')}]`),
    el('span', { class: 'fill' }), el('span', { class: 'end' }, `${tensor.role === 'temporary' ? 'temp' : tensor.role}${where}`));
}

/** A list whose items the keyboard walks over and chooses. */
function listOf(label, items) {
  const list = el('ul', { class: 'list', 'aria-label': label, role: 'listbox' }, items);
  items.forEach((item) => item.setAttribute('role', 'option'));
  arrowKeys(list, () => items, { pick: (item) => selection.choose(refOf(item)) });
  return list;
}

function showProgram(lists) {
  if (report.source) {
    lists.append(el('h3', {}, report.source.name.split('/').pop()), el('pre', { class: 'source', tabindex: 0 }, sourceText()));
  }
  lists.append(el('h3', {}, 'Loops of the schedule, iterations'), listOf('Loops', rowsOfLoops().map(rowOfLoop)));
  lists.append(el('h3', {}, 'Tensors'), listOf('Tensors', report.tensors.map(rowOfTensor)));
}
