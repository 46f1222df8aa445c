// The status page: asks its own server once a second and draws the answer.
/* global document, fetch, getComputedStyle, history, location, matchMedia, setTimeout */
/* global AbortSignal, Option, ResizeObserver, URLSearchParams, uPlot */

const WINDOW_SECONDS = 300;
const POLL_MS = 1000;
const EVENTS_MAX = 12;
const SILENT_MS = 3000;
const element = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

// Seconds since 1970 -> what happened in that second.
const seconds = new Map();
const charts = {};
let group = new URLSearchParams(location.search).get('group') ?? '';
let loaded = false;
let before;

// ---- what to show -------------------------------------------------------------------

function remember(view) {
  const now = Date.now();
  for (const member of view.members) {
    for (const sample of member.activity?.samples ?? []) {
      rememberSample(sample, { at: Math.round((now - sample.ageMs) / 1000), self: member.self });
    }
  }
  const oldest = Math.round(now / 1000) - WINDOW_SECONDS;
  for (const at of seconds.keys()) if (at < oldest) seconds.delete(at);
}

function rememberSample({ appliedOperations, intervalMs, writes }, { at, self }) {
  const second = seconds.get(at) ?? {};
  if (self) second.rate = (appliedOperations * 1000) / Math.max(intervalMs, 1);
  // Only the leader measures writes; while leadership moves, whoever had more of them counts.
  if (writes.count > (second.writes?.count ?? 0)) second.writes = writes;
  seconds.set(at, second);
}

function series() {
  const times = [...seconds.keys()].sort((a, b) => a - b);
  const of = (pick) => times.map((at) => pick(seconds.get(at)) ?? null);
  return {
    throughput: [times, of((second) => second.rate)],
    latency: [times, of((second) => second.writes?.p50Ms), of((second) => second.writes?.p99Ms)],
  };
}

function healthOf(view) {
  const voters = view.members.filter((member) => member.role === 'voter');
  const up = voters.filter((member) => member.reachable).length;
  const { leader } = view;
  const count = `${up} of ${voters.length} voters reachable`;
  if (leader === null) {
    const text = `${count}. Nothing is accepted until a majority elects a leader.`;
    return { level: 'bad', title: 'No leader', text };
  }
  const name = `${shortName(leader)} leads term ${view.term}`;
  const missing = view.members.filter((member) => !member.reachable).length;
  if (missing > 0 || up < voters.length) {
    return { level: 'warn', title: 'Degraded', text: `${name}; ${count}.` };
  }
  return { level: 'good', title: 'Healthy', text: `${name}; ${count}.` };
}

const shortName = (peer) => peer.replace(/:0:0$/, '');

function badgeOf(member) {
  if (!member.reachable) return ['down', 'Unreachable'];
  const { state, joined } = member.status;
  if (!joined) return ['joining', 'Joining'];
  const kind = state.toLowerCase();
  const name = member.role === 'learner' && kind === 'follower' ? 'learner' : kind;
  return [kind, name[0].toUpperCase() + name.slice(1)];
}

