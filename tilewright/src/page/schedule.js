'use strict';
// The schedule tree, and the script: each command with what was before and after it.

function showTree(panel) {
  panel.append(el('p', { class: 'lead' }, 'From the outside in: a box is a band of loops, with how each runs and how often; '
    + 'what is inside runs once for each iteration.'), treeOf(report.tree));
}

function treeOf(node) {
  switch (node.node) {
    case 'band': {
      const rows = node.loops.map((name) => treeRow(name));
      const several = node.loops.length > 1 && el('span', { class: 'soft' }, node.permutable ? 'may be permuted and tiled' : 'in this order only');
      return el('div', { class: 'band' }, el('div', { class: 'rows' }, rows, several && el('div', { class: 'tree-row marks' }, several)), treeOf(node.child));
    }
    case 'sequence':
    case 'set': {
      const said = node.node === 'sequence' ? 'one after another' : 'in any order';
      return el('div', { class: 'sequence' }, el('div', { class: 'said' }, said), node.children.map(treeOf));
    }
    case 'mark': return el('div', {}, el('span', { class: 'kind' }, node.name), treeOf(node.child));
    default: return el('div', {}, node.statements.map((name) => {
      const stmt = statementNamed.get(name);
      return el('div', { class: 'leaf', refs: [`statement:${name}`], title: name }, stmt ? stmt.formula : name);
    }));
  }
}

function treeRow(name) {
  const one = loopNamed.get(name);
  if (!one) return el('div', { class: 'tree-row' }, el('span', { class: 'name' }, `for ${name}`));
  const touched = one.bytes ? `${amount(one.bytes)}${one.held_by ? ` in ${one.held_by}` : ''}` : '';
  return el('div', { class: 'tree-row', refs: [`loop:${name}`] },
    el('span', { class: 'name' }, `for ${name}`), loopKind(one), el('span', {}, one.trips ? `${trips(one)} ×` : ''),
    touched && el('span', { class: 'marks' }, `touches ${touched}`), one.marks.length > 0 && el('span', { class: 'marks' }, one.marks.join('; ')));
}

// ── The script ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const script = { outlines: [report.source_order], at: 0 };

/** An outline after a change: see `Change::apply` in `report/script.rs`. */
function changedOutline(before, change) {
  if (!change) return before;
  return [...before.slice(0, change.line), ...change.added, ...before.slice(change.line + change.removed.length)];
}

function showScript(panel) {
  if (!report.script.length) {
    panel.append(el('p', {}, 'There is no command: the program runs in the order of the source.'), outlineOf(report.source_order, new Map()));
    return;
  }
  report.script.forEach((step, at) => script.outlines.push(changedOutline(script.outlines[at], step.change)));
  const items = report.script.map((step, at) => el('li', { role: 'option', 'aria-selected': 'false', title: step.command.split('\n')[0], onclick: () => showStep(at) },
    el('span', { class: 'number' }, at + 1), el('span', { class: 'name' }, step.command.split('\n')[0])));
  const list = el('ol', { class: 'list steps', role: 'listbox', 'aria-label': 'Commands of the script', id: 'steps' }, items);
  arrowKeys(list, () => items, { follow: true, pick: (item) => showStep(items.indexOf(item)) });
  panel.append(el('p', { class: 'lead' }, 'Each command changes the order that the one before left, and each was proved. The arrow keys walk through them.'),
    el('div', { class: 'split' }, list, el('div', { id: 'step', 'aria-live': 'polite' })));
  showStep(0);
}

function showStep(at) {
  script.at = at;
  const step = report.script[at];
  [...document.querySelectorAll('#steps > li')].forEach((item, i) => item.setAttribute('aria-selected', String(i === at)));
  seenIn(document.getElementById('steps'), document.querySelector(`#steps > li:nth-child(${at + 1})`));
  const { change } = step;
  const lines = (from, list, style) => new Map(list.map((_, i) => [from + i, style]));
  const before = change ? lines(change.line, change.removed, 'removed') : new Map();
  const after = change ? lines(change.line, change.added, 'added') : new Map();
  const number = `${at + 1} of ${report.script.length}`;
  const go = (by) => el('button', { type: 'button', disabled: !report.script[at + by], onclick: () => showStep(at + by) }, by < 0 ? '◀ before' : 'next ▶');
  document.getElementById('step').replaceChildren(...[
    el('div', { class: 'controls' }, el('span', { class: 'soft' }, `command ${number}`), go(-1), go(1)),
    commandText(step.command),
    step.reason && el('p', {}, el('span', { class: 'soft' }, 'why: '), step.reason),
    el('p', {}, el('span', { class: 'soft' }, 'proof: '), el('span', { class: 'good' }, '✓ '), step.proved),
    step.tensors.length > 0 && el('p', {}, el('span', { class: 'soft' }, 'tensors: '), step.tensors.map((tensor) =>
      el('code', { refs: [`tensor:${tensor.name}`] }, `${tensor.name}[${tensor.shape.join(', ')}] in ${tensor.memory}${tensor.layout ? `, ${tensor.layout}` : ''} `))),
    change ? el('div', { class: 'columns' },
      el('div', {}, el('h3', {}, 'before'), outlineOf(script.outlines[at], before)),
      el('div', {}, el('h3', {}, 'after'), outlineOf(script.outlines[at + 1], after)))
      : el('div', {}, el('p', { class: 'soft' }, 'The order of the loops stays as it is:'), outlineOf(script.outlines[at], new Map())),
  ].filter(Boolean));
  for (const outline of document.querySelectorAll('#step .outline')) {
    const first = outline.querySelector('.removed, .added');
    if (first) outline.scrollTop = Math.max(0, first.offsetTop - outline.offsetTop - 40);
  }
  remark();
}

/** A command; one of many lines is folded. */
function commandText(command) {
  const [first, ...rest] = command.split('\n');
  if (!rest.length) return el('pre', { class: 'source' }, first);
  return el('details', {}, el('summary', {}, el('code', {}, `${first} … (${rest.length} lines)`)), el('pre', { class: 'source' }, command));
}

/** Lines of an outline; `styles` has the classes of some of them. */
function outlineOf(lines, styles) {
  const line = (text, at) => {
    const name = text.trim();
    const loop = name.match(/^for ([^:]+)/);
    const ref = loop ? `loop:${loop[1]}` : `statement:${name}`;
    const known = loop ? loopNamed.has(loop[1]) : statementNamed.has(name);
    return el('span', { class: styles.get(at), refs: known ? [ref] : undefined }, `${text}\n`);
  };
  return el('pre', { class: 'outline', tabindex: 0 }, lines.map(line));
}
