'use strict';
// Kernels of a device: blocks and threads, what threads share and how its banks are used, where threads wait.

function showDevice(panel) {
  panel.append(el('p', { class: 'lead' }, 'A kernel runs as a grid of blocks; the threads of a block share memory and wait for each other at barriers. '
    + 'Threads run in warps, which do each instruction together.'));
  report.kernels.forEach((kernel) => panel.append(kernelCard(kernel)));
}

function kernelCard(kernel) {
  const dims = (list) => list.map((one) => one.extent).join(' × ') || '1';
  const facts = el('div', { class: 'facts' },
    fact(dims(kernel.grid), kernel.blocks === null ? 'blocks' : `blocks: ${whole(kernel.blocks)}`),
    fact(dims(kernel.block), `threads of a block: ${whole(kernel.threads)}, ${plural(Math.ceil(kernel.threads / kernel.warp), 'warp')}`),
    fact(bytes(kernel.shared_bytes), 'shared memory of a block'), fact(whole(kernel.barriers.length), 'barriers in the text'));
  const axis = (one) => el('tr', {}, el('td', {}, one.axis), el('td', {}, el('code', {}, one.variable)), el('td', { class: 'number' }, one.extent),
    el('td', {}, one.loops.map((name, at) => [at ? ', ' : '', named(name)])));
  return el('div', { class: 'card kernel' }, el('h2', {}, `Kernel ${kernel.name}`), facts,
    el('div', { class: 'columns' }, el('div', {}, el('h3', {}, 'Blocks and threads'), gridPicture(kernel)),
      el('div', {}, el('h3', {}, 'What they stand for'), tableOf(['axis', 'variable', '#how many', 'loops'], [...kernel.grid, ...kernel.block].map(axis)))),
    sharedCard(kernel), barriersCard(kernel), accessesCard(kernel));
}

/** The grid, and one of its blocks with its threads by warp. */
function gridPicture(kernel) {
  const count = (list, at) => list[at]?.count ?? 1;
  const [gx, gy] = [count(kernel.grid, 0), count(kernel.grid, 1)];
  const shown = [Math.min(gx, 16), Math.min(gy, 16)];
  const cell = Math.min(130 / Math.max(...shown), 22);
  const blocks = [];
  for (let y = 0; y < shown[1]; y += 1) {
    for (let x = 0; x < shown[0]; x += 1) blocks.push(draw('rect', { class: 'block', x: 2 + x * cell, y: 20 + y * cell, width: cell - 1, height: cell - 1 }, draw('title', {}, `block ${x}, ${y}`)));
  }
  const [tx, ty, tz] = [count(kernel.block, 0), count(kernel.block, 1), count(kernel.block, 2)];
  const columns = Math.min(tx, 64);
  const rows = Math.min(Math.ceil((tx * ty * tz) / columns), 64);
  const size = Math.min(210 / columns, 150 / rows, 14);
  const left = 150;
  const threads = [];
  for (let i = 0; i < Math.min(columns * rows, kernel.threads); i += 1) {
    const warp = Math.floor(i / kernel.warp);
    const place = `thread ${i % tx}, ${Math.floor(i / tx) % ty}${tz > 1 ? `, ${Math.floor(i / (tx * ty))}` : ''}: warp ${warp}`;
    threads.push(draw('rect', { class: `thread warp${warp % 2}`, x: left + (i % columns) * size, y: 20 + Math.floor(i / columns) * size, width: size - 0.5, height: size - 0.5 }, draw('title', {}, place)));
  }
  const cut = gx > shown[0] || gy > shown[1] ? ` (${shown[0]} × ${shown[1]} shown)` : '';
  const height = 28 + Math.max(shown[1] * cell, rows * size);
  const image = picture(left + Math.max(columns * size, 150) + 4, height, 'Blocks and threads', draw('text', { class: 'soft', x: 2, y: 12 }, `grid${cut}`), draw('text', { class: 'soft', x: left, y: 12 }, 'one block: threads by warp'), blocks, threads);
  image.setAttribute('class', 'grid-picture');
  return image;
}

function sharedCard(kernel) {
  if (!kernel.shared.length) return '';
  const rows = kernel.shared.map((one) => el('tr', { refs: [`tensor:${one.tensor}`] }, el('td', {}, el('code', {}, one.tensor)),
    el('td', {}, `[${one.extent.join(', ')}]`), el('td', {}, `[${one.strides.join(', ')}]`), el('td', { class: 'number' }, `${one.element} B`), el('td', { class: 'number' }, bytes(one.bytes))));
  return el('div', {}, el('h3', {}, 'Shared memory'), tableOf(['tensor', 'extent', 'elements between neighbours', '#element', '#bytes'], rows));
}

