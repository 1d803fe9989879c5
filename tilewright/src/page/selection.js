'use strict';
// What is under the pointer and what is chosen, in all panes at once.
//
// An element says in `data-refs` what it names: `statement:C.init`, `tensor:A`, `loop:C.init.m`, the most particular one first.

const statementNamed = new Map([...report.source_statements, ...report.statements].map((one) => [one.name, one]));
const tensorNamed = new Map(report.tensors.map((one) => [one.name, one]));
const loopNamed = new Map(report.loops.map((one) => [one.name, one]));

const selection = {
  /** `statement:C.init` or null. */
  chosen: null,
  listeners: [],
  /** Calls `told` with the reference whenever another one is chosen. */
  watch(told) { this.listeners.push(told); },
  choose(ref) {
    this.chosen = ref;
    mark('chosen', ref ? [ref] : []);
    mark('near', ref ? related(ref) : []);
    showChosen();
    this.listeners.forEach((told) => told(ref));
  },
};

function parts(ref) {
  const at = ref.indexOf(':');
  return [ref.slice(0, at), ref.slice(at + 1)];
}

/** What has to do with something: the statements of a loop, the loops and tensors of a statement, the users of a tensor. */
function related(ref) {
  const [kind, name] = parts(ref);
  if (kind === 'loop') return (loopNamed.get(name)?.statements || []).map((stmt) => `statement:${stmt}`);
  if (kind === 'tensor') {
    const users = [...statementNamed.values()].filter((stmt) => stmt.accesses.some((access) => access.tensor === name));
    return users.map((stmt) => `statement:${stmt.name}`);
  }
  const loops = report.loops.filter((one) => one.statements.includes(name)).map((one) => `loop:${one.name}`);
  return loops.concat((statementNamed.get(name)?.accesses || []).map((access) => `tensor:${access.tensor}`));
}

/** Gives a class to all that names one of some things, and takes it from all else. */
function mark(name, refs) {
  document.querySelectorAll(`.${name}[data-refs]`).forEach((element) => element.classList.remove(name));
  for (const ref of new Set(refs)) {
    document.querySelectorAll(`[data-refs~="${CSS.escape(ref)}"]`).forEach((element) => element.classList.add(name));
  }
}

/** Marks again what was drawn anew. */
function remark() {
  mark('chosen', selection.chosen ? [selection.chosen] : []);
  mark('near', selection.chosen ? related(selection.chosen) : []);
}

function refOf(target) {
  return refsOf(target)[0] || null;
}

function refsOf(target) {
  const element = target instanceof Element ? target.closest('[data-refs]') : null;
  return element ? element.getAttribute('data-refs').split(' ').filter(Boolean) : [];
}

function showChosen() {
  const bar = document.getElementById('chosen');
  if (!selection.chosen) {
    bar.replaceChildren(el('span', {}, 'Choose a statement, a tensor or a loop: it is shown in every pane.'));
    return;
  }
  const [kind, name] = parts(selection.chosen);
  const said = { statement: saidOfStatement, tensor: saidOfTensor, loop: saidOfLoop }[kind](name);
  const clear = el('button', { type: 'button', title: 'Esc', onclick: () => selection.choose(null) }, 'clear');
  bar.replaceChildren(el('span', {}, kind), el('strong', {}, name), ...said, clear);
}

function saidOfStatement(name) {
  const stmt = statementNamed.get(name);
  if (!stmt) return [];
  return [el('code', {}, stmt.formula), stmt.instances && el('span', {}, `${amount(stmt.instances, whole)} instances`)].filter(Boolean);
}

function saidOfTensor(name) {
  const tensor = tensorNamed.get(name);
  if (!tensor) return [];
  const size = tensor.bytes === null ? '' : `, ${bytes(tensor.bytes)}`;
  return [el('span', {}, `${tensor.dtype}[${tensor.shape.join(', ')}]${size}, ${tensor.role}, in ${tensor.memory} memory`)];
}

function saidOfLoop(name) {
  const one = loopNamed.get(name);
  if (!one) return [];
  const touched = one.bytes ? `, touches ${amount(one.bytes)} each${one.held_by ? ` (fits ${one.held_by})` : ''}` : '';
  const why = one.kind === 'in order' || one.kind.startsWith('unrolled');
  return [
    loopKind(one),
    el('span', {}, `${trips(one)} iterations${touched}`),
    why && el('button', { type: 'button', onclick: () => askWhy(name) }, 'why not at once?'),
  ].filter(Boolean);
}

document.addEventListener('pointerover', (event) => {
  const refs = refsOf(event.target);
  mark('lit', refs.flatMap((ref) => [ref, ...(parts(ref)[0] === 'loop' ? related(ref) : [])]));
});
document.addEventListener('focusin', (event) => {
  const refs = refsOf(event.target);
  if (refs.length) mark('lit', refs);
});
document.addEventListener('click', (event) => {
  const ref = refOf(event.target);
  if (ref && !event.target.closest('button, select, input')) selection.choose(ref === selection.chosen ? null : ref);
});
