'use strict';
// The instances of a statement in two of its dimensions: points, tiles, moments, threads, vectors, arrows.
// The same as `tilewright emit domain.json` draws, found here since any two dimensions can be asked for.

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_';
const digitOf = new Map([...DIGITS].map((digit, value) => [digit, value]));

/** The numbers of a column: see `page/column.rs`. */
function numbers({ low, width, text }, count) {
  const found = new Array(count);
  for (let at = 0; at < count; at += 1) {
    let value = 0;
    for (let place = at * width; place < (at + 1) * width; place += 1) value = value * 64 + digitOf.get(text[place]);
    found[at] = low + value;
  }
  return found;
}

/** All columns of the instances of a statement as arrays. */
function decoded(of) {
  if (of.decoded) return of.decoded;
  const column = (one) => numbers(one, of.count);
  of.decoded = {
    place: column(of.place), point: of.point.map(column), time: of.time.map(column), moment: column(of.moment),
  };
  return of.decoded;
}

const atOnce = (kind) => /^(parallel|vector|block|thread)/.test(kind);
const isApart = (kind) => /^(parallel|block|thread)/.test(kind);

/** The loop that row `row` is at every place of a statement, or null. */
function loopAt(of, row) {
  const all = of.places.map((rows) => rows[row]?.loop);
  return all.length && all.every(Boolean) ? all[0] : null;
}

/**
 * The plane of dimensions `down` (or null) and `right`: `{ points, tiles, levels, thread, vectors, arrows, leftOut }`. A point
 * has the numbers of its instances, the moments of the first and the last, its tile of each level, the value of the outermost
 * loop on threads or blocks, and those of all of them as one text.
 */
function planeOf(of, down, right) {
  const all = decoded(of);
  const at = (i) => [down === null ? 0 : all.point[down][i], right === null ? 0 : all.point[right][i]];
  const key = (place) => `${place[0]},${place[1]}`;
  const ranks = new Map([...new Set(all.moment)].sort((a, b) => a - b).map((moment, rank) => [moment, rank]));
  const byPlace = new Map();
  for (let i = 0; i < of.count; i += 1) {
    const place = at(i);
    const rank = ranks.get(all.moment[i]);
    const point = byPlace.get(key(place)) || { at: place, instances: [], first: rank, last: rank, tiles: [], thread: null };
    point.instances.push(i);
    point.first = Math.min(point.first, rank);
    point.last = Math.max(point.last, rank);
    byPlace.set(key(place), point);
  }
  const points = [...byPlace.values()].sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1]);
  const rows = of.places.length ? Math.min(...of.places.map((place) => place.length)) : 0;
  const values = [];
  for (let row = 0; row < rows; row += 1) values.push(loopAt(of, row) ? valuesOf(all.time[row], points) : null);
  const levels = levelsOf(values, points, byPlace, key);
  const tiles = tilesOf(levels, all, points);
  const threadRow = values.findIndex((found, row) => found && isApart(loopAt(of, row)[1]) && new Set(found.values()).size > 1);
  const apart = values.map((found, row) => (found && isApart(loopAt(of, row)[1]) ? found : null)).filter(Boolean);
  points.forEach((point) => {
    point.thread = threadRow >= 0 ? values[threadRow].get(point) : null;
    point.lane = apart.map((found) => found.get(point)).join();
  });
  return {
    points, byPlace, key, tiles, moments: ranks.size, ranks,
    levels: levels.map((level) => level.map((row) => loopAt(of, row)[0])),
    thread: threadRow >= 0 ? loopAt(of, threadRow) : null,
    vectors: vectorsOf(of, all, at),
    ...arrowsOf(of, all, at, key),
  };
}

/** The value of a row at each point, where it is one and the same for all instances there; else null. */
function valuesOf(column, points) {
  const found = new Map();
  for (const point of points) {
    const value = column[point.instances[0]];
    if (point.instances.some((i) => column[i] !== value)) return null;
    found.set(point, value);
  }
  return found;
}