function durationText(ms) {
  const total = Math.floor(ms / 1000);
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min`;
  if (total < 172_800) return `${Math.floor(total / 3600)} h`;
  return `${Math.floor(total / 86_400)} d`;
}

const latencyText = (ms) => (ms < 10 ? ms.toFixed(2) : ms.toFixed(ms < 100 ? 1 : 0));

// ---- drawing ------------------------------------------------------------------------

function setText(id, text) {
  const target = typeof id === 'string' ? element(id) : id;
  if (target.textContent !== text) target.textContent = text;
}

function figure(id, text, unit = '') {
  const target = element(id);
  target.replaceChildren(text);
  if (unit !== '')
    target.append(Object.assign(document.createElement('small'), { textContent: ` ${unit}` }));
}

function drawFigures(view) {
  const self = view.members.find((member) => member.self);
  const times = [...seconds.keys()].sort((a, b) => b - a).slice(0, 3);
  const recent = times.map((at) => seconds.get(at));
  const rate = recent.find((second) => second.rate !== undefined)?.rate;
  const writes = recent.find((second) => second.writes !== undefined)?.writes;
  figure('rate', rate === undefined ? '–' : whole.format(rate));
  figure('median', writes === undefined ? '–' : latencyText(writes.p50Ms), writes && 'ms');
  figure('tail', writes === undefined ? '–' : latencyText(writes.p99Ms), writes && 'ms');
  const highest = Math.max(...view.members.map((member) => member.status?.committedIndex ?? 0));
  figure('committed', whole.format(highest));
  figure('counters', self?.activity ? whole.format(self.activity.counters) : '–');
}

function cell(row, position, text, small = '') {
  const target = row.cells[position];
  setText(target.firstChild, text);
  setText(target.lastChild, small);
}

function newRow(peer) {
  const row = document.createElement('tr');
  row.dataset.peer = peer;
  const head = Object.assign(document.createElement('th'), { scope: 'row' });
  row.append(head);
  for (let position = 1; position < 10; position++) row.append(document.createElement('td'));
  for (const each of row.cells) {
    each.append(document.createElement('span'), document.createElement('small'));
  }
  for (const position of [2, 3, 4, 5, 6, 8, 9]) row.cells[position].className = 'number';
  row.cells[7].innerHTML =
    '<svg class="log" role="img" preserveAspectRatio="none" viewBox="0 0 100 10"><title></title>' +
    '<rect class="written" height="10"></rect><rect class="applied" height="10"></rect></svg>';
  return row;
}

function noteOf(member) {
  if (!member.reachable) return '';
  if (member.installingSnapshot) return 'receives a snapshot';
  if (member.status.readonly) return 'read-only';
  return member.lastContactMs > SILENT_MS ? `silent for ${durationText(member.lastContactMs)}` : '';
}

function drawMember(row, member, range) {
  const [kind, name] = badgeOf(member);
  row.classList.toggle('unreachable', !member.reachable);
  cell(row, 0, shortName(member.peer), member.self ? 'this server' : '');
  drawLink(row.cells[0].firstChild, member);
  row.cells[1].firstChild.className = `badge ${kind}`;
  cell(row, 1, name, noteOf(member));
  drawIndexes(row, member.status, range);
  const { activity } = member;
  cell(row, 8, activity ? `${whole.format(activity.memoryBytes / 1_048_576)} MiB` : '–');
  cell(row, 9, activity ? durationText(activity.uptimeMs) : '–');
}

function drawIndexes(row, status, range) {
  const columns = [
    status?.term,
    status?.lastIndex,
    status?.committedIndex,
    status?.appliedIndex,
    status && Math.max(0, range.last - status.lastIndex),
  ];
  for (const [position, value] of columns.entries()) {
    cell(row, position + 2, value === undefined ? '–' : whole.format(value));
  }
  drawLog(row.cells[7], status, range);
}

function drawLink(target, member) {
  const address = member.activity?.httpAddress ?? '';
  if (member.self || address === '') return;
  const link = Object.assign(document.createElement('a'), {
    href: `http://${address}/${location.search}`,
    textContent: shortName(member.peer),
  });
  if (target.firstChild?.href !== link.href) target.replaceChildren(link);
}

function drawLog(target, status, range) {
  const [title, written, applied] = target.firstChild.children;
  const width = (index) =>
    status === undefined
      ? 0
      : (100 * Math.max(0, index - range.first)) / Math.max(1, range.last - range.first);
  written.setAttribute('width', width(status?.lastIndex).toFixed(2));
  applied.setAttribute('width', width(status?.appliedIndex).toFixed(2));
  setText(
    title,
    status === undefined
      ? 'unknown'
      : `first ${status.firstIndex}, snapshot ${status.snapshotIndex}, applied ${status.appliedIndex}, last ${status.lastIndex}`,
  );
}

function drawMembers(view) {
  const body = element('members');
  const known = view.members.flatMap((member) => member.status ?? []);
  const range = {
    first: Math.min(...known.map((status) => status.snapshotIndex)),
    last: Math.max(...known.map((status) => status.lastIndex)),
  };
  const rows = new Map([...body.rows].map((row) => [row.dataset.peer, row]));
  view.members.forEach((member, position) => {
    const row = rows.get(member.peer) ?? newRow(member.peer);
    rows.delete(member.peer);
    if (body.rows[position] !== row) body.insertBefore(row, body.rows[position] ?? null);
    drawMember(row, member, range);
  });
  for (const row of rows.values()) row.remove();
}

function noteEvents(view) {
  const roles = Object.fromEntries(view.members.map((member) => [member.peer, badgeOf(member)[1]]));
  const now = { leader: view.leader, term: view.term, roles };
  if (before !== undefined) {
    if (now.leader !== before.leader) {
      note(
        now.leader === null
          ? 'The group has no leader'
          : `${shortName(now.leader)} leads term ${now.term}`,
      );
    }
    for (const [peer, role] of Object.entries(roles)) {
      const old = before.roles[peer];
      if (old === undefined) note(`${shortName(peer)} is a member now`);
      else if ((old === 'Unreachable') !== (role === 'Unreachable')) {
        note(`${shortName(peer)} ${role === 'Unreachable' ? 'cannot be reached' : 'is back'}`);
      }
    }
    for (const peer of Object.keys(before.roles)) {
      if (roles[peer] === undefined) note(`${shortName(peer)} is no longer a member`);
    }
  } else
    note(now.leader === null ? 'No leader' : `${shortName(now.leader)} leads term ${now.term}`);
  before = now;
}

