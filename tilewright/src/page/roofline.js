'use strict';
// A roofline: operations a second that each limit allows, over operations for each byte, on logarithmic axes.

function showRoofline(panel) {
  const model = roofs();
  if (!model) {
    panel.append(el('p', {}, report.work ? `${large(report.work.flops)} operations, ${decimal(report.work.flops / report.work.bytes)} for each byte that must be moved. `
      + 'What this device can do at most is not in its description, so there is no roof to draw.' : 'A roofline needs sizes: give them with -s.'));
    return;
  }
  panel.append(el('p', { class: 'lead' }, model.measured
    ? 'Measured on this machine: what its arithmetic and each of its caches allow, and where this kernel is.'
    : 'From the description of the machine, in operations of one core for each cycle: nothing was measured. `tilewright inspect --measure` puts the measured ceilings and the measured kernel here.'),
  el('div', { class: 'drawing' }, rooflinePicture(model)), limitsCard(model));
}

/** `{ measured, unit, peak, levels: [{ name, rate, intensity, exact }], attained }`, or null without sizes or roofs. */
function roofs() {
  const { work, traffic, time, machine } = report;
  if (!work) return null;
  if (time) {
    const peak = time.limits[0].rate;
    const levels = time.limits.slice(1).map(({ name, rate, intensity, exact }) => ({ name, rate, intensity, exact }));
    return { measured: true, unit: 'FLOP/s', peak, levels, attained: work.flops / time.measured.seconds, predicted: work.flops / time.predicted };
  }
  if (!traffic || !traffic.levels.length || !data.bytes_per_cycle.length) return null;
  const lanes = machine.vector_bytes / (work.dtype === 'float64' ? 8 : 4);
  const peak = 2 * lanes * machine.fma_per_cycle;
  const levels = traffic.levels.map((level, at) => {
    const moved = level.all.fetched.value + level.all.written.value;
    return { name: level.name, rate: data.bytes_per_cycle[at], intensity: work.flops / moved, exact: level.all.fetched.exact && level.all.written.exact };
  });
  const predicted = Math.min(peak, ...levels.map((level) => level.intensity * level.rate));
  return { measured: false, unit: 'FLOP/cycle', peak, levels, attained: null, predicted };
}

