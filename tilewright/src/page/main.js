'use strict';
// The page: its head, its tabs, its keys.

const PANES = [
  ['overview', 'Overview', showOverview, true],
  ['iterations', 'Iterations', showIterations, true],
  ['tree', 'Schedule tree', showTree, true],
  ['script', 'Script', showScript, true],
  ['dependences', 'Dependences', showDependences, true],
  ['memory', 'Memory', showMemory, true],
  ['roofline', 'Roofline', showRoofline, true],
  ['code', 'Code', showCode, report.code.length > 0],
  ['device', 'Kernels', showDevice, report.kernels.length > 0],
  ['times', 'Compile time', showTimes, Boolean(report.stages)],
].filter(([, , , there]) => there);

const tabOf = (id) => document.getElementById(`tab-${id}`);

/** Shows one pane; print has all of them. */
function openPane(id) {
  for (const [other] of PANES) {
    tabOf(other).setAttribute('aria-selected', String(other === id));
    tabOf(other).tabIndex = other === id ? 0 : -1;
    document.getElementById(`panel-${other}`).hidden = other !== id;
  }
  if (id !== 'iterations') stopPlaying();
  tabOf(id).scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function makePanes() {
  const tabs = document.getElementById('tabs');
  const pane = document.getElementById('pane');
  const buttons = PANES.map(([id, title]) => el('button', { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': `panel-${id}`, onclick: () => openPane(id) }, title));
  tabs.append(...buttons);
  for (const [id, title, show] of PANES) {
    const panel = el('div', { class: `panel ${id}`, id: `panel-${id}`, role: 'tabpanel', 'aria-labelledby': `tab-${id}` }, el('h2', { class: 'printed' }, title));
    pane.append(panel);
    show(panel);
  }
  arrowKeys(tabs, () => buttons, { follow: true, across: true, pick: (button) => openPane(button.id.slice(4)) });
  const asked = location.hash.slice(1);
  openPane(PANES.some(([id]) => id === asked) ? asked : 'overview');
}

// ── Light and dark ──────────────────────────────────────────────────────────────────────────────────────────────────────

const THEMES = ['as the system', 'light', 'dark'];
let theme = 0;

function showTheme() {
  const root = document.documentElement;
  if (theme === 0) root.removeAttribute('data-theme');
  else root.dataset.theme = THEMES[theme];
  const button = document.getElementById('theme');
  button.textContent = `${['◐', '☀', '☾'][theme]} ${theme === 0 ? 'auto' : THEMES[theme]}`;
  button.setAttribute('aria-label', `Colours: ${THEMES[theme]}. Change them.`);
}

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEYS = [
  ['Tab', 'the next control, list or picture'],
  ['arrow keys', 'within tabs, lists, pictures and the script; Home and End for the first and the last'],
  ['Enter, Space', 'choose a loop, a tensor, a statement, a dependence'],
  ['Esc', 'choose nothing; close this'],
  ['1 … 9', 'the panes'],
  ['p', 'play or pause the schedule; , and . go by one moment'],
  ['t', 'light, dark, or as the system'],
  ['?', 'these keys'],
];

function showKeys(shown) {
  document.getElementById('help').hidden = !shown;
  document.getElementById('keys').setAttribute('aria-expanded', String(shown));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select, input:not([type="range"])')) return;
  const { key } = event;
  if (key === 'Escape') {
    showKeys(false);
    selection.choose(null);
  } else if (/^[1-9]$/.test(key) && PANES[key - 1]) {
    openPane(PANES[key - 1][0]);
    tabOf(PANES[key - 1][0]).focus();
  } else if (key === '?') showKeys(document.getElementById('help').hidden);
  else if (key === 't') document.getElementById('theme').click();
  else if (data.models.length && ['p', ',', '.'].includes(key)) {
    openPane('iterations');
    document.getElementById({ p: 'play', ',': 'back', '.': 'on' }[key]).click();
  }
}

document.querySelector('h1').textContent = report.definition;
document.getElementById('about').textContent = [
  `for ${report.target}`, report.sizes.map(({ name, value }) => `${name}=${value}`).join(' ') || (report.work ? '' : 'all sizes'), `Tilewright ${data.version}`,
].filter(Boolean).join(' · ');
document.getElementById('help').append(el('dl', {}, KEYS.map(([key, said]) => [el('dt', {}, key), el('dd', {}, said)])));
document.getElementById('keys').addEventListener('click', () => showKeys(document.getElementById('help').hidden));
document.getElementById('theme').addEventListener('click', () => { theme = (theme + 1) % THEMES.length; showTheme(); });
document.getElementById('fold').addEventListener('click', (event) => {
  const folded = event.target.getAttribute('aria-expanded') === 'true';
  event.target.setAttribute('aria-expanded', String(!folded));
});
// On a phone the program is a tap away, and the panes come first.
if (matchMedia('(max-width: 860px)').matches) document.getElementById('fold').setAttribute('aria-expanded', 'false');
document.addEventListener('keydown', onKey);
showProgram(document.getElementById('lists'));
makePanes();
showTheme();
showChosen();