/** The rows that cut the plane into tiles, level by level: see `levels` in `pictures/domain.rs`. */
function levelsOf(values, points, byPlace, key) {
  const levels = [];
  let seen = [false, false];
  values.forEach((found, row) => {
    if (!found) return;
    const cuts = [[1, 0], [0, 1]].map(([down, right]) => {
      const same = new Set();
      for (const point of points) {
        const next = byPlace.get(key([point.at[0] + down, point.at[1] + right]));
        if (next) same.add(found.get(next) === found.get(point));
      }
      return same.size === 2;
    });
    if (!cuts[0] && !cuts[1]) return;
    if (!levels.length || cuts.every((cut, dim) => seen[dim] || !cut)) {
      levels.push([]);
      seen = [false, false];
    }
    seen = seen.map((one, dim) => one || cuts[dim]);
    levels[levels.length - 1].push(row);
  });
  return levels;
}

/** Gives each point its tiles; the tiles of each level, each with how many points it has and whether none has more. */
function tilesOf(levels, all, points) {
  const names = levels.map(() => new Map());
  const tiles = levels.map(() => []);
  for (const point of points) {
    const outer = [];
    levels.forEach((rows, level) => {
      outer.push(...rows.map((row) => all.time[row][point.instances[0]]));
      const name = outer.join();
      if (!names[level].has(name)) {
        names[level].set(name, tiles[level].length);
        tiles[level].push({ points: 0, whole: true });
      }
      const tile = names[level].get(name);
      tiles[level][tile].points += 1;
      point.tiles.push(tile);
    });
  }
  for (const level of tiles) {
    const most = Math.max(...level.map((tile) => tile.points));
    level.forEach((tile) => { tile.whole = tile.points === most; });
  }
  return tiles;
}

/** The first and the last point of each vector that is more than one point of the plane. */
function vectorsOf(of, all, at) {
  const groups = new Map();
  for (let i = 0; i < of.count; i += 1) {
    const rows = of.places[all.place[i]];
    const lanes = rows.findIndex((row) => row.loop && row.loop[1].startsWith('vector'));
    if (lanes < 0) continue;
    const name = rows.map((_, row) => (row === lanes ? '' : all.time[row][i])).join() + `/${all.place[i]}`;
    const place = at(i);
    const group = groups.get(name);
    const less = (a, b) => a[0] - b[0] || a[1] - b[1];
    if (!group) groups.set(name, [place, place]);
    else groups.set(name, [less(place, group[0]) < 0 ? place : group[0], less(place, group[1]) > 0 ? place : group[1]]);
  }
  const found = new Map();
  for (const [from, to] of groups.values()) if (String(from) !== String(to)) found.set(`${from}/${to}`, [from, to]);
  return [...found.values()];
}

/** Which instance depends on which: pairs of numbers for a way. */
function pairsOf(of, way) {
  const all = decoded(of);
  if (!of.numberOf) {
    of.numberOf = new Map();
    for (let i = 0; i < of.count; i += 1) of.numberOf.set(all.point.map((column) => column[i]).join(), i);
  }
  const from = way.from ? numbers(way.from, way.count) : [...Array(of.count).keys()];
  const pairs = [];
  for (const i of from) {
    const to = of.numberOf.get(all.point.map((column, dim) => column[i] + way.by[dim]).join());
    if (to !== undefined) pairs.push([i, to]);
  }
  return pairs;
}

/** The arrows of the plane, each once, and how many pairs are left out. */
function arrowsOf(of, all, at, key) {
  const found = new Map();
  for (const way of of.dependences) {
    for (const [i, j] of pairsOf(of, way)) {
      const [from, to] = [at(i), at(j)];
      if (from[0] === to[0] && from[1] === to[1]) continue;
      const name = `${way.kind}:${key(from)}:${key(to)}`;
      if (!found.has(name)) found.set(name, { kind: way.kind, from, to });
    }
  }
  return { arrows: [...found.values()], leftOut: of.left_out };
}

/** The elements of each tensor that some instances touch: `[{ tensor, writes, cells }]`, the cells as arrays. */
function touchedBy(of, instances) {
  const all = decoded(of);
  return of.accesses.filter((access) => access.index).map((access) => {
    const each = access.index.map((value) => {
      if (value.each) {
        value.decoded = value.decoded || numbers(value.each, of.count);
        return (i) => value.decoded[i];
      }
      const [constant, terms] = value.sum;
      return (i) => terms.reduce((sum, [dim, by]) => sum + by * all.point[dim][i], constant);
    });
    const cells = new Map();
    for (const i of instances) {
      const cell = each.map((value) => value(i));
      cells.set(cell.join(), cell);
    }
    return { tensor: access.tensor, writes: access.writes, cells: [...cells.values()] };
  });
}