function rooflinePicture({ peak, levels, attained, predicted, unit, measured }) {
  const [width, height, left, right, top, bottom] = [760, 360, 70, 190, 24, 46];
  const compulsory = report.work.flops / report.work.bytes;
  const ridges = levels.map((level) => peak / level.rate);
  const xs = [...levels.map((level) => level.intensity), ...ridges, compulsory].filter((value) => value > 0 && Number.isFinite(value));
  const [x0, x1] = [Math.floor(Math.log10(Math.min(...xs) / 2)), Math.ceil(Math.log10(Math.max(...xs) * 2))];
  const lowest = Math.min(predicted, attained ?? predicted, ...levels.map((level) => level.rate * 10 ** x0 * 4));
  const [y0, y1] = [Math.floor(Math.log10(lowest)), Math.ceil(Math.log10(peak * 1.3))];
  const x = (value) => left + ((Math.log10(value) - x0) / (x1 - x0)) * (width - left - right);
  const y = (value) => height - bottom - ((Math.log10(value) - y0) / (y1 - y0)) * (height - top - bottom);
  const parts_ = [];
  for (let power = x0; power <= x1; power += 1) {
    const at = x(10 ** power);
    parts_.push(draw('line', { class: 'axis', x1: at, x2: at, y1: top, y2: height - bottom }), draw('text', { class: 'soft', x: at, y: height - bottom + 16, 'text-anchor': 'middle' }, decimal(10 ** power)));
  }
  for (let power = y0; power <= y1; power += 1) {
    const at = y(10 ** power);
    parts_.push(draw('line', { class: 'axis', x1: left, x2: width - right, y1: at, y2: at }), draw('text', { class: 'soft', x: left - 8, y: at + 4, 'text-anchor': 'end' }, large(10 ** power)));
  }
  parts_.push(draw('text', { class: 'soft', x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle' }, 'operations for each byte moved →'), draw('text', { class: 'soft', x: 8, y: 14 }, `${unit} ↑`));
  const colours = ['var(--kind-vector)', 'var(--kind-parallel)', 'var(--kind-unrolled)', 'var(--anti)'];
  parts_.push(draw('line', { x1: x(Math.min(...ridges)), x2: width - right, y1: y(peak), y2: y(peak), stroke: 'var(--text)', 'stroke-width': 2 }));
  const named_ = [[y(peak), `arithmetic ${large(peak)}`, 'var(--text)']];
  levels.forEach((level, at) => {
    const start = Math.max(10 ** x0, 10 ** y0 / level.rate);
    const colour = colours[at % colours.length];
    parts_.push(draw('line', { x1: x(start), y1: y(start * level.rate), x2: x(ridges[at]), y2: y(peak), stroke: colour, 'stroke-width': 2 }));
    const reached = Math.min(peak, level.intensity * level.rate);
    const place = attained ?? reached;
    const said = `${level.name}: ${level.exact ? '' : 'at least '}${decimal(level.intensity)} operations for each byte, ${large(place)} ${unit}`;
    parts_.push(draw('circle', { class: 'roof-point', cx: x(level.intensity), cy: y(place), r: 6, fill: colour, stroke: 'var(--paper)', 'stroke-width': 1.5, tabindex: 0, 'aria-label': said }, draw('title', {}, said)));
    parts_.push(draw('line', { x1: x(level.intensity), x2: x(level.intensity), y1: y(place), y2: y(reached), stroke: colour, 'stroke-dasharray': '3 3' }));
    named_.push([null, `${level.name} ${large(level.rate)} B/${measured ? 's' : 'cycle'}`, colour]);
  });
  parts_.push(draw('line', { x1: x(compulsory), x2: x(compulsory), y1: top, y2: height - bottom, stroke: 'var(--soft)', 'stroke-dasharray': '5 4' }),
    draw('text', { class: 'label', x: x(compulsory) + 4, y: height - bottom - 6 }, 'most possible'));
  named_.forEach(([, text, colour], at) => parts_.push(
    draw('rect', { x: width - right + 14, y: top + 20 * at, width: 12, height: 12, fill: colour }), draw('text', { x: width - right + 32, y: top + 10 + 20 * at }, text)));
  const below = top + 20 * named_.length + 16;
  parts_.push(draw('circle', { cx: width - right + 20, cy: below - 4, r: 5, fill: 'var(--soft)' }), draw('text', { x: width - right + 32, y: below }, attained === null ? 'predicted' : 'measured'));
  return picture(width, height, 'Roofline', parts_);
}

function limitsCard({ peak, levels, predicted, attained, unit, measured }) {
  const rows = [['arithmetic', null, peak, peak], ...levels.map((level) => [level.name, level.intensity, level.rate, level.intensity * level.rate])];
  const binding = rows.reduce((least, row) => (row[3] < least[3] ? row : least));
  const table = tableOf(['limit', '#operations for each byte', `#rate`, `#allows, ${unit}`, ''], rows.map((row) => el('tr', {},
    el('td', {}, row[1] === null ? row[0] : `bytes beyond ${row[0]}`), el('td', { class: 'number' }, row[1] === null ? '' : decimal(row[1])),
    el('td', { class: 'number' }, row[1] === null ? `${large(row[2])} ${unit}` : `${large(row[2])} B/${measured ? 's' : 'cycle'}`),
    el('td', { class: 'number' }, large(row[3])), el('td', {}, row === binding ? el('strong', {}, 'binds') : ''))));
  const said = attained === null ? `The limits allow ${large(predicted)} ${unit}.`
    : `Measured ${large(attained)} ${unit}: ${Math.round((100 * attained) / predicted)} % of what the limits allow.`;
  return el('div', { class: 'card', style: 'margin-top:14px' }, el('h2', {}, 'What limits it'), el('p', {}, said), table);
}
