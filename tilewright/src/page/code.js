'use strict';
// The texts of the later stages, two side by side, with the lines that belong together.

const code = { shown: [], pinned: null };
const STAGES = { loops: 'loops', llvm: 'LLVM IR', asm: 'assembly', cuda: 'CUDA C++', opencl: 'OpenCL C', ptx: 'PTX' };

function showCode(panel) {
  if (!report.code.length) {
    panel.append(el('p', {}, 'No text of the later stages is in this report.'));
    return;
  }
  const stages = report.code.map((listing) => listing.stage);
  const last = ['asm', 'ptx', 'opencl'].find((stage) => stages.includes(stage)) || stages[stages.length - 1];
  code.shown = stages.length > 1 ? [stages[0], last] : [stages[0]];
  const linked = report.code.some((listing) => listing.stage !== 'loops' && listing.lines.some((lines) => lines.length));
  panel.append(el('p', { class: 'lead' }, linked ? 'Choose a line to see what it was made from, or what was made from it, in the other text. Loops are chosen in all panes.'
    : 'Choose the head of a loop to see it in all panes.'), el('div', { class: 'columns', id: 'listings' }));
  showListings();
  selection.watch((ref) => {
    if (ref && parts(ref)[0] === 'loop') scrollTo_(ref);
  });
}

const listingOf = (stage) => report.code.find((listing) => listing.stage === stage);

function showListings() {
  document.getElementById('listings').replaceChildren(...code.shown.map((stage, side) => listingFigure(stage, side)));
  remark();
}

/** For each line of the text of the loops, the loops of the schedule that begin there. */
const loopsOfLines = (() => {
  const found = new Map();
  const listing = report.code.find((one) => one.stage === 'loops');
  for (const { line, variable, loops } of listing?.links || []) {
    const names = loops && loops.length ? loops : report.loops.filter((one) => one.name.endsWith(`.${variable}`)).map((one) => one.name).slice(0, 1);
    found.set(line, names);
  }
  return found;
})();

function listingFigure(stage, side) {
  const listing = listingOf(stage);
  const lines = listing.text.replace(/\n$/, '').split('\n');
  const rows = lines.map((text, at) => {
    const loops = stage === 'loops' ? loopsOfLines.get(at) || [] : [];
    return el('span', { class: 'line', 'data-number': at + 1, 'data-line': at, refs: loops.length ? loops.map((name) => `loop:${name}`) : undefined }, text || ' ');
  });
  const pre = el('pre', { tabindex: 0, 'aria-label': `${STAGES[stage] || stage}, ${lines.length} lines`,
    onclick: (event) => pin(stage, event.target.closest('.line')), onpointerover: (event) => link(stage, event.target.closest?.('.line')),
    onpointerleave: () => clearLinks('linked') }, rows);
  const pick = choice(`Text ${side + 1}`, report.code.map((one) => one.stage), stage, (next) => {
    code.shown[side] = next;
    showListings();
  });
  [...pick.options].forEach((option) => { option.textContent = STAGES[option.value] || option.value; });
  return el('div', { class: 'listing', 'data-stage': stage }, el('div', { class: 'head' }, pick, el('span', { class: 'soft' }, plural(lines.length, 'line'))), pre);
}

/** The lines of another text that belong to a line of this one. */
function linesIn(stage, at, other) {
  const own = new Set(listingOf(stage).lines[at] || []);
  if (!own.size) return [];
  const found = [];
  listingOf(other).lines.forEach((lines, line) => { if (lines.some((one) => own.has(one))) found.push(line); });
  return found;
}

function clearLinks(style) {
  document.querySelectorAll(`.listing .${style}`).forEach((line) => line.classList.remove(style));
}

/** Marks a line and what belongs to it in the other text; the first element that was marked there. */
function markLinks(stage, element, style) {
  clearLinks(style);
  if (!element) return null;
  element.classList.add(style);
  let first = null;
  for (const figure of document.querySelectorAll('#listings .listing')) {
    const other = figure.dataset.stage;
    if (other === stage) continue;
    const all = figure.querySelectorAll('.line');
    linesIn(stage, Number(element.dataset.line), other).forEach((line) => {
      all[line]?.classList.add(style);
      first = first || all[line];
    });
  }
  return first;
}

function link(stage, element) {
  markLinks(stage, element, 'linked');
}

function pin(stage, element) {
  const first = markLinks(stage, element, 'pinned');
  if (first) inView(first);
}

/** Scrolls only the text that a line is in. */
function inView(line) {
  const pre = line.closest('pre');
  const at = line.offsetTop - pre.offsetTop;
  if (at < pre.scrollTop || at > pre.scrollTop + pre.clientHeight - 40) pre.scrollTop = Math.max(0, at - pre.clientHeight / 3);
}

function scrollTo_(ref) {
  const line = document.querySelector(`#listings .line[data-refs~="${CSS.escape(ref)}"]`);
  if (!line) return;
  pin('loops', line);
  inView(line);
}