function barriersCard(kernel) {
  if (!kernel.barriers.length) return '';
  const touches = (list) => list.map((one, at) => [at ? ', ' : '', one.writes ? 'write ' : 'read ', named(one.tensor)]);
  const rows = kernel.barriers.map((one) => el('tr', {}, el('td', { class: 'number' }, lineButton(one.line)), el('td', {}, touches(one.before)), el('td', {}, touches(one.after)),
    el('td', {}, one.orders.map((pair, at) => [at ? '; ' : '', named(pair.from), ' before ', named(pair.to), ` (${pair.kind})`]))));
  return el('div', {}, el('h3', {}, 'Where threads wait'), tableOf(['#line', 'before it, threads', 'after it, threads', 'so that'], rows));
}

/** A way to a line of the text of the loops. */
function lineButton(line) {
  return el('button', { type: 'button', title: 'Show the line', onclick: () => {
    openPane('code');
    if (!code.shown.includes('loops')) { code.shown[0] = 'loops'; showListings(); }
    const element = document.querySelector(`.listing[data-stage="loops"] .line[data-line="${line}"]`);
    if (element) { pin('loops', element); inView(element); }
  } }, line + 1);
}

function accessesCard(kernel) {
  if (!kernel.accesses.length) return '';
  const cost = (one) => (one.least_all ? one.takes_all / one.least_all : 1);
  const rows = kernel.accesses.map((one) => {
    const bad = one.memory === 'shared' ? one.degree > 1 : cost(one) > 1.3;
    const unit = one.memory === 'shared' ? 'wavefronts' : 'sectors';
    return el('tr', { refs: [`tensor:${one.tensor}`] }, el('td', { class: 'number' }, lineButton(one.line)), el('td', {}, el('code', {}, one.tensor)), el('td', {}, `${one.memory}, ${one.writes ? 'stored' : 'loaded'}`),
      el('td', { class: 'number' }, `${one.bytes} B`), el('td', { class: 'number' }, `${one.takes} ${unit}`), el('td', { class: 'number' }, one.least),
      el('td', { class: bad ? 'number bad' : 'number good' }, `${decimal(cost(one))}×`), el('td', {}, one.memory === 'shared' ? bankPicture(one) : ''));
  });
  return el('div', {}, el('h3', {}, 'What a warp does to memory at once'),
    el('p', { class: 'soft' }, 'Shared memory has 32 banks, each of which gives one word of 4 bytes at a time: threads that ask one bank for different words wait. Global memory moves sectors of 32 bytes.'),
    tableOf(['#line', 'tensor', 'memory', '#a thread', '#takes', '#at least', '#all warps', 'words asked of each bank'], rows));
}

/** How many different words each of the 32 banks is asked for. */
function bankPicture(access) {
  const words = Array.from({ length: 32 }, () => new Set());
  access.addresses.forEach((address) => {
    if (address === null) return;
    for (let byte = 0; byte < access.bytes; byte += 4) words[Math.floor((address + byte) / 4) % 32].add(Math.floor((address + byte) / 4));
  });
  const most = Math.max(...words.map((set) => set.size), 1);
  const bars = words.map((set, bank) => {
    const height = (14 * set.size) / most;
    return [draw('rect', { class: 'bank', x: 1 + bank * 5, y: 1, width: 4.5, height: 14 }),
      draw('rect', { class: access.degree > 1 && set.size === most ? 'worst' : 'busy', x: 1 + bank * 5, y: 15 - height, width: 4.5, height }, draw('title', {}, `bank ${bank}: ${plural(set.size, 'word')}`))];
  });
  const image = picture(164, 16, `Words asked of each bank, ${most} at most`, bars);
  image.setAttribute('class', 'banks');
  return image;
}

// ── Compile time ────────────────────────────────────────────────────────────────────────────────────────────────────────

function showTimes(panel) {
  const all = report.stages.reduce((sum, stage) => sum + stage.nanoseconds, 0);
  const rows = report.stages.map((stage) => el('tr', {}, el('td', {}, stage.name), el('td', { class: 'number' }, seconds(stage.nanoseconds / 1e9)),
    el('td', { class: 'number' }, `${((100 * stage.nanoseconds) / all).toFixed(1)} %`),
    el('td', { style: 'width:220px' }, el('span', { class: 'bar', style: `margin:8px 0 0;width:${(100 * stage.nanoseconds) / all}%` }))));
  rows.push(el('tr', {}, el('td', {}, el('strong', {}, 'all')), el('td', { class: 'number' }, seconds(all / 1e9)), el('td', {}), el('td', {})));
  panel.append(el('p', { class: 'lead' }, 'How long each stage of making this report took, the stages of compiling among them.'), tableOf(['stage', '#time', '#part', ''], rows));
}