function note(text) {
  const item = document.createElement('li');
  const time = new Date();
  const stamp = Object.assign(document.createElement('time'), {
    dateTime: time.toISOString(),
    textContent: time.toLocaleTimeString('en-GB'),
  });
  item.append(stamp, text);
  element('events').prepend(item);
  while (element('events').children.length > EVENTS_MAX) element('events').lastChild.remove();
}

function drawCharts() {
  const data = series();
  for (const [id, chart] of Object.entries(charts)) {
    const now = Math.round(Date.now() / 1000);
    chart.plot.batch(() => {
      chart.plot.setData(data[id], false);
      chart.plot.setScale('x', { min: now - WINDOW_SECONDS, max: now });
    });
    const empty = data[id].slice(1).every((values) => values.every((value) => value === null));
    chart.note.hidden = !empty;
  }
}

function makeCharts() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const line = (name, fill) => ({
    stroke: colour(name),
    width: 2,
    points: { show: false },
    ...fill,
  });
  const fill = { fill: colour('--accent-fill') };
  makeChart('throughput', [line('--accent', fill)], (value) => compact.format(value), colour);
  const lines = [line('--accent', {}), line('--second', {})];
  makeChart(
    'latency',
    lines,
    (value) => `${value >= 1 ? compact.format(value) : value} ms`,
    colour,
  );
  drawCharts();
}

function makeChart(id, lines, format, colour) {
  const target = element(id);
  charts[id]?.plot.destroy();
  target.replaceChildren();
  const axis = {
    stroke: colour('--muted'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  const plot = new uPlot(
    {
      width: target.clientWidth,
      height: target.clientHeight,
      cursor: { show: false },
      legend: { show: false },
      padding: [8, 6, 0, 0],
      scales: {
        x: { time: true, auto: false },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] },
      },
      series: [{}, ...lines],
      axes: [
        {
          ...axis,
          space: 80,
          values: (_, ticks) =>
            ticks.map((at) =>
              new Date(at * 1000).toLocaleTimeString('en-GB', {
                hour: '2-digit',
                minute: '2-digit',
              }),
            ),
          incrs: [60, 120, 300],
          size: 30,
        },
        { ...axis, size: 52, values: (_, ticks) => ticks.map(format) },
      ],
    },
    [[], ...lines.map(() => [])],
    target,
  );
  const note = Object.assign(document.createElement('p'), { textContent: 'Nothing yet' });
  target.append(note);
  charts[id] = { plot, note };
}

function draw(view) {
  const { level, title, text } = healthOf(view);
  element('health').dataset.level = level;
  setText('health-title', title);
  setText('health-text', text);
  setText('where', `group ${view.group}, seen from ${shortName(view.server.peer)}`);
  document.title = `${title} · ${view.group} · Atomicraft`;
  const changing = view.changing ? ', being changed' : '';
  setText(
    'configuration',
    `configuration at index ${whole.format(view.configurationIndex)}${changing}`,
  );
  setText(
    'footer',
    `Atomicraft ${view.server.version} · process ${view.server.pid} · ${view.server.ready ? 'ready' : `not ready: ${view.server.reason}`}`,
  );
  drawGroups(view);
  drawFigures(view);
  drawMembers(view);
  noteEvents(view);
  drawCharts();
}

function drawGroups(view) {
  const choice = element('group');
  element('group-choice').hidden = view.groups.length < 2;
  if (choice.options.length !== view.groups.length) {
    choice.replaceChildren(...view.groups.map((name) => new Option(name, name)));
  }
  choice.value = view.group;
  element('json').href = `/status.json?group=${encodeURIComponent(view.group)}`;
  element('raft-stat').href = `/raft_stat/${encodeURIComponent(view.group)}`;
}

// ---- polling ------------------------------------------------------------------------

async function poll() {
  const samples = loaded ? 5 : WINDOW_SECONDS;
  const query = new URLSearchParams({ samples, ...(group === '' ? {} : { group }) });
  try {
    const response = await fetch(`/status.json?${query}`, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const view = await response.json();
    loaded = true;
    remember(view);
    draw(view);
  } catch {
    loaded = false;
    element('health').dataset.level = 'bad';
    setText('health-title', 'This server does not answer');
    setText('health-text', 'Trying again each second; the other members have this page too.');
  }
}

async function run() {
  for (;;) {
    if (!document.hidden) await poll();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

element('group').addEventListener('change', (event) => {
  group = event.target.value;
  history.replaceState(null, '', `?group=${encodeURIComponent(group)}`);
  seconds.clear();
  loaded = false;
  before = undefined;
  void poll();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', makeCharts);
new ResizeObserver(() => {
  for (const id of Object.keys(charts)) {
    const { clientWidth: width, clientHeight: height } = element(id);
    charts[id].plot.setSize({ width, height });
  }
}).observe(document.body);
makeCharts();
void run();
