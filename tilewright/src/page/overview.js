'use strict';
// The first pane: what this is, in numbers; which nests run together; what was not done.

function fact(value, said) {
  return el('div', {}, el('b', {}, value), el('span', {}, said));
}

function showOverview(panel) {
  const made = report.statements.filter((stmt) => stmt.is_made).length;
  const facts = [
    fact(whole(report.source_statements.length), made ? `statements, and ${made} that commands made` : 'statements in the source'),
    fact(whole(report.loops.length), 'loops in the schedule'),
    fact(whole(report.script.length), report.script.length ? 'commands, each proved' : 'commands: the order of the source'),
  ];
  if (report.work) {
    facts.push(fact(large(report.work.flops), 'operations'));
    facts.push(fact(decimal(report.work.flops / report.work.bytes), 'operations for each byte that must be moved'));
  }
  if (report.time) {
    facts.push(fact(seconds(report.time.measured.seconds), `measured, least of ${report.time.measured.calls} calls`));
    facts.push(fact(seconds(report.time.predicted), `at least, by the limit that binds: ${report.time.bound_by}`));
  }
  panel.append(el('p', { class: 'lead' }, `How Tilewright runs ${report.definition} on ${report.target}: `
    + 'every statement, loop and tensor below is the same in all panes.'), el('div', { class: 'facts' }, facts));
  panel.append(howItRuns());
  report.plans.forEach((plan) => panel.append(planCard(plan)));
  if (report.remarks.length) {
    const rows = report.remarks.map(({ stage, entity, what, why }) =>
      el('tr', {}, el('td', {}, stage), el('td', {}, named(entity)), el('td', {}, what), el('td', {}, why)));
    panel.append(el('div', { class: 'card' }, el('h2', {}, 'What was not done'), tableOf(['by', 'of', 'what', 'why'], rows)));
  }
  panel.append(tensorsCard());
}

/** A name as a link to what it names. */
function named(name) {
  const kind = statementNamed.has(name) ? 'statement' : loopNamed.has(name) ? 'loop' : tensorNamed.has(name) ? 'tensor' : null;
  return kind ? el('code', { refs: [`${kind}:${name}`] }, name) : el('code', {}, name);
}

/** A table; a head that begins with `#` is over numbers. */
function tableOf(heads, rows) {
  const head = heads.map((text) => el('th', { class: text.startsWith('#') ? 'number' : null, scope: 'col' }, text.replace(/^#/, '')));
  return el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)));
}

/** In sentences: what runs at once, what is copied. */
function howItRuns() {
  const of = (test) => report.loops.filter(test);
  const said = [];
  const list = (loops) => loops.flatMap((one, at) => [at ? ', ' : '', named(one.name)]);
  const threads = of((one) => one.kind === 'parallel');
  if (threads.length) said.push(el('li', {}, 'On threads: ', list(threads), '.'));
  const blocks = of((one) => one.kind.startsWith('block') || one.kind.startsWith('thread'));
  if (blocks.length) said.push(el('li', {}, 'On blocks and threads of the device: ', list(blocks), '.'));
  const vectors = of((one) => one.kind.startsWith('vector'));
  if (vectors.length) said.push(el('li', {}, 'In the lanes of vectors: ', list(vectors), '.'));
  const free = of((one) => one.kind === 'in order' && one.coincident);
  const bound = of((one) => one.kind === 'in order' && one.conflict);
  if (bound.length) said.push(el('li', {}, 'In order, since iterations depend on each other: ', list(bound), '.'));
  if (free.length) said.push(el('li', {}, 'In order by choice, though nothing depends on anything there: ', list(free), '.'));
  of((one) => one.marks.length).forEach((one) => said.push(el('li', {}, 'At ', named(one.name), ': ', one.marks.join('; '), '.')));
  return el('div', { class: 'card' }, el('h2', {}, 'How it runs'), said.length ? el('ul', {}, said) : el('p', {}, 'In the order of the source.'));
}

function planCard(plan) {
  const rows = plan.groups.map((group, at) => el('tr', {},
    el('td', { class: 'number' }, at + 1), el('td', {}, group.form),
    el('td', { class: 'number' }, group.bytes.length ? bytes(group.bytes[group.bytes.length - 1]) : ''),
    el('td', { class: 'number' }, whole(group.cost)),
    el('td', {}, group.statements.flatMap((name, i) => [i ? ', ' : '', named(name)]))));
  const next = plan.runner_up
    ? `The next best plan has ${plural(plan.runner_up.length, 'group')} and ${whole(plan.runner_up_cost)} cycles.`
    : 'There is no other plan.';
  return el('div', { class: 'card' }, el('h2', {}, 'Which nests run together'),
    el('p', {}, `${plural(plan.groups.length, 'group')}, ${whole(plan.cost)} cycles predicted; ${whole(plan.apart)} with each nest by itself. ${next}`),
    tableOf(['#', 'form', '#memory', '#cycles', 'statements'], rows));
}

function tensorsCard() {
  const rows = report.tensors.map((tensor) => el('tr', { refs: [`tensor:${tensor.name}`] },
    el('td', {}, el('code', {}, tensor.name)), el('td', {}, tensor.dtype), el('td', {}, `[${tensor.shape.join(', ')}]`),
    el('td', { class: 'number' }, tensor.bytes === null ? '' : bytes(tensor.bytes)), el('td', {}, tensor.role),
    el('td', {}, tensor.memory), el('td', {}, [tensor.layout && el('code', {}, tensor.layout), tensor.streamed && ' stored past the caches'])));
  return el('div', { class: 'card' }, el('h2', {}, 'Tensors'), tableOf(['name', 'type', 'shape', '#bytes', 'role', 'memory', 'layout'], rows));
}
